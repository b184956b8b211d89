"""Channels as players: by pencil, against the model with channels removed by a hook, and nearly pooled heads."""

from __future__ import annotations

from itertools import permutations

import pytest
import timm
import torch
from torch import nn

from helpers.networks import Toy, logits
from shapleycam import Explainer, values
from shapleycam.errors import OptionError, ReplayError
from shapleycam.game import Game
from shapleycam.game.channels import channel_layout
from shapleycam.models.layout import Layout

SIZE = 16


def pictures(count=2, dtype=torch.float32):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).to(dtype)


def body(channels=6):
    return nn.Sequential(nn.Conv2d(3, channels, 5, stride=4), nn.ReLU())


class Parts(nn.Module):
    """A body, whose output is explained, and a head of any kind."""

    def __init__(self, head, channels=6):
        super().__init__()
        self.body, self.head = body(channels), head

    def forward(self, x):
        return self.head(self.body(x))


class Squeeze(nn.Module):
    """Squeeze and excitation of the maps."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(6, 6)

    def forward(self, x):
        return x * self.gate(x.mean((2, 3))).sigmoid()[:, :, None, None]


class MeanAndMaximum(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) + x.amax((2, 3))


class ClassAndPatches(nn.Module):
    """A transformer of one block that explains tokens with a class token before them."""

    def __init__(self):
        super().__init__()
        shape = {"img_size": SIZE, "patch_size": 8, "embed_dim": 6, "depth": 1, "num_heads": 2, "num_classes": 5}
        self.vit = timm.models.VisionTransformer(**shape)

    def forward(self, x):
        return self.vit(x)


def mean_and(*layers):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


def network(make):
    torch.manual_seed(3)
    return make().eval()


POOLED = {
    "linear": lambda: Parts(mean_and(nn.Linear(6, 5))),
    "linear, then mean": lambda: Parts(nn.Sequential(nn.Conv2d(6, 4, 1), *mean_and(nn.Linear(4, 5)))),
    "batch norm, two layers": lambda: Parts(
        nn.Sequential(nn.BatchNorm2d(6), *mean_and(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 5)))
    ),
    "norm of the mean": lambda: Parts(mean_and(nn.LayerNorm(6), nn.Linear(6, 5))),
}
OTHERS = {
    "squeeze and excitation": lambda: Parts(nn.Sequential(Squeeze(), *mean_and(nn.Linear(6, 5)))),
    "mean and maximum": lambda: Parts(nn.Sequential(MeanAndMaximum(), nn.Linear(6, 5))),
    "units, then mean": lambda: Parts(nn.Sequential(nn.Conv2d(6, 4, 1), nn.Tanh(), *mean_and(nn.Linear(4, 5)))),
    "windows": lambda: Parts(nn.Sequential(nn.Conv2d(6, 4, 2), nn.ReLU(), *mean_and(nn.Linear(4, 5)))),
    "weights by position": lambda: Parts(nn.Sequential(nn.Flatten(), nn.Linear(6 * 9, 5))),
    "mean of channels": lambda: Parts(nn.Sequential(nn.Flatten(2), Transposed(), nn.Linear(9, 5), Mean())),
}


class Transposed(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2).transpose(1, 2)


class Mean(nn.Module):
    """The mean over channels: of a layer whose channels are as many as its positions it has the same shape."""

    def forward(self, x):
        return x.mean(1)


def with_hook(model, layer, images, keep, axis, stand_in=None):
    """Logits (s, classes) of one image whose channels are replaced in the model itself, for coalitions (s, k)."""

    def remove(_module, _inputs, output):
        shape = [1] * output.dim()
        shape[axis] = -1
        shown = keep.reshape(len(keep), *shape[1:]) if axis == 1 else keep[:, None]
        absent = torch.zeros_like(output) if stand_in is None else stand_in
        return torch.where(shown, output.expand(len(keep), *output.shape[1:]), absent)

    handle = model.get_submodule(layer).register_forward_hook(remove)
    try:
        with torch.no_grad():
            return model(images.expand(len(keep), *images.shape[1:]))
    finally:
        handle.remove()


def all_coalitions(n):
    return (torch.arange(2**n)[:, None] >> torch.arange(n)) % 2 == 1


def by_orders(worth, n):
    """Shapley values as the mean over all orders, of worth (2^n,) by coalition number."""
    totals = torch.zeros(n, dtype=torch.float64)
    orders = list(permutations(range(n)))
    for order in orders:
        before = 0
        for player in order:
            totals[player] += worth[before | 1 << player] - worth[before]
            before |= 1 << player
    return totals / len(orders)


def game_of(model, layer="body", utility="logit", **options):
    return Explainer(model, layer=layer, utility=utility, device="cpu").game(
        pictures(), target=1, players="channels", **options
    )


# By pencil


def product_game() -> Game:
    """The score is the product of two channels' means, 2 and -1; the empty coalition is worth 0."""
    image = torch.tensor([[[[1.0, 3.0]], [[2.0, -4.0]]]])
    model = Toy(lambda a: logits(a.mean((2, 3)).prod(1)))
    return Explainer(model, layer="features", utility="logit").game(image, target=0, players="channels")


