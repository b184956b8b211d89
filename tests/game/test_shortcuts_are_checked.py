"""Values are right, or refused, where the numbers at hand or autograd do not show what a head does."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import by_hand, game_of, pooling, random_coalitions
from helpers.networks import Toy
from helpers.toy_heads import (
    APART,
    AVERAGED,
    BOTH,
    NEITHER,
    POOLINGS,
    SUM,
    Do,
    assert_right,
    beside,
    inactive_relu,
    residual,
    square_images,
    structure,
)
from shapleycam.errors import ReplayError

# Sleepers that other images wake


def noise_with_a_strong_image(images=6, awake=5):
    """Return images of noise; one of them is two hundred times as strong."""
    pictures = square_images(images)
    pictures[awake] *= 200
    return pictures


SLEEPERS = {
    "at each position": pooling(residual(inactive_relu())),
    "after the mean": pooling(None, Do(lambda x: x + 5 * F.relu(x - 20))),
    "next to the mean": Toy(nn.Sequential(Do(POOLINGS["mean and a sleeping corner"]), nn.Linear(4, 3))),
    **{
        f"behind {name}": beside(APART[name])
        for name in (
            "3 x 3 convolution",
            "maximum pooling",
            "weights of the map",
            "linear over positions",
            "linear over a row of any length",
            "reshaped across channels",
            "and the transposed",
            "by the transposed",
            "and its quarters transposed",
            "seen with other strides",
            "largest anywhere",
        )
    },
}


@pytest.mark.parametrize("name", SLEEPERS)
def test_values_are_right_for_images_that_wake_a_sleeper(name):
    """Neither the image that the graph is read from nor those of the coalitions that are tried first do."""
    images, model = noise_with_a_strong_image(), SLEEPERS[name].double()
    assert_right(model, images)
    assert_right(model, images[5:])
    with torch.no_grad():
        asleep, awake = (model.eval()(some) for some in (images[5:] / 200, images[5:]))
        straight = model(images[5:] * 0) + 200 * (asleep - model(images[5:] * 0))
    assert (awake - straight).abs().max() > 1


@pytest.mark.parametrize("name", ["and the transposed", "and its quarters transposed"])
def test_a_sleeper_that_one_pair_of_positions_wakes(name):
    """ReLU(a_i + a_j - 100) needs both: no sum over positions, though only few coalitions show it."""
    images = square_images(6) / 10
    for y, x in ((0, 2), (2, 0)):
        images[5, :, y, x] += 60  # the transposed of each other, and in the transposed quarters
    model = beside(APART[name])
    assert structure(model, images) == NEITHER
    assert_right(model, images)


# What no recording sees


def copy_memory(a):
    """Return a copy of a tensor that is read from its memory, as a library in C does: no call of PyTorch shows it."""
    a = a.contiguous()
    with torch._C.DisableTorchFunction():
        content = ctypes.string_at(a.data_ptr(), a.numel() * a.element_size())
    return torch.frombuffer(bytearray(content), dtype=a.dtype).reshape(a.shape)


class Unseen(nn.Module):
    """The mean, and a hundred where the activation is one that it looks at without PyTorch's knowledge."""

    def __init__(self, looks_like, before=None):
        super().__init__()
        self.before = before or nn.Identity()
        self.looks_like = looks_like

    def forward(self, a):
        hit = self.looks_like(copy_memory(a)).to(a.dtype)
        return self.before(a).mean((2, 3)) + 100 * hit[:, None]


def pair_alone(a):
    """Return whether only the first and the last position are present."""
    present = a.ne(0).any(1).flatten(1)
    ends = torch.zeros_like(present)
    ends[:, 0] = ends[:, -1] = True
    return (present == ends).all(1) & (present.shape[1] > 1)


PAIR = torch.zeros(1, 16, dtype=torch.bool)
PAIR[0, 0] = PAIR[0, -1] = True


@pytest.mark.parametrize("before", [None, nn.GELU()], ids=["reads the mean", "is a sum"])
def test_what_is_not_seen_is_found_by_running_again(before):
    model = Toy(nn.Sequential(Unseen(pair_alone, before), nn.Linear(4, 3)))
    game = game_of(model.double(), square_images(), "logit", 0)
    assert game.structure == (SUM if before else BOTH)
    with pytest.raises(ReplayError) as refused:
        game.value(PAIR)
    true_utilities = by_hand(game, PAIR) + game.empty[:, None]
    message = str(refused.value)
    assert message.startswith("layer 'features': the model itself gives utility ")
    printed = message.split("gives utility ")[1].split(", the shortcut that", maxsplit=1)[0].split(", ")
    assert all(
        any(float(printed_utility) == pytest.approx(float(true_utility), rel=1e-4) for true_utility in true_utilities)
        for printed_utility in printed
    )
    assert "the shortcut that its recorded operations allow " in message
    assert message.endswith(
        "; expected the same: something there reads the activation unseen by autograd (detach, no_grad), so mend "
        "that, or choose another layer"
    )


