"""Heads that look once at a window of positions: a table of windows gives each coalition the model's own value."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import (
    by_hand,
    game_of,
    network,
    noise,
    random_coalitions,
    relative_difference,
    values_without_shortcut,
)
from helpers.networks import Toy
from helpers.toy_heads import AVERAGED, NEITHER, Do, conv, residual, structure
from shapleycam import Explainer
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts.window_sums import WindowSumRunner
from shapleycam.game.shortcuts.windowed import WindowedRunner
from shapleycam.game.window import Window

TAIL = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def head(*before, pool=lambda a: a.mean((2, 3))):
    torch.manual_seed(0)
    return Toy(nn.Sequential(*before, Do(pool), TAIL)).double()


def window(count, cells=9, colours=9):
    return Window(count, cells, colours)


WINDOWS = {
    "3 x 3": (lambda: conv(3, padding=1), window(12)),
    "3 x 3 without padding": (lambda: conv(3), window(2)),
    "depthwise": (lambda: conv(3, padding=1, groups=4), window(12)),
    "stride 2": (lambda: conv(3, padding=1, stride=2), window(4, 6, 6)),
    "dilation 2": (lambda: conv(3, padding=2, dilation=2), window(12, 4)),  # of three in a row two are inside
    "2 x 2": (lambda: conv(2), window(6, 4, 4)),
    "1 x 3": (lambda: conv((1, 3), padding=(0, 1)), window(12, 3, 3)),
    "4 x 2": (lambda: conv((4, 2), padding=(2, 0)), window(12, 6, 6)),
    "size 1 with stride": (lambda: conv(1, stride=2), None),
    "reflected padding": (lambda: conv(3, padding=1, padding_mode="reflect"), window(12)),
    "replicated padding": (lambda: conv(3, padding=1, padding_mode="replicate"), window(12)),
    "residual": (lambda: residual(nn.Sequential(conv(), nn.GELU(), conv(3, padding=1))), window(12)),
    "two branches": (
        lambda: Do(
            lambda self, x: self.a(x) * self.b(x).sigmoid(), a=conv(3, padding=1), b=conv((1, 3), padding=(0, 1))
        ),
        window(12),
    ),
    "absolute values in place, which PyTorch marks as elementwise only where they make a new tensor": (
        lambda: nn.Sequential(conv(3, padding=1), Do(lambda x: x.abs_()), conv()),
        window(12),
    ),
    "no rows cut off and put back": (
        lambda: Do(lambda self, x: self.a(torch.cat([x[:, :, :0], x[:, :, 0:]], 2)), a=conv(3, padding=1)),
        window(12),
    ),
    "no tokens split off and put back, as of a transformer without class token": (
        lambda: Do(
            lambda self, x: torch.cat(self.a(x).flatten(2).mT.split([0, 12], 1), 1).mT.unflatten(2, (3, 4)),
            a=conv(3, padding=1),
        ),
        window(12),
    ),
    "a cross of two branches": (
        lambda: Do(
            lambda self, x: self.a(x) + self.b(x), a=conv((1, 3), padding=(0, 1)), b=conv((3, 1), padding=(1, 0))
        ),
        window(12, 5),
    ),
    "1 x 3 after 3 x 1": (
        lambda: nn.Sequential(conv((3, 1), padding=(1, 0)), nn.GELU(), conv((1, 3), padding=(0, 1))),
        window(12),
    ),
    "a strided shortcut": (
        lambda: Do(lambda self, x: self.a(x) + self.b(x), a=conv(3, padding=1, stride=2), b=conv(1, stride=2)),
        window(4, 6, 6),
    ),
    "side by side": (
        lambda: nn.Sequential(
            Do(
                lambda self, x: torch.cat([x, self.a(x), x.new_ones(1, 2, 3, 4).expand(len(x), -1, -1, -1)], 1),
                a=conv(3, padding=1),
            ),
            nn.Conv2d(10, 4, 1),
        ),
        window(12),
    ),
    "stacked": (
        lambda: Do(lambda self, x: torch.stack([x, self.a(x).tanh()]).prod(0), a=conv(3, padding=1)),
        window(12),
    ),
    "behind a position bias": (
        lambda: Do(lambda self, x: self.a(x + self.bias), a=conv(3, padding=1), bias=noise(4, 3, 4)),
        window(12),
    ),
    "what nothing becomes is not zero": (
        lambda: nn.Sequential(conv(), nn.Sigmoid(), conv(3, padding=1)),
        window(12),
    ),
    "channels last": (
        lambda: nn.Sequential(conv(3, padding=1), Do(lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))),
        window(12),
    ),
    "flattened and not": (
        lambda: nn.Sequential(conv(3, padding=1), Do(lambda x: x.flatten(2).unflatten(2, (3, 4)))),
        window(12),
    ),
    "transposed before the mean": (lambda: nn.Sequential(conv(3, padding=1), Do(lambda x: x.mT)), window(12)),
    "padded as the output": (lambda: conv(3, padding="same"), window(12)),
    "maximum of 2 x 2": (lambda: nn.MaxPool2d(2), window(2, 4, 4)),
    "maximum of 2 x 2, the last incomplete": (lambda: nn.MaxPool2d(2, ceil_mode=True), window(4, 4, 4)),
    "maximum of 3 x 3 that overlap": (lambda: nn.MaxPool2d(3, 2, 1), window(4, 6, 6)),
    "maximum of 3 x 3 at each position": (lambda: nn.MaxPool2d(3, 1, 1), window(12)),
    "maximum with dilation": (lambda: nn.MaxPool2d((1, 2), 1, dilation=(1, 2)), window(6, 2, 3)),
    "mean of 2 x 2": (lambda: nn.AvgPool2d(2), window(2, 4, 4)),
    "mean of 3 x 3 that overlap": (lambda: nn.AvgPool2d(3, 2, 1), window(4, 6, 6)),
    "mean of 3 x 3 without the padding": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), window(4, 6, 6)),
    "mean of 3 x 3, the last incomplete": (lambda: nn.AvgPool2d((3, 2), 2, ceil_mode=True), window(2, 6, 6)),
    "mean of parts of several sizes": (lambda: nn.AdaptiveAvgPool2d((2, 3)), window(6, 4, 4)),
    "powers' mean": (lambda: nn.LPPool2d(2, 2), window(2, 4, 4)),
}


def all_coalitions(players):
    return torch.tensor(list(product([False, True], repeat=players)))


@pytest.mark.parametrize("name", WINDOWS)
def test_every_coalition_has_the_models_own_value(name):
    make, expected = WINDOWS[name]
    images = noise(2, 4, 3, 4, dtype=torch.float64)
    model = head(nn.ReLU6(), make(), nn.GELU())
    game = game_of(model, images, "rest", 0)
    assert game.structure.window == expected
    assert game.structure.averages_positions == (expected is None)
    coalitions = all_coalitions(12)
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner_for(600), WindowSumRunner)
    assert relative_difference(values, values_without_shortcut(game, coalitions), game) < 1e-12
    assert relative_difference(values[:, ::97], by_hand(game, coalitions[::97]), game) < 1e-12


APART = {
    "5 x 5": lambda: conv(5, padding=2),
    "two windows after each other": lambda: nn.Sequential(conv(3, padding=1), nn.GELU(), conv(3, padding=1)),
    "a maximum of 3 x 3 behind a window": lambda: nn.Sequential(conv(3, padding=1), nn.MaxPool2d(3, 1, 1)),
    "around the edge": lambda: conv(3, padding=1, padding_mode="circular"),
    "transposed": lambda: nn.ConvTranspose2d(4, 4, 3, padding=1),
    "squeeze and excitation": lambda: nn.Sequential(
        conv(3, padding=1), Do(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid())
    ),
    "a shifted neighbour beside": lambda: Do(lambda self, x: self.a(x) + x.roll(1, 3), a=conv(3, padding=1)),
    "a map of another order": lambda: Do(lambda self, x: self.a(x) + x.mT, a=conv(3, padding=1)),
    "a window of another map": lambda: Do(
        lambda self, x: self.a(x.reshape(len(x), 4, 2, 8)).reshape(x.shape), a=conv(3, padding=1)
    ),
    "normed over the map": lambda: nn.Sequential(conv(3, padding=1), nn.GroupNorm(2, 4)),
    "the whole map in the window": lambda: Do(
        lambda self, x: self.a(x) + x.amax((2, 3), keepdim=True), a=conv(3, padding=1)
    ),
}


@pytest.mark.parametrize("name", APART)
def test_what_looks_further_is_played_as_it_is(name):
    images = noise(1, 4, 4, 4, dtype=torch.float64)
    model = head(APART[name](), nn.GELU())
    game = game_of(model, images, "rest", 0)
    coalitions = random_coalitions(1, 1200, 16)
    assert game.structure == NEITHER
    game.value(coalitions)
    torch.testing.assert_close(game.value(coalitions[:, :60]), by_hand(game, coalitions[:, :60]))
    assert isinstance(game._coalitions.runner_for(600), GeneralRunner)


@pytest.mark.parametrize(
    "pool",
    [lambda a: a.amax((2, 3)), lambda a: a.mean(3).relu().mean(2), lambda a: a.sort(3).values.mean((2, 3))],
    ids=["maximum", "mean of rows, then ReLU", "sorted"],
)
def test_other_poolings_of_windows_are_no_shortcut(pool):
    assert structure(head(conv(3, padding=1), pool=pool), noise(1, 4, 4, 4, dtype=torch.float64)) == NEITHER


def test_a_window_beside_the_position_itself_under_two_means_is_no_sum():
    """Each mean alone is a sum; of a window it is not one over players."""
    both = Toy(
        nn.Sequential(
            Do(lambda self, a: self.f(a).mean((2, 3)) + a.mean((2, 3)), f=conv(3, padding=1)), nn.Linear(4, 3)
        )
    )
    images = noise(2, 4, 4, 4, dtype=torch.float64)
    assert structure(both, images) == NEITHER
    game = game_of(both.double(), images, "rest", 0)
    coalitions = random_coalitions(2, 40, 16)
    torch.testing.assert_close(game.value(coalitions), by_hand(game, coalitions))


def test_an_affine_head_of_a_window_is_no_sum_over_players():
    model = Toy(nn.Sequential(conv(3, padding=1), nn.GELU(), Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3)))
    found = structure(model, noise(2, 4, 4, 4, dtype=torch.float64))
    assert found.window is not None
    assert not found.is_sum


def test_few_coalitions_are_run_by_the_head_itself():
    game = game_of(head(conv(3, padding=1), nn.GELU()), noise(1, 4, 4, 4, dtype=torch.float64), "rest", 0)
    assert game.structure.window is not None
    assert isinstance(game._coalitions.runner_for(255), GeneralRunner)
    assert isinstance(game._coalitions.runner_for(256), WindowedRunner)


def test_what_was_asked_before_changes_no_bit():
    game = game_of(head(conv(3, padding=1), nn.GELU()), noise(1, 4, 4, 4, dtype=torch.float64), "rest", 0)
    few, many = random_coalitions(1, 20, 16), random_coalitions(1, 600, 16)
    first = game.value(few), game.value(many)
    assert torch.equal(game.value(many), first[1])
    assert torch.equal(game.value(few), first[0])


def test_a_head_that_hides_what_it_reads_is_not_trusted():
    """The probes find it: the table cannot know of what the whole map decides unseen."""
    model = head(conv(3, padding=1), Do(lambda x: F.gelu(x) * (1 + (x.detach() * 0 + x.detach().amax())).sign()))
    images = noise(1, 4, 4, 4, dtype=torch.float64)
    assert structure(model, images) == NEITHER


@pytest.mark.parametrize("shape", [lambda a: (a.shape[0], -1), lambda a: (a.shape[0], 4)])
def test_a_head_that_counts_its_rows_before_the_mean_is_played_as_it_is(shape):
    """The table's maps are run one at a time, so that it would count one."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = conv(3, padding=1), nn.Linear(4, 3)

        def forward(self, a):
            size = shape(a)
            return self.fc(F.gelu(self.conv(a)).mean((2, 3)).view(size))

    game = game_of(Toy(nn.Sequential(Counting())).double(), noise(2, 4, 4, 4, dtype=torch.float64), "rest", 0)
    coalitions = random_coalitions(2, 600, 16)
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner_for(600), GeneralRunner)
    assert relative_difference(values, values_without_shortcut(game, coalitions), game) < 1e-12