def test_two_channels_that_are_worth_something_only_together():
    game = product_game()
    assert game.n_players == 2
    assert game.grand.tolist() == [-2]
    coalitions = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    assert game.value(coalitions).tolist() == [[0, 0, 0, -2]]
    assert values.exact(game).values.tolist() == [[-1, -1]]
    assert values.leave_one_out(game).values.tolist() == [[-2, -2]]
    assert values.single_inclusion(game).values.tolist() == [[0, 0]]
    assert values.banzhaf(game).values.tolist() == [[-1, -1]]
    # Along the way t·A the score is -2 t², of which each channel's derivative is half.
    torch.testing.assert_close(values.path(game).values, torch.tensor([[-1.0, -1.0]]))
    # -2 each at A, less half of the Hessian's -2 each.
    torch.testing.assert_close(values.taylor(game, 1).values, torch.tensor([[-2.0, -2.0]]))
    torch.testing.assert_close(values.taylor(game, 2).values, torch.tensor([[-1.0, -1.0]]))


def test_what_stands_in_has_its_own_mean():
    """R = (1, 0) by channel: v(S) of the second channel alone is 1·(-1), of the first 2·0, of nobody 1·0."""
    image = torch.tensor([[[[1.0, 3.0]], [[2.0, -4.0]]]])
    model = Toy(lambda a: logits(a.mean((2, 3)).prod(1)))
    explainer = Explainer(model, layer="features", utility="logit", removal=torch.tensor([1.0, 0.0]))
    game = explainer.game(image, target=0, players="channels")
    assert game.value(torch.tensor([[False, True], [True, False], [True, True]])).tolist() == [[-1, 0, -2]]
    assert values.exact(game).values.tolist() == [[-0.5, -1.5]]


# Against the model itself


