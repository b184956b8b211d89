"""Values of coalitions, worked out by hand, for every memory limit and batch size."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from helpers.masked_games import by_hand, game_of, heads, network, noise, random_coalitions, relative_difference
from helpers.networks import Toy, linear, logits, power, quadratic
from shapleycam.errors import OptionError, ReplayError
from shapleycam.game import Game
from shapleycam.models.layout import Layout
from shapleycam.tracing import trace
from shapleycam.utilities import UTILITIES

PRECISIONS = {torch.float32: 1e-5, torch.float64: 1e-12}


# By pencil


def test_linear_head_by_pencil():
    """v(S) = Σ over j in S of Σ_k w_kj a_kj."""
    weight, images = noise(2, 2, 3, seed=5, dtype=torch.float64), noise(3, 2, 2, 3, dtype=torch.float64)
    coalitions = random_coalitions(3, 7, 6)
    shares = (images * weight).sum(1).flatten(1)
    torch.testing.assert_close(game_of(linear(weight), images).value(coalitions), (coalitions * shares[:, None]).sum(2))


@pytest.mark.parametrize("exponent", [1, 2, 3])
def test_power_by_pencil(exponent):
    """v(S) = (Σ over S of a)^p."""
    images, coalitions = noise(2, 3, 2, 2, dtype=torch.float64), random_coalitions(2, 9, 4)
    sums = (coalitions * images.sum(1).flatten(1)[:, None]).sum(2)
    torch.testing.assert_close(game_of(power(exponent), images).value(coalitions), sums**exponent)


def test_quadratic_by_pencil():
    """v(S) = w·a_S + a_S·M·a_S: the constant is in the empty coalition's utility, which is taken off."""
    weight, matrix = noise(4, seed=1, dtype=torch.float64), noise(4, 4, seed=2, dtype=torch.float64)
    matrix = matrix + matrix.T
    images = noise(1, 1, 2, 2, dtype=torch.float64)
    game = game_of(quadratic(weight, matrix, constant=0.7), images)
    a = images.flatten()
    coalitions = torch.tensor([[True, False, False, True], [False, True, False, False]])
    pair = a[0] * weight[0] + a[3] * weight[3] + a[0] ** 2 * matrix[0, 0] + a[3] ** 2 * matrix[3, 3]
    pair += 2 * a[0] * a[3] * matrix[0, 3]
    single = a[1] * weight[1] + a[1] ** 2 * matrix[1, 1]
    torch.testing.assert_close(game.value(coalitions)[0], torch.stack([pair, single]))
    assert float(game.empty) == pytest.approx(0.7)