REAL = {
    ("efficientnet_lite0", 160, "blocks.5"): 25,
    ("torchvision:mobilenet_v2", 96, "features.16"): 9,
}
"""Two sizes of windows; coalitions of more networks: test_shortcuts_on_real_networks.py."""


@pytest.mark.parametrize("key", REAL, ids=str)
def test_real_heads(key, explainer):
    name, size, layer = key
    model = explainer.model if name == explainer.name else network(name, size)
    game = game_of(model, noise(2, 3, size, size), "rest", [3, 500], layer)
    coalitions = random_coalitions(2, 600, REAL[key])
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner_for(600), WindowedRunner)
    expected = values_without_shortcut(game, coalitions[:, :50])
    assert relative_difference(values[:, :50], expected, game) < 1e-5
    assert expected.std(1).min() > 1e-3 * expected.abs().max()


def test_overlapping_maxima_before_a_linear_layer_of_all_positions():
    """AlexNet: its untrained scores are so small that those of the other classes would drown them.

    Its classifier is narrow here: a table of 4,608 windows is run through a layer that reads all 9,216 numbers.
    """
    game = game_of(network("torchvision:alexnet", 127), noise(2, 3, 127, 127), "logit", [3, 500], "features.11")
    assert game.structure.window == window(9)
    coalitions = random_coalitions(2, 300, game.n_players)
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner_for(300), WindowedRunner)
    expected = values_without_shortcut(game, coalitions[:, :50])
    assert relative_difference(values[:, :50], expected, game) < 1e-5
    assert expected.std(1).min() > 0.05 * expected.abs().max()