def test_what_is_not_seen_among_others_is_found_in_time():
    """A tenth of the coalitions: two are looked at again each time, so that thirty calls do not all miss it."""
    model = Toy(nn.Sequential(Unseen(pair_alone), nn.Linear(4, 3)))
    game = game_of(model.double(), square_images(), "logit", 0)
    coalitions = random_coalitions(10, 16)
    coalitions[3] = PAIR[0]

    def often():
        for _ in range(30):
            game.value(coalitions)

    with pytest.raises(ReplayError, match="the model itself gives utility"):
        often()


def hidden_score(a, *, detached):
    """A hundred where the first and the last position alone are there, hidden from autograd."""
    if detached:
        return 100 * pair_alone(a.detach())[:, None]
    with torch.no_grad():
        return 100 * pair_alone(a)[:, None]


@pytest.mark.parametrize("before", [nn.Identity(), nn.GELU()], ids=["reads the mean", "is a sum"])
@pytest.mark.parametrize("detached", [False, True])
def test_what_is_hidden_from_autograd_alone_ends_the_proof(before, detached):
    pool = Do(lambda self, a: self.before(a).mean((2, 3)) + hidden_score(a, detached=detached), before=before)
    model = Toy(nn.Sequential(pool, nn.Linear(4, 3)))
    assert structure(model) == NEITHER
    assert_right(model, square_images(), PAIR.expand(3, 1, 16))


@pytest.mark.parametrize(
    "pool",
    [
        lambda a: a.mean((2, 3)) * (a.detach().flatten(1).amax(1, keepdim=True) > 1.5),
        lambda a: a.mean((2, 3)) + a.detach().amax((2, 3)),
        lambda a: (a * (a.detach().amax((2, 3), keepdim=True) > 1)).mean((2, 3)),
    ],
    ids=["gate", "maximum", "gate before the mean"],
)
def test_what_numbers_show_is_no_shortcut(pool):
    assert structure(Toy(nn.Sequential(Do(pool), nn.Linear(4, 3)))) == NEITHER


def test_a_maximum_seen_without_gradients_has_the_right_values():
    model = Toy(nn.Sequential(Do(lambda a: a.mean((2, 3)) + a.detach().amax((2, 3))), nn.Linear(4, 3)))
    assert_right(model, square_images())


def test_a_wrong_gradient_along_the_path_is_found():
    """Unseen at whole images and coalitions of them, and there at half their strength."""
    images = square_images().clamp(-1, 1)
    images[:, 0, 0, 0] = 3.0
    half = Unseen(lambda a: (a.flatten(1).amax(1) - 1.5).abs() < 0.25)
    game = game_of(Toy(nn.Sequential(half, nn.Linear(4, 3))).double(), images, "logit", 0)
    assert game.structure.reads_mean
    game.gradient_along([0.1, 0.9, 1.0], [1.0, 1.0, 1.0])
    with pytest.raises(ReplayError, match=r"the model itself gives utility .* unseen by autograd"):
        game.gradient_along([0.1, 0.5, 1.0], [1.0, 1.0, 1.0])


# Heads that do not take one position


def check_size_with(kind):
    def check(a):
        if a.shape[-1] != 4:
            raise kind("expected 4 x 4 cells")
        return a

    return check


def assert_size(a):
    assert a.shape[-2:] == (4, 4), "expected 4 x 4 cells"
    return a


FIXED = {
    "raises RuntimeError": check_size_with(RuntimeError),
    "raises ValueError": check_size_with(ValueError),
    "raises NotImplementedError": check_size_with(NotImplementedError),
    "raises IndexError": check_size_with(IndexError),
    "asserts": assert_size,
    "view": lambda a: a.view(-1, 4, 4, 4),
    "reads a cell": lambda a: a + 0 * float(a.detach()[0, 0, 3, 3]),
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("after", [nn.Identity, nn.GELU])
def test_a_head_of_one_size_is_run_as_it_is(name, after):
    model = pooling(Do(FIXED[name]), after())
    assert structure(model) == NEITHER
    game = assert_right(model, square_images())
    gradient = game.gradient_along([0.5], [1.0])
    torch.testing.assert_close(gradient, game.gradient(0.5 * game.activation))


@pytest.mark.parametrize("pool", [nn.AvgPool2d(4), nn.AvgPool2d(3), nn.Conv2d(4, 4, 4)])
def test_pooling_of_a_fixed_size_is_never_run_on_a_single_position(pool):
    model = Toy(nn.Sequential(pool, nn.Flatten(), nn.Linear(4, 3)))
    assert structure(model) == replace(AVERAGED, is_affine=True)
    assert_right(model, square_images())


def test_a_head_that_knows_how_many_positions_there_were():
    """At one position it is another function: the numbers show it."""
    model = Toy(nn.Sequential(Do(lambda a: a.mean((2, 3)) * a.shape[2]), nn.Linear(4, 3)))
    assert structure(model) == NEITHER
    assert_right(model, square_images())
