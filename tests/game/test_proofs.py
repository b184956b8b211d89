"""What the operations of a head prove: toy heads, most of which look like a plain mean to the numbers at hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import ChannelsLast, Tokens, noise, pooling
from helpers.networks import Toy
from helpers.toy_heads import (
    APART,
    ASLEEP,
    AVERAGED,
    BOTH,
    MEAN,
    NEITHER,
    POOLINGS,
    SUM,
    Cube,
    Do,
    assert_right,
    beside,
    conv,
    inactive_relu,
    residual,
    square_images,
    structure,
    to_last,
)
from shapleycam.errors import ReplayError
from shapleycam.game.head_recording import record_head
from shapleycam.game.structure import Structure
from shapleycam.game.window import Window
from shapleycam.game.windows import prove_window_sum
from shapleycam.models.layout import Layout

# What treats each position alike and by itself

ALIKE = {
    "nothing": (nn.Identity, BOTH),
    "convolution of size 1": (conv, BOTH),
    "convolution of size 1 in groups": (lambda: conv(groups=2), BOTH),
    "batch norm": (lambda: nn.BatchNorm2d(4), BOTH),
    "layer scale": (lambda: Do(lambda self, x: x * self.gamma, gamma=noise(4, 1, 1)), BOTH),
    "divided by a number": (lambda: Do(lambda x: x / 3.5), BOTH),
    "linear, channels last": (lambda: to_last(nn.Linear(4, 4)), BOTH),
    "linear without bias, channels last": (lambda: to_last(nn.Linear(4, 4, bias=False)), BOTH),
    "linear, over rows": (
        lambda: Do(
            lambda self, x: self.fc(x.flatten(2).mT.reshape(-1, 4)).view(len(x), -1, 4).mT.unflatten(2, x.shape[2:]),
            fc=nn.Linear(4, 4),
        ),
        BOTH,
    ),
    "a sum of two branches": (lambda: Do(lambda self, x: self.a(x) - self.b(x), a=conv(), b=nn.BatchNorm2d(4)), BOTH),
    "there and back": (lambda: Do(lambda x: x.transpose(1, 3).transpose(1, 3).contiguous()), BOTH),
    "flattened and not": (lambda: Do(lambda x: x.flatten(2).view(x.shape)), BOTH),
    "channels shuffled": (lambda: Do(lambda x: x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)), BOTH),
    "layer norm, channels last": (lambda: to_last(nn.LayerNorm(4)), SUM),
    "GELU": (nn.GELU, SUM),
    "SiLU in place": (lambda: nn.Sequential(conv(), nn.SiLU(inplace=True)), SUM),
    "ReLU6": (nn.ReLU6, SUM),
    "hard swish": (nn.Hardswish, SUM),
    "a product of two branches": (lambda: Do(lambda self, x: self.a(x) * x, a=conv()), SUM),
    "a square": (lambda: Do(lambda x: x * x), SUM),
    "a square too small to see": (lambda: Do(lambda x: x + (x * 1e-12) * (x * 1e-12)), SUM),
    "residual": (lambda: residual(nn.Sequential(conv(), nn.GELU(), conv())), SUM),
    "ConvNeXt's pointwise part": (
        lambda: residual(to_last(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 4)))),
        SUM,
    ),
    "asleep": (lambda: residual(inactive_relu()), SUM),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_treats_positions_alike(name):
    make, expected = ALIKE[name]
    model = pooling(make())
    assert structure(model) == expected
    assert_right(model, square_images())


@pytest.mark.parametrize("name", ["convolution of size 1", "layer scale", "ReLU6", "residual", "batch norm"])
@pytest.mark.parametrize("shape", [(3, 5), (1, 6), (7, 1)])
def test_maps_of_other_shapes(name, shape):
    make, expected = ALIKE[name]
    images = noise(2, 4, *shape, dtype=torch.float64)
    assert structure(pooling(make()), images) == expected
    assert_right(pooling(make()), images)


MEANS = {
    "adaptive pooling": lambda a: F.adaptive_avg_pool2d(a, 1).flatten(1),
    "mean": lambda a: a.mean((2, 3)),
    "mean, other way round": lambda a: a.mean((-1, -2)),
    "kept": lambda a: a.mean((2, 3), keepdim=True)[..., 0, 0],
    "flattened": lambda a: a.flatten(2).mean(2),
    "tokens": lambda a: a.flatten(2).mT.mean(1),
    "channels last": lambda a: a.permute(0, 2, 3, 1).mean((1, 2)),
}


@pytest.mark.parametrize("name", MEANS)
def test_means_over_positions(name):
    model = Toy(nn.Sequential(nn.GELU(), Do(MEANS[name]), nn.Linear(4, 3)))
    assert not structure(model).reads_mean
    linear = Toy(nn.Sequential(conv(), Do(MEANS[name]), nn.Linear(4, 3)))
    assert structure(linear).reads_mean
    for each in (model, linear):
        assert_right(each, square_images())


AFTER = {
    "nothing": (nn.Identity, BOTH),
    "linear": (lambda: nn.Linear(4, 4), BOTH),
    "batch norm": (lambda: nn.BatchNorm1d(4), BOTH),
    "scaled": (lambda: Do(lambda self, x: 2 * x - x / self.by, by=torch.tensor([1.0, 2.0, 3.0, 4.0])), BOTH),
    "two branches": (lambda: Do(lambda self, x: self.a(x) + x, a=nn.Linear(4, 4)), BOTH),
    "ReLU": (nn.ReLU, MEAN),
    "layer norm": (lambda: nn.LayerNorm(4), MEAN),
    "softmax": (lambda: nn.Softmax(1), MEAN),
    "one channel's maximum": (lambda: Do(lambda x: x - x.amax(1, keepdim=True)), MEAN),
    "a square": (lambda: Do(lambda x: x * x), MEAN),
    "one by another": (lambda: Do(lambda x: x / (1 + x.abs())), MEAN),
    "custom function": (lambda: Do(Cube.apply), MEAN),
    "asleep": (lambda: Do(lambda x: x + F.relu(x + ASLEEP)), MEAN),
    "clamp asleep": (lambda: Do(lambda x: x.clamp(-1e6, 1e6)), MEAN),
    "absolute value of what is positive": (lambda: Do(lambda x: (x + 1e3).abs()), MEAN),
    "product asleep": (lambda: Do(lambda x: x + F.relu(x - 1e3) * x), MEAN),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_follows_the_mean(name):
    make, expected = AFTER[name]
    model = pooling(conv(), make())
    assert structure(model) == expected
    assert_right(model, square_images())
    both = pooling(nn.GELU(), make())
    assert structure(both) == (SUM if expected.is_sum else AVERAGED)
    assert_right(both, square_images())


# What does not


GAMES_APART = [name for name in APART if name != "statistics of the batch"]


def test_statistics_of_the_batch_are_no_game():
    model = pooling(nn.Sequential(APART["statistics of the batch"], nn.GELU()))
    with pytest.raises(ReplayError, match=r"the rows of a batch influence each other.*there is no game"):
        structure(model)


@pytest.mark.parametrize("name", GAMES_APART)
def test_what_looks_at_other_positions_ends_the_proof(name):
    """In plain sight, and in a unit that sleeps, so that no number at hand gives it away."""
    assert not structure(pooling(nn.Sequential(APART[name], nn.GELU()))).is_sum
    assert structure(beside(APART[name])) == NEITHER


def test_a_sleeping_unit_of_each_position_does_not_end_the_proof():
    assert structure(beside(nn.Identity())) == structure(beside(nn.GELU())) == SUM


@pytest.mark.parametrize("name", GAMES_APART)
def test_values_of_what_looks_at_other_positions(name):
    assert_right(pooling(nn.Sequential(APART[name], nn.GELU())), square_images())


WEIGHTED = replace(AVERAGED, is_affine=True)
OTHER_SUMS = {
    "sum": WEIGHTED,
    "mean of half": WEIGHTED,
    "mean of rows, then ReLU": Structure(window=Window(count=4, cells=4, colours=4), is_affine=True),
}


@pytest.mark.parametrize("name", POOLINGS)
def test_other_poolings_end_the_proof(name):
    model = Toy(nn.Sequential(Do(POOLINGS[name]), nn.Linear(4, 3)))
    assert structure(model) == OTHER_SUMS.get(name, NEITHER)
    assert_right(model, square_images())


def test_a_mean_over_one_axis_is_a_sum_with_the_linear_layer_behind_it():
    model = Toy(nn.Sequential(Do(lambda a: a.mean(2).flatten(1)), nn.Linear(16, 3)))
    assert structure(model) == WEIGHTED
    assert_right(model, square_images())


@pytest.mark.parametrize(
    "pool",
    [lambda a: a.mean((0, 2, 3)).expand(len(a), 4), lambda a: a.mean((2, 3)) - a.mean((0, 2, 3))],
    ids=["of all images", "less that of all images"],
)
def test_a_mean_over_the_batch_is_no_game(pool):
    """What a coalition is worth would depend on those that happen to run beside it."""
    with pytest.raises(ReplayError, match=r"the rows of a batch influence each other.*there is no game"):
        structure(Toy(nn.Sequential(Do(pool), nn.Linear(4, 3))))


def test_a_linear_layer_on_a_view_has_the_right_values():
    """PyTorch adds its bias by itself there, so that nothing proves that all positions get the same."""
    model = Toy(nn.Sequential(Do(lambda a: a.permute(0, 2, 3, 1)), nn.Linear(4, 4), Do(lambda a: a.mean((1, 2)))))
    assert_right(model, square_images())


# Layouts


@pytest.mark.parametrize(("after", "expected"), [(nn.Identity, BOTH), (nn.GELU, MEAN)])
@pytest.mark.parametrize(
    "before", [nn.Identity, lambda: nn.Linear(4, 4), lambda: nn.LayerNorm(4)], ids=["", "linear", "layer norm"]
)
@pytest.mark.parametrize(("kind", "places"), [(Tokens, 1), (ChannelsLast, (1, 2))])
def test_channels_last_and_tokens(kind, places, before, after, expected):
    model = kind(nn.Sequential(before(), Do(lambda a: a.mean(places)), after(), nn.Linear(4, 3)))
    normed = isinstance(model.head[0], nn.LayerNorm)
    assert structure(model) == (AVERAGED if normed and expected == MEAN else SUM if normed else expected)
    assert_right(model, square_images())


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        (Tokens, lambda a: a.mean(2)[:, :4], WEIGHTED),  # the linear layer sums four tokens
        (ChannelsLast, lambda a: a.mean((2, 3)), NEITHER),
        (ChannelsLast, lambda a: a.mean((1, 3)), NEITHER),
        (ChannelsLast, lambda a: a.permute(0, 3, 1, 2).mean((1, 2)), NEITHER),
    ],
)
def test_a_mean_over_the_wrong_axes_of_a_square(kind, mean, expected):
    model = kind(nn.Sequential(Do(mean), nn.Linear(4, 3)))
    assert structure(model) == expected
    assert_right(model, square_images())


def test_a_class_token_is_no_position_of_the_map():
    model = Tokens(nn.Sequential(Do(lambda a: a.mean(1)), nn.Linear(4, 3)), prefix=1)
    assert structure(model) == WEIGHTED
    assert_right(model, square_images())


@pytest.mark.parametrize(
    "head",
    [
        lambda a, w: torch.addmm((a[:, 0].flatten(1) - 50).relu(), a.flatten(1), w[:, :4]),
        lambda a, w: torch.addmm(a.mean((2, 3)), a.flatten(1), w[:, :3]),
        lambda a, w: torch.addmm(a[:, 0].flatten(1), a.flatten(1), w[:, :4], beta=0.5),
    ],
    ids=["a bias that sleeps", "a mean as bias", "a weighted bias"],
)
def test_a_product_whose_bias_depends_on_the_positions_is_no_sum_by_a_matrix(head):
    recording = record_head(lambda a: head(a, torch.rand(12, 5)), torch.rand(2, 3, 2, 2))
    assert prove_window_sum(recording, Layout("NCHW", (2, 2))) is None


def test_a_product_that_is_multiplied_is_no_sum_by_its_matrix():
    recording = record_head(
        lambda a: torch.addmm(torch.ones(5), a.flatten(1), torch.rand(12, 5), alpha=0.5), torch.rand(2, 3, 2, 2)
    )
    assert prove_window_sum(recording, Layout("NCHW", (2, 2))) is None