def test_regions_of_positions_take_it_too():
    images = noise(2, 4, 4, 4, dtype=torch.float64)
    game = game_of(head(conv(3, padding=1), nn.GELU()), images, "rest", 0, players=(2, 3))
    coalitions = all_coalitions(6).repeat(10, 1)
    values = game.value(torch.cat([coalitions, coalitions]))
    assert isinstance(game._coalitions.runner_for(600), WindowedRunner)
    assert relative_difference(values[:, :64], values_without_shortcut(game, coalitions[:64]), game) < 1e-12


def test_a_window_of_one_position_is_no_window():
    assert structure(head(conv(), nn.GELU())) == AVERAGED


POOLED = {
    "mean of half": (lambda a: a[..., :2].mean((2, 3)), 8),
    "mean of rows, then of these": (lambda a: a.mean(3).mean(2), 16),
    "sum": (lambda a: a.sum((2, 3)), 16),
    "weights of the map": (lambda a: (a * torch.arange(16.0).to(a).reshape(4, 4)).sum((2, 3)), 16),
    "a linear layer of everything": (lambda a: a.flatten(1) @ noise(64, 4).to(a), 16),
    "four quarters and a linear layer": (lambda a: F.adaptive_avg_pool2d(a, 2).flatten(1) @ noise(16, 4).to(a), 16),
}