CASES = {
    **{name: (make, "body", 1) for name, make in {**POOLED, **OTHERS}.items()},
    "class token": (ClassAndPatches, "vit.blocks.0.norm1", 2),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("removal", ["zero", "tensor"])
def test_every_coalition_is_the_model_with_channels_replaced(name, removal):
    make, layer, axis = CASES[name]
    model, keep = network(make), all_coalitions(6)
    stand_in = None
    if removal == "tensor":
        stand_in = torch.randn(6, generator=torch.Generator().manual_seed(2))
    game = game_of(model, layer, removal="zero" if stand_in is None else stand_in)
    shaped = None if stand_in is None else stand_in.reshape((1, 6, 1, 1) if axis == 1 else (1, 1, 6))
    expected = torch.stack([with_hook(model, layer, pictures()[i : i + 1], keep, axis, shaped)[:, 1] for i in range(2)])
    torch.testing.assert_close(game.value(keep), expected - expected[:, :1], rtol=1e-4, atol=1e-5)
    assert game.shortcut == ("channel_means" if name in POOLED else None)


@pytest.mark.parametrize("name", ["norm of the mean", "squeeze and excitation", "windows", "class token"])
def test_values_by_all_orders(name):
    make, layer, axis = CASES[name]
    model = network(make)
    worth = torch.stack(
        [with_hook(model, layer, pictures()[i : i + 1], all_coalitions(6), axis)[:, 1].double() for i in range(2)]
    )
    expected = torch.stack([by_orders(each, 6) for each in worth])
    game = game_of(model, layer)
    size = float(expected.norm())
    assert size > 1e-3
    torch.testing.assert_close(values.exact(game).values, expected, rtol=1e-3, atol=1e-5)
    sampled = values.permutation(game, orders=2000)
    assert float((sampled.values - expected).norm()) < 0.1 * size
    assert float(((sampled.values - expected) / sampled.stderr.clamp(min=1e-6)).abs().max()) < 6
    torch.testing.assert_close(sampled.values.sum(1), (worth[:, -1] - worth[:, 0]), rtol=1e-3, atol=1e-5)
    without = torch.stack([worth[:, -1] - worth[:, 63 - 2**k] for k in range(6)], 1)
    torch.testing.assert_close(values.leave_one_out(game).values, without, rtol=1e-3, atol=1e-5)


# Closed form


def test_of_a_logit_behind_mean_and_linear_layer_a_channel_is_worth_its_weight_times_its_mean():
    torch.manual_seed(0)
    model = Parts(mean_and(nn.Linear(40, 5)), channels=40).eval()
    game = game_of(model)
    expected = model.body(pictures()).mean((2, 3)) * model.head[2].weight[1]
    shares = values.exact(game)  # of 2^40 coalitions
    torch.testing.assert_close(shares.values, expected.detach().double(), rtol=1e-4, atol=1e-7)
    assert shares.evaluations.tolist() == [1, 1]
    assert shares.stderr is None


@pytest.mark.parametrize(
    ("head", "utility"),
    [("linear", "rest"), ("batch norm, two layers", "logit"), ("weights by position", "logit")],
)
def test_no_closed_form_where_utility_or_head_is_not_affine_in_the_means(head, utility):
    game = game_of(network(POOLED.get(head) or OTHERS[head]), utility=utility)
    assert values.exact(game).evaluations.tolist() == [64, 64]


def test_a_closed_form_that_the_model_contradicts_is_refused(monkeypatch):
    game = game_of(network(POOLED["linear"]))
    monkeypatch.setattr(game, "gradient", lambda: torch.ones_like(game.activation))
    with pytest.raises(ReplayError, match="the model itself gives utility"):
        values.exact(game)


# Layouts and refusals


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout("NCHW", (2, 3)), (2, 4, 2, 3)),
        (Layout("NHWC", (2, 3)), (2, 2, 3, 4)),
        (Layout("NCDHW", (2, 2, 3)), (2, 4, 2, 2, 3)),
        (Layout("NDHWC", (2, 2, 3)), (2, 2, 2, 3, 4)),
        (Layout("tokens", (2, 3), prefix=1), (2, 7, 4)),
    ],
    ids=str,
)
def test_each_layout_shows_channels_with_all_their_numbers(layout, shape):
    activation = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    channels = channel_layout(layout, activation)
    axis = 1 if layout.channels_first else len(shape) - 1
    assert channels.count == 4
    assert channels.fits(shape)
    assert not channels.fits((2, 5, *shape[2:]) if axis == 1 else (*shape[:-1], 5))
    contents = channels.positions(activation)
    for k in range(4):
        torch.testing.assert_close(contents[:, k], activation.select(axis, k).flatten(1))
    assert torch.equal(channels.from_positions(contents, shape), activation)
    numbers = torch.tensor([[1.0, 10, 100, 1000]])
    expected = activation.movedim(axis, -1) * numbers[0]
    assert torch.equal(activation * channels.broadcast(numbers), expected.movedim(-1, axis))
    assert channels.broadcast(numbers[:0]).shape[0] == 0
    with pytest.raises(TypeError, match="a channel alone is no activation of layout"):
        channels.single_position(contents[:, 0])


@pytest.mark.parametrize("method", ["sampledshapley", "gradcam", "ablationcam"])
def test_channels_make_no_map(method):
    explainer = Explainer(network(POOLED["linear"]), layer="body")
    with pytest.raises(OptionError, match=r"^players='channels' make no map, since a channel has no place; expect"):
        explainer.explain(pictures(), method, players="channels")


@pytest.mark.parametrize("name", ["channel", "Channels", "positions", ""])
def test_other_words_are_refused(name):
    explainer = Explainer(network(POOLED["linear"]), layer="body")
    expected = rf"^players '{name}' are unknown; expected .*, of a game 'channels', or a grid of regions"
    with pytest.raises(OptionError, match=expected):
        explainer.game(pictures(), players=name)


def test_an_image_is_by_itself_and_the_utility_any():
    model = network(POOLED["batch norm, two layers"])
    explainer = Explainer(model, layer="body", utility="rest")
    together = values.exact(explainer.game(pictures(3), target=[0, 1, 2], players="channels")).values
    alone = values.exact(explainer.game(pictures(3)[1:2], target=1, players="channels")).values
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-6)
