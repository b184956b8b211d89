"""Heads that look like a sum of alike positions to the numbers at hand: played as they are, and right.

Each adds to a plain mean what sleeps until a strong image, or a single pair of positions, wakes it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import ChannelsLast, Tokens, by_hand, game_of, noise, random_coalitions
from helpers.networks import Toy
from helpers.toy_heads import AVERAGED, BOTH, MEAN, NEITHER, SUM, Cube, Do, assert_right, square_images, structure
from shapleycam.tracing.batchnorm import EvalBatchNorm

IDENTITY = torch.eye(4, dtype=torch.float64)
LEVELS = -50 - 50 * torch.rand((16, 4), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
"""Biases of each position and channel under which every ReLU sleeps, and under which strong images wake some."""


def rows(a):
    """(b, k, h, w) as tokens (b · n, k)."""
    return a.flatten(2).mT.reshape(-1, a.shape[1])


def mean_of(tokens, a):
    """The mean over positions of tokens (b · n, k)."""
    return tokens.reshape(len(a), -1, tokens.shape[-1]).mean(1)


def cut(levels, a):
    """As many of the levels as there are positions: so the head also takes a single one."""
    return levels.to(a)[: a.shape[2] * a.shape[3]]


def by_row(a):
    return cut(LEVELS, a).repeat(len(a), 1)


SLEEPING = {
    "addmm with a bias a position": lambda a: mean_of(torch.addmm(by_row(a), rows(a), IDENTITY.to(a)).relu(), a),
    "addmm with a bias a position that is trained": lambda a: mean_of(
        torch.addmm(by_row(a).requires_grad_(), rows(a), IDENTITY.to(a)).relu(), a
    ),
    "a linear layer with a bias a position, on rows": lambda a: mean_of(
        F.linear(rows(a), IDENTITY.to(a), by_row(a)).relu(), a
    ),
    "addmm written into": lambda a: mean_of(rows(a).addmm(rows(a) * 0, IDENTITY.to(a)).add_(by_row(a)).relu(), a),
    "baddbmm": lambda a: (
        torch.baddbmm(cut(LEVELS, a)[None], a.flatten(2).mT, IDENTITY.to(a).expand(len(a), 4, 4)).relu().mean(1)
    ),
    "addbmm": lambda a: torch.stack(
        [torch.addbmm(cut(LEVELS, a), each.flatten(1).mT[None], IDENTITY.to(a)[None]).relu().mean(0) for each in a]
    ),
    "einsum with a factor a position": lambda a: (
        torch.einsum("bkn,nk->bnk", a.flatten(2), cut(-LEVELS / 50, a)).sub(40).relu().mean(1)
    ),
    "an embedding of the position, by index": lambda a: (
        (a.flatten(2).mT + F.embedding(torch.arange(a.shape[2] * a.shape[3]), LEVELS.to(a))).relu().mean(1)
    ),
    "constants beside, by cat": lambda a: (
        torch.cat([a.flatten(2).mT, cut(LEVELS, a)[None].expand(len(a), -1, -1)], 2)
        .unflatten(2, (2, 4))
        .sum(2)
        .relu()
        .mean(1)
    ),
    "a factor a position": lambda a: (a.flatten(2) * cut(LEVELS, a).mT - 2000).relu().mean(2),
    "a mask of positions": lambda a: (
        (a.flatten(2).masked_fill(torch.arange(a.shape[2] * a.shape[3]) % 2 == 1, 0) - 40).relu().mean(2)
    ),
    "a norm over the positions": lambda a: (F.group_norm(a, 4) - 3).relu().mean((2, 3)),
    "the mean of a slice": lambda a: (a[..., : max(1, a.shape[3] // 2)].mean((2, 3)) - 20).relu(),
    "a square constant over the positions": lambda a: (
        (torch.ones(2 * (a.shape[2],), dtype=a.dtype) @ a - 30).relu().mean((2, 3))
    ),
    "rows and columns change places beside": lambda a: (a + a.mT - 80).relu().mean((2, 3)),
    "a threshold of the map's height": lambda a: (a * a.shape[2] - 120).relu().mean((2, 3)),
    "a bias of the map's height": lambda a: (
        F.conv2d(a, IDENTITY.to(a)[..., None, None], bias=-a.new_full((4,), 10.0 * a.shape[2])).relu().mean((2, 3))
    ),
    "a threshold of the number of positions, after the mean": lambda a: (
        a.mean((2, 3)) - a.shape[2] * a.shape[3] / 2
    ).relu(),
    "another function of large maps": lambda a: a.mean((2, 3)) if a.shape[2] < 2 else (a - 40).relu().mean((2, 3)),
    "a gate of the largest number": lambda a: a.mean((2, 3)) * (a.abs().flatten(1).amax(1, keepdim=True) > 50),
    "a gate without gradients": lambda a: (
        a.mean((2, 3)) * no_grad(lambda: a.abs().flatten(1).amax(1) / 50)[:, None].floor()
    ),
    "a choice by the largest position": lambda a: a.mean((2, 3)) + 9 * (a.flatten(1).argmax(1) == 0)[:, None],
    "the last position in doubt": lambda a: a.mean((2, 3)) + (a[..., -1, -1].round() / 60).trunc(),
}


def no_grad(function):
    with torch.no_grad():
        return function()


def noise_with_a_strong_image(images=6):
    """Return images of noise; the last is strong everywhere, and strongest at two positions."""
    pictures = square_images(images)
    pictures[-1] *= 20
    pictures[-1, :, 0, 2] += 60
    pictures[-1, :, 2, 0] += 60
    return pictures


def head(function):
    torch.manual_seed(0)
    return Toy(nn.Sequential(Do(lambda a: a.mean((2, 3)) + function(a)), nn.Linear(4, 3)))


@pytest.mark.parametrize("name", SLEEPING)
def test_the_numbers_at_hand_prove_nothing(name):
    model = head(SLEEPING[name])
    assert structure(model, noise_with_a_strong_image()) == NEITHER
    assert_right(model, noise_with_a_strong_image())
    assert_right(model, noise_with_a_strong_image()[5:])


@pytest.mark.parametrize("name", SLEEPING)
def test_the_sleeper_matters(name):
    """Without this the test above could pass for a head without the inactive unit."""
    model = head(SLEEPING[name]).double()
    game, coalitions = game_of(model, noise_with_a_strong_image()[5:]), random_coalitions(1, 60, 16)
    plain = game_of(head(lambda a: 0).double(), noise_with_a_strong_image()[5:])
    difference = (by_hand(game, coalitions) - by_hand(plain, coalitions)).abs().max()
    assert difference > 1e-3


@pytest.mark.parametrize("trained", [True, False])
def test_a_bias_of_each_channel_is_the_same_everywhere(trained):
    """Of frozen layers autograd keeps no bias: the recording has it."""
    model = Toy(
        nn.Sequential(Do(rows), nn.Linear(4, 4), nn.Unflatten(0, (-1, 16)), Do(lambda t: t.mean(1)), nn.Linear(4, 3))
    )
    single = Do(lambda a: mean_of(F.linear(rows(a), IDENTITY.to(a), a.new_ones(4)).relu(), a))
    for each, expected in ((Toy(nn.Sequential(single, nn.Linear(4, 3))), SUM), (model, NEITHER)):
        each.requires_grad_(trained)
        assert structure(each) == expected  # the second says how many positions there are
        assert_right(each, square_images())


@pytest.mark.parametrize(
    "constant",
    [
        pytest.param(lambda a: torch.ones(a.shape[2] * a.shape[3], 4), id="(n, k)"),
        pytest.param(lambda a: torch.ones(len(a), 1, 4), id="a row of the batch"),
    ],
)
def test_a_factor_of_the_size_of_rows(constant):
    """Ones, so that the numbers are those of a plain mean."""
    images = square_images(2)
    model = Toy(nn.Sequential(Do(lambda a: (a.flatten(2).mT * constant(a).to(a)).mean(1)), nn.Linear(4, 3)))
    assert structure(model, images) == replace(AVERAGED, is_affine=True)  # and no function of the mean
    assert_right(model, images)


def test_a_branch_of_python_ends_the_proof():
    """It decides for the whole batch, so that there is no right value to compare with."""
    branch = Do(lambda a: a.mean((2, 3)) * (3 if a.abs().max() > 50 else 1))
    assert structure(Toy(nn.Sequential(branch, nn.Linear(4, 3)))) == NEITHER


def test_a_batch_norm_of_another_name_is_not_ours():
    class EvalBatchNorm(Cube):
        pass

    model = Toy(nn.Sequential(Do(EvalBatchNorm.apply), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert not structure(model).reads_mean  # the operations inside are followed
    assert_right(model, square_images())


def test_a_batch_norm_of_the_trace_is_a_factor_and_a_bias_for_each_channel():
    weight, bias = noise(4, 1, 1, dtype=torch.float64), noise(4, 1, 1, seed=1, dtype=torch.float64)
    norm = Do(lambda x: EvalBatchNorm.apply(x, weight.to(x), bias.to(x)))
    for after, expected in ((nn.Identity(), BOTH), (nn.ReLU(), SUM)):
        model = Toy(nn.Sequential(norm, after, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
        assert structure(model) == expected
        assert_right(model, noise_with_a_strong_image())
    swapped = Do(lambda x: EvalBatchNorm.apply(x.transpose(1, 2), weight.to(x), bias.to(x)).transpose(1, 2))
    model = Toy(nn.Sequential(swapped, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert not structure(model).reads_mean
    assert not structure(model).is_sum
    assert_right(model, noise_with_a_strong_image())


@pytest.mark.parametrize("kind", [Tokens, ChannelsLast])
def test_as_many_channels_as_positions(kind):
    """4 positions of 4 channels: a transposed map has the shape of the map."""
    places = 1 if kind is Tokens else (1, 2)
    images = noise(3, 4, 2, 2, dtype=torch.float64)
    right = kind(nn.Sequential(nn.Linear(4, 4), nn.GELU(), Do(lambda a: a.mean(places)), nn.Linear(4, 3)))
    assert structure(right, images) == SUM
    assert_right(right, images)
    if kind is Tokens:
        wrong = kind(
            nn.Sequential(Do(lambda a: a.mT), nn.Linear(4, 4), nn.GELU(), Do(lambda a: a.mean(1)), nn.Linear(4, 3))
        )
        assert structure(wrong, images) == NEITHER
        assert_right(wrong, images)


def test_a_function_with_its_own_backward_after_the_mean_keeps_the_mean():
    model = Toy(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Do(Cube.apply), nn.Linear(4, 3)))
    assert structure(model) == MEAN
    assert_right(model, noise_with_a_strong_image())


# What the numbers are checked on


class Gated(nn.Module):
    """A hundred times the mean where a function of the numbers in memory says so: no recording sees it."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, a):
        from test_shortcuts_are_checked import copy_memory

        return a.mean((2, 3)) * (1 + 99 * self.gate(copy_memory(a)).to(a.dtype)[:, None])


def players_in(a):
    return a.ne(0).any(1).flatten(1).sum(1)


@pytest.mark.parametrize(
    "gate",
    [
        pytest.param(lambda a: a.abs().flatten(1).amax(1) > 50, id="of the strongest image"),
        pytest.param(lambda a: (players_in(a) == 1) & (a.shape[2] > 1), id="of one player alone"),
        pytest.param(lambda a: players_in(a) == 15, id="of all players but one"),
        pytest.param(lambda a: players_in(a) == 16, id="of all players"),
    ],
)
def test_a_shortcut_is_tried_on_the_strongest_image_and_on_the_fewest_and_most_players(gate):
    model = Toy(nn.Sequential(Gated(gate), nn.Linear(4, 3)))
    assert structure(model, noise_with_a_strong_image()) == NEITHER
    assert_right(model, noise_with_a_strong_image())