@pytest.mark.parametrize("name", POOLED)
def test_windows_are_summed_up_by_any_weights(name):
    pool, windows = POOLED[name]
    game = game_of(head(conv(3, padding=1), nn.GELU(), pool=pool), noise(2, 4, 4, 4, dtype=torch.float64), "rest", 0)
    assert game.structure.window == window(windows)
    coalitions = random_coalitions(2, 600, 16)
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner_for(600), WindowedRunner)
    assert relative_difference(values, values_without_shortcut(game, coalitions), game) < 1e-12


class TestTheTableIsMadeWhereItIsWorthIt:
    def test_a_wide_sum_costs_more(self):
        """Four windows of 16 contents that add up 40 numbers each, where a run of the head holds 80 at a time."""
        assert Window(4, 4, 4, 40).runs(80) == 32
        assert Window(4, 4, 4, 40).runs(1000) == 16

    def test_before_a_wide_layer_few_coalitions_run_through_the_head(self):
        torch.manual_seed(0)
        wide = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 400), nn.Tanh(), nn.Linear(400, 3))
        model = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), wide).eval()
        game = Explainer(model, layer="0", utility="rest", device="cpu").game(torch.rand(1, 3, 16, 16))
        assert game.structure.window == Window(4, 4, 4)
        # 16 contents of windows that add up 4 x 400 numbers, where the largest of the head has 400: 64 runs
        few, many = (torch.rand(count, 16, generator=torch.Generator().manual_seed(1)) < 0.5 for count in (31, 32))
        values = game.value(few)
        assert game.shortcut is None
        torch.testing.assert_close(game.value(torch.cat([few, many]))[:, :31], values, rtol=1e-3, atol=1e-5)
        assert game.shortcut == "windowed"