@pytest.mark.parametrize("structure", heads())
@pytest.mark.parametrize("utility", UTILITIES)
def test_nobody_is_worth_nothing_and_all_are_worth_the_grand_value(structure, utility):
    images = noise(3, 4, 3, 4, dtype=torch.float64)
    game = game_of(heads()[structure].double(), images, utility, target=[0, 2, 1])
    ends = torch.tensor([[False], [True]]).expand(2, 12)
    expected = torch.stack([torch.zeros(3, dtype=torch.float64), game.grand], 1)
    torch.testing.assert_close(game.value(ends), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(game.grand, game.full - game.empty)
    assert game.grand.abs().min() > 1e-4


# By hand

REAL = {
    "NCHW": ("torchvision:mobilenet_v2", 96, "features.16", 9),
    "NHWC": ("torchvision:swin_t", 64, "features.5", 16),
    "tokens": ("timm:vit_tiny_patch16_224", 64, "blocks.10", 17),
}


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("layout", REAL)
def test_real_networks_masked_by_hand(layout, dtype):
    name, size, layer, players = REAL[layout]
    model = network(name, size).to(dtype)
    try:
        game = game_of(model, noise(2, 3, size, size, dtype=dtype), "rest", [3, 700], layer)
        assert (game.layout.kind, game.n_players) == (layout, players)
        coalitions = random_coalitions(2, 5, players)
        coalitions[:, 0, -1], coalitions[:, 1, -1] = True, False  # the last player of tokens is the prefix
        values, expected = game.value(coalitions), by_hand(game, coalitions)
        assert values.dtype == dtype
        assert relative_difference(values, expected, game) < PRECISIONS[dtype]
        assert expected.std(1).min() > 1e-4
    finally:
        model.float()


def test_the_last_player_of_tokens_is_the_prefix():
    game = game_of(network("timm:vit_tiny_patch16_224", 64), noise(1, 3, 64, 64), "logit", 5, "blocks.10")
    only, without = torch.zeros(2, 17, dtype=torch.bool)
    only[-1], without[:-1] = True, True
    with torch.no_grad():
        class_token = torch.zeros_like(game.activation)
        class_token[:, 0] = game.activation[:, 0]
        expected = (
            torch.stack([game.utility_at(class_token), game.utility_at(game.activation - class_token)], 1)
            - game.empty[:, None]
        )
    torch.testing.assert_close(game.value(torch.stack([only, without])), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("structure", heads())
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_toy_heads_masked_by_hand(structure, dtype):
    game = game_of(heads()[structure].to(dtype), noise(3, 4, 3, 5, dtype=dtype), "rest", [0, 1, 2])
    coalitions = random_coalitions(3, 20, 15)
    values = game.value(coalitions)
    assert values.dtype == dtype
    assert relative_difference(values, by_hand(game, coalitions), game) < PRECISIONS[dtype]


@pytest.mark.parametrize("structure", heads())
def test_the_same_coalitions_for_all_images(structure):
    game, coalitions = game_of(heads()[structure], noise(3, 4, 2, 2), "rest"), random_coalitions(6, 4)
    values = game.value(coalitions)
    assert values.shape == (3, 6)
    torch.testing.assert_close(values, game.value(coalitions.expand(3, 6, 4)))
    assert (values[0] - values[1]).abs().max() > 1e-3


@pytest.mark.parametrize("structure", heads())
@pytest.mark.parametrize("chosen", [[1], [2, 0], [0, 0, 1], range(1, 3), torch.tensor([2, 1])], ids=str)
def test_some_of_the_images(structure, chosen):
    game, coalitions = game_of(heads()[structure], noise(3, 4, 2, 3), "rest", [0, 1, 2]), random_coalitions(3, 6, 6)
    rows = torch.as_tensor(chosen)
    expected = by_hand(game, coalitions)[rows]
    torch.testing.assert_close(game.value(coalitions[rows], images=chosen), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        game.value(coalitions[0], images=chosen), by_hand(game, coalitions[0])[rows], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
@pytest.mark.parametrize("structure", heads())
def test_no_coalitions_are_no_values(structure, shape):
    game = game_of(heads()[structure], noise(2, 4, 2, 2))
    assert game.value(torch.zeros(shape, dtype=torch.bool)).shape == (2, 0)


# The caller's surroundings


@pytest.mark.parametrize("structure", heads())
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_values_inside_the_callers_modes(structure, mode):
    model, images, coalitions = heads()[structure], noise(2, 4, 3, 3), random_coalitions(8, 9)
    expected = by_hand(game_of(model, images), coalitions)
    with mode():
        values = game_of(model, images.clone(), "logit").value(coalitions.clone())
    assert not values.requires_grad
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("structure", heads())
def test_values_of_frozen_and_training_models(structure):
    model, images, coalitions = heads()[structure], noise(2, 4, 3, 3), random_coalitions(8, 9)
    expected = game_of(model, images).value(coalitions)
    model.requires_grad_(requires_grad=False).train()
    game = game_of(model, images)
    torch.testing.assert_close(game.value(coalitions), expected, rtol=0, atol=0)
    assert all(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert (game.structure.reads_mean, game.structure.is_sum) == (structure == "pooled", structure == "summed")


@pytest.mark.parametrize("structure", heads())
def test_values_twice_are_the_same_values(structure):
    game, coalitions = game_of(heads()[structure], noise(2, 4, 2, 2)), random_coalitions(2, 5, 4)
    copy = coalitions.clone()
    before = game.value(coalitions)
    game.value(~coalitions)
    assert game.value(coalitions).equal(before)
    assert coalitions.equal(copy)


# Memory and batches


class Counted:
    """Where a module counts: a private copy has copies of all that its forward uses but other classes."""

    rows: ClassVar[list[int]] = []


class Rows(nn.Module):
    """Record how many rows each call has."""

    def forward(self, x):
        Counted.rows.append(len(x))
        return x


@pytest.mark.parametrize("memory", [1, 700, 5_000, 2**20])
@pytest.mark.parametrize("structure", heads())
def test_values_do_not_depend_on_the_memory(structure, memory):
    model, images, coalitions = heads()[structure], noise(3, 4, 3, 4), random_coalitions(3, 17, 12)
    game = game_of(model, images, "rest", [1, 0, 2], memory=memory)
    torch.testing.assert_close(game.value(coalitions), by_hand(game, coalitions), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("structure", "checked", "at_once", "little"), [("general", 0, 1, 3_000), ("pooled", 4 + 2, 4, 1_000)]
)
def test_the_memory_is_how_many_rows_run_at_once(structure, checked, at_once, little):
    rows, coalitions = Rows(), random_coalitions(2, 9, 6)
    model = heads()[structure]
    model.head = nn.Sequential(rows, model.head)

    def largest(memory):
        game = game_of(model, noise(2, 4, 2, 3), memory=memory)
        game.value(coalitions)  # proves the structure, on a few rows
        Counted.rows.clear()
        game.value(coalitions)
        return max(Counted.rows), sum(Counted.rows)

    assert largest(1) == (at_once, 18 + checked)  # a shortcut's values are looked at again, a few at once
    assert largest(2**26) == (18, 18 + checked)
    few, total = largest(little)
    assert at_once < few < 18
    assert total == 18 + checked


class Stem(nn.Module):
    """Something large before the layer."""

    def forward(self, x):
        return x.repeat_interleave(16, 2).repeat_interleave(16, 3)


class Staged(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.stem, self.features, self.head = Stem(), nn.AvgPool2d(16), head

    def forward(self, x):
        return self.head(self.features(self.stem(x)))


def rows_at_once(make, *after, memory=60_000):
    """How many of 40 coalitions of 256 bytes run together through a head that no shortcut fits."""
    rows, images = Rows(), noise(1, 4, 4, 4)
    model = make(nn.Sequential(rows, nn.MaxPool2d(3, 1, 1), *after, nn.LazyLinear(3)))
    model(images)
    game = game_of(model, images, memory=memory)
    Counted.rows.clear()
    game.value(random_coalitions(40, 16))
    return max(Counted.rows)


def test_the_memory_counts_the_largest_tensor_after_the_layer():
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    assert rows_at_once(Toy, *pool) == 40
    assert rows_at_once(Toy, nn.Conv2d(4, 64, 1), nn.ReLU(), *pool) in range(4, 15)  # 4096 bytes a row


@pytest.mark.parametrize(
    ("make", "after"),
    [(Toy, [nn.Flatten(), nn.Linear(64, 100), nn.ReLU()]), (Staged, [nn.AdaptiveAvgPool2d(1), nn.Flatten()])],
    ids=["weights", "what came before the layer"],
)
def test_the_memory_does_not_count_what_takes_none_of_it(make, after):
    """A weight seen from another side, and the shape of what came before the layer, are not there row by row."""
    assert rows_at_once(make, *after) == 40


@pytest.mark.parametrize("structure", heads())
def test_values_do_not_depend_on_the_batch(structure):
    model, images, coalitions = heads()[structure], noise(6, 4, 3, 3), random_coalitions(6, 11, 9)
    targets = [0, 1, 2, 2, 1, 0]
    together = game_of(model, images, "rest", targets).value(coalitions)
    order = [4, 1, 5]
    mates = game_of(model, images[order], "rest", [targets[i] for i in order]).value(coalitions[order])
    torch.testing.assert_close(mates, together[order], rtol=0, atol=1e-5)
    for index in range(6):
        alone = game_of(model, images[index : index + 1], "rest", targets[index])
        torch.testing.assert_close(alone.value(coalitions[index])[0], together[index], rtol=0, atol=1e-5)
        torch.testing.assert_close(
            alone.value(coalitions[index, [3]]), together[index : index + 1, [3]], rtol=0, atol=1e-5
        )


# Refusals


def error_of(game, *arguments, kind=OptionError, **options):
    with pytest.raises(kind) as refused:
        game.value(*arguments, **options)
    return str(refused.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("coalitions", "kind"),
    [
        (torch.ones(3, 4), r"torch.float32"),
        (torch.ones(3, 4, dtype=torch.long), r"torch.int64"),
        (np.ones((3, 4), dtype=bool), "ndarray"),
        ([[True, False, True, False]], "list"),
    ],
)
def test_coalitions_are_booleans(coalitions, kind):
    assert error_of(game_of(power(2), noise(2, 2, 2, 2)), coalitions) == (
        f"coalitions are {kind}; expected booleans (s, 4) or (2, s, 4), True for a player that takes part"
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(3, 5), (3, 3), (4,), (3, 1, 4), (1, 3, 4), (2, 3, 5), (1, 2, 3, 4)])
def test_coalitions_of_another_size(shape):
    assert error_of(game_of(power(2), noise(2, 2, 2, 2)), torch.ones(shape, dtype=torch.bool)) == (
        f"coalitions have shape {shape}; expected booleans (s, 4) or (2, s, 4)"
    )


@pytest.mark.usefixtures("unchecked")
def test_coalitions_for_another_number_of_images():
    game = game_of(power(2), noise(3, 2, 2, 2))
    assert error_of(game, torch.ones(3, 5, 4, dtype=torch.bool), images=[0, 2]) == (
        "coalitions have shape (3, 5, 4); expected booleans (s, 4) or (2, s, 4)"
    )


@pytest.mark.parametrize("memory", [0, -5])
def test_no_memory(memory):
    with pytest.raises(OptionError) as refused:
        game_of(power(2), noise(1, 2, 2, 2), memory=memory)
    assert str(refused.value) == (
        f"memory is {memory}; expected the number of bytes that a batch of coalitions may take"
    )


def test_a_utility_that_is_not_a_number_for_some_coalition():
    def root(output, target):
        return output[:, 0].sqrt()

    images = torch.tensor([3.0, 2.0, -1.0, -1.5]).reshape(1, 1, 2, 2)
    game = game_of(power(1), images, root)
    fine = torch.tensor([[True, True, True, True], [True, False, True, False]])
    torch.testing.assert_close(game.value(fine), torch.tensor([[2.5, 2.0]]).sqrt())
    assert error_of(game, torch.tensor([[True, False, True, False], [False, False, True, True]])) == (
        "utility 'root' is not finite ([nan]) where some players are removed; expected a finite number an image: "
        "choose another removal, or another utility"
    )


def test_a_utility_that_is_infinite_with_nobody_there():
    """log 0: no coalition has a worth, not even one whose own utility is finite."""

    def log(output, target):
        return output[:, 0].log()

    game = game_of(power(1), torch.tensor([3.0, 2.0, 1.0, 1.5]).reshape(1, 1, 2, 2), log)
    assert error_of(game, torch.ones(2, 4, dtype=torch.bool)) == (
        "utility 'log' is not finite ([-inf]) where all players are removed; expected a finite number an image: "
        "choose another removal, or another utility"
    )


def test_a_utility_that_is_not_a_number_at_the_image():
    def log(output, target):
        return output[:, 0].log()

    with pytest.raises(
        OptionError, match=r"utility 'log' is not finite \(\[nan\]\); expected a finite number an image"
    ):
        game_of(Toy(lambda a: logits(a.flatten(1).sum(1))), -torch.ones(1, 1, 2, 2), log)


@pytest.mark.parametrize("structure", heads())
def test_a_pass_that_was_not_recorded(structure):
    traced = trace(heads()[structure], noise(2, 4, 2, 2), "features")
    game = Game(traced, Layout("NCHW", (2, 2)), UTILITIES["rest"], torch.tensor([0, 1]))
    assert game.full.isfinite().all()
    message = "this pass was not recorded for replay; trace the model with replay=True"
    assert error_of(game, torch.ones(1, 4, dtype=torch.bool), kind=ReplayError) == message
    for ask in (lambda: game.structure, lambda: game.grand, lambda: game.gradient_along([0.5], [1.0])):
        with pytest.raises(ReplayError, match=message):
            ask()
