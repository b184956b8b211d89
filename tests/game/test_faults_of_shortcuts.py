"""A fault in a shortcut is seen; a head that does not take what the shortcut runs it on is played as it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import Tokens, game_of, pooling
from helpers.networks import Toy
from helpers.toy_heads import Do, assert_right, conv, square_images
from shapleycam.errors import ReplayError
from shapleycam.game import position_rules, structure
from shapleycam.game.attention import moves, pointwise, products, reductions
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.shortcuts.windowed import WindowedRunner
from shapleycam.game.windows import rules

SEVERAL = torch.arange(600)[:, None] % torch.arange(2, 18) == 0
HEADS = {
    SummedRunner: lambda: pooling(nn.GELU()),
    PooledRunner: lambda: pooling(None, nn.GELU()),
    AveragedRunner: lambda: pooling(nn.GELU(), nn.GELU()),
    WindowedRunner: lambda: pooling(conv(3, padding=1), nn.GELU()),
}


def raising(error):
    def raise_error(*_args, **_kwargs):
        raise error

    return raise_error


@pytest.mark.parametrize("error", [AttributeError("planted"), TypeError("planted"), IndexError("planted")], ids=repr)
@pytest.mark.parametrize("method", ["__init__", "outputs"])
@pytest.mark.parametrize("runner", HEADS, ids=lambda runner: runner.__name__)
def test_a_fault_of_a_runner_is_seen(monkeypatch, runner, method, error):
    game = game_of(HEADS[runner]().double(), square_images(), "rest", 0)
    monkeypatch.setattr(runner, method, raising(error))
    with pytest.raises(type(error), match="planted"):
        game.value(SEVERAL)


@pytest.mark.parametrize("error", [AttributeError("planted"), IndexError("planted"), RuntimeError("planted")], ids=repr)
@pytest.mark.parametrize(
    ("module", "name"), [(structure, "before_mean"), (structure, "after_mean"), (structure, "prove_window_sum")]
)
def test_a_fault_of_the_proof_is_seen(monkeypatch, module, name, error):
    game = game_of(pooling(nn.GELU(), nn.Softmax(1)).double(), square_images(), "rest", 0)
    monkeypatch.setattr(module, name, raising(error))
    with pytest.raises(type(error), match="planted"):
        _ = game.structure


def test_a_fault_of_a_rule_is_seen(monkeypatch):
    game = game_of(HEADS[WindowedRunner]().double(), square_images(), "rest", 0)
    monkeypatch.setitem(rules.RULES, "convolution", raising(IndexError("planted")))
    with pytest.raises(IndexError, match="planted"):
        _ = game.structure


@pytest.mark.parametrize("error", [AttributeError("planted"), IndexError("planted"), RuntimeError("planted")], ids=repr)
@pytest.mark.parametrize("kind", [reductions.Softmax, moves.Permute, products.Product, pointwise.Pointwise])
def test_a_fault_of_a_rule_of_attention_is_seen(monkeypatch, kind, error):
    attend = Do(lambda x: (x @ x.mT).softmax(-1) @ x)
    model = Tokens(nn.Sequential(attend, Do(lambda x: x[:, 0]), nn.Linear(4, 3)), prefix=1)
    game = game_of(model, square_images(), "rest", 0, layout="tokens 4x4 after 1")
    monkeypatch.setattr(kind, "forms", raising(error))
    with pytest.raises(type(error), match="planted"):
        _ = game.structure


def test_a_node_that_does_not_hold_what_a_rule_looks_at_ends_the_proof(monkeypatch):
    """Another version of PyTorch may name it otherwise."""
    monkeypatch.setattr(
        position_rules, "_saved", raising(position_rules.UnreadableNodeError("MeanBackward1 has no dim"))
    )
    game = assert_right(pooling(nn.GELU()), square_images())
    assert not game.structure.is_sum


@pytest.mark.parametrize("error", [ReplayError("no"), RuntimeError("shapes do not fit")], ids=repr)
def test_a_refusal_is_no_fault(monkeypatch, error):
    monkeypatch.setattr(AveragedRunner, "__init__", raising(error))
    game = assert_right(pooling(nn.GELU(), nn.GELU()), square_images())
    assert isinstance(game._coalitions.runner, GeneralRunner)


def test_full_memory_is_no_refusal(monkeypatch):
    monkeypatch.setattr(AveragedRunner, "__init__", raising(torch.OutOfMemoryError("CUDA out of memory.")))
    game = game_of(pooling(nn.GELU(), nn.GELU()).double(), square_images(), "rest", 0)
    with pytest.raises(torch.OutOfMemoryError):
        game.value(SEVERAL)


@pytest.mark.parametrize("kind", [IndexError, KeyError, AttributeError, AssertionError])
def test_what_the_user_s_own_code_raises_at_other_sizes_is_a_refusal(kind):
    def check(a):
        if a.shape[-1] != 4:
            raise kind("expected 4 x 4 cells")
        return a

    assert_right(
        Toy(nn.Sequential(Do(check), nn.GELU(), Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3))), square_images()
    )
