"""Tensors that are kept together: what comes back is what was kept, and they share their memory."""

from __future__ import annotations

import pytest
import torch

from shapleycam.game.kept_blocks import KeptBlocks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_each_comes_back_as_it_was_kept(dtype):
    blocks, numbers = KeptBlocks(), torch.arange(24).to(dtype)
    given = {b"a": numbers.reshape(4, 6), b"b": numbers[:6].reshape(2, 3).mT, b"c": numbers[:0], b"d": numbers[7]}
    blocks.update(given)
    assert list(blocks) == list(given)
    assert all(blocks[key].dtype == dtype and torch.equal(blocks[key], block) for key, block in given.items())


def test_what_was_kept_does_not_change_with_what_was_given():
    blocks, given = KeptBlocks(), torch.zeros(2, 2)
    blocks[b"zeros"] = given
    given += 1
    assert torch.equal(blocks[b"zeros"], torch.zeros(2, 2))


def test_thousands_lie_in_one_piece_of_memory():
    blocks = KeptBlocks()
    for number in range(3000):
        blocks[number.to_bytes(4, "big")] = torch.full((1, 28), float(number))
    assert len({block.untyped_storage().data_ptr() for block in blocks.values()}) == 1
    assert all(float(blocks[number.to_bytes(4, "big")].sum()) == 28 * number for number in range(3000))


def test_one_that_is_larger_than_a_piece_is_kept_whole():
    blocks, large = KeptBlocks(), torch.arange(2**20 + 5, dtype=torch.float32)
    blocks[b"small"], blocks[b"large"], blocks[b"next"] = torch.ones(3), large, torch.ones(2)
    assert torch.equal(blocks[b"large"], large)
    assert torch.equal(blocks[b"small"], torch.ones(3))
    assert torch.equal(blocks[b"next"], torch.ones(2))


def test_a_key_that_is_given_again_has_the_new_tensor_and_a_deleted_one_none():
    blocks = KeptBlocks()
    blocks[b"key"] = torch.zeros(4)
    blocks[b"key"] = torch.ones(2)
    assert torch.equal(blocks[b"key"], torch.ones(2))
    del blocks[b"key"]
    assert b"key" not in blocks
    assert len(blocks) == 0
