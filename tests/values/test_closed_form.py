"""Shapley values in closed form: against all coalitions, against sampling on real heads, and refused where unproven."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.games import shapley_of
from helpers.masked_games import game_of, network, noise, values_without_shortcut
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import values
from shapleycam.errors import OptionError, ReplayError
from shapleycam.utilities import contrast
from shapleycam.values._exact import members
from shapleycam.values._window_game import WindowGame, coalition_chances, mean_contents

HEADS = {
    "one position": conv,
    "3 x 3": lambda: conv(3, padding=1),
    "3 x 3 without padding": lambda: conv(3),
    "stride 2": lambda: conv(3, padding=1, stride=2),
    "dilation 2": lambda: conv(3, padding=2, dilation=2),
    "2 x 2": lambda: conv(2),
    "1 x 3": lambda: conv((1, 3), padding=(0, 1)),
}
UTILITIES = {
    "logit": "logit",
    "a contrast": contrast(2),
    "a difference of logits": lambda output, target: 2 * output[:, 1] - output[:, 2] / 3 + 7,
    "a logit less the mean": lambda output, target: output.gather(1, target[:, None])[:, 0] - output.mean(1),
}
CURVED = {
    "rest": "rest",
    "probability": "probability",
    "a product": lambda output, target: output[:, 0] * output[:, 1],
    "a square": lambda output, target: output[:, 0] ** 2,
    "a quotient": lambda output, target: 1 / (3 + output[:, 0]),
    "a maximum": lambda output, target: output.amax(1),
    "detached in part": lambda output, target: output[:, 0] + output[:, 1].detach() * output[:, 1].detach(),
    "a decision": lambda output, target: output[:, 0] if output[0, 0].item() > -1e9 else output[:, 1],
}


def head(before, tail=None):
    torch.manual_seed(0)
    return Toy(nn.Sequential(before, nn.GELU(), Do(lambda a: a.mean((2, 3))), tail or nn.Linear(4, 3))).double()


def by_all_coalitions(game):
    """The Shapley values of each image by the sum over the surpluses of all coalitions."""
    coalitions = members(torch.arange(2**game.n_players), game.n_players)
    return torch.stack([shapley_of(table) for table in game.value(coalitions)])


@pytest.mark.parametrize(
    ("name", "utility"),
    [*((name, "logit") for name in HEADS), *(("3 x 3", utility) for utility in UTILITIES if utility != "logit")],
)
def test_the_sum_over_all_coalitions_is_the_same(name, utility):
    game = game_of(head(HEADS[name]()), noise(2, 4, 3, 4, dtype=torch.float64), UTILITIES[utility])
    exact = values.exact(game)
    torch.testing.assert_close(exact.values, by_all_coalitions(game), atol=1e-10, rtol=0)
    torch.testing.assert_close(exact.values.sum(1), game.grand, atol=1e-10, rtol=0)
    assert exact.stderr is None
    assert int(exact.evaluations.max()) < 2**game.n_players


REGIONS = {
    "2 x 3 regions": (2, 3),
    "3 x 3 regions": (3, 3),
    "scattered regions": [[0, 1, 1, 2], [3, 1, 0, 4], [5, 6, 7, 0]],
    "each image its own": torch.arange(24).reshape(2, 3, 4) // 2 % 10,
}


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        *((name, "scattered regions") for name in HEADS),
        *(("3 x 3", regions) for regions in REGIONS if regions != "scattered regions"),
    ],
)
def test_regions_of_positions(name, regions):
    game = game_of(head(HEADS[name]()), noise(2, 4, 3, 4, dtype=torch.float64), players=REGIONS[regions])
    torch.testing.assert_close(values.exact(game).values, by_all_coalitions(game), atol=1e-10, rtol=0)


@pytest.mark.parametrize("utility", CURVED)
def test_what_is_no_affine_function_of_the_output_has_none(utility):
    game = game_of(head(conv(3, padding=1)), noise(1, 4, 5, 5, dtype=torch.float64), CURVED[utility])
    with pytest.raises(OptionError, match=r"the game has 25 players.* expected at most 20"):
        values.exact(game)


@pytest.mark.parametrize(
    "model",
    [
        lambda: head(conv(3, padding=1), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))),
        lambda: head(nn.Sequential(conv(3, padding=1), nn.GELU(), conv(3, padding=1))),
        lambda: head(conv(), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3))),
    ],
    ids=["curved behind the mean of windows", "two windows", "a norm of the mean"],
)
def test_logits_of_other_heads_have_none(model):
    game = game_of(model(), noise(1, 4, 5, 5, dtype=torch.float64))
    with pytest.raises(OptionError, match="expected at most 20 players"):
        values.exact(game)


REAL = [
    ("timm:efficientnet_lite0", "blocks.5", "windowed"),
    ("torchvision:mobilenet_v2", "features.16", "windowed"),
    ("timm:resnet18", "layer4", "summed"),
    ("timm:efficientnet_lite0", "blocks.6", "summed"),
]


@pytest.mark.parametrize(("name", "layer", "kind"), REAL)
def test_real_heads(name, layer, kind):
    """Nine regions against all of their coalitions, run by the head itself; and all players of the map."""
    images = noise(1, 3, 160, 160)
    game = game_of(network(name), images, layer=layer, players=(3, 3))
    exact = values.exact(game)
    table = values_without_shortcut(game, members(torch.arange(2**9), 9))[0]
    size = float(game.full.abs() + game.empty.abs())
    torch.testing.assert_close(exact.values[0], shapley_of(table.double()), atol=1e-5 * size, rtol=0)
    game = game_of(network(name), images, layer=layer)
    exact = values.exact(game)
    assert game.n_players == 25
    assert exact.evaluations.tolist() == [25 if kind == "summed" else 512]
    torch.testing.assert_close(exact.values.sum(1), game.grand.double(), atol=2e-5 * size, rtol=0)


def test_the_model_itself_is_asked_again(monkeypatch):
    game = game_of(head(conv(3, padding=1)), noise(1, 4, 5, 5, dtype=torch.float64))
    values.exact(game)
    monkeypatch.setattr(game, "value", lambda coalitions: torch.ones(1, len(coalitions), dtype=torch.float64))
    with pytest.raises(ReplayError, match="the model itself gives"):
        values.exact(game)


# The game of windows by itself


def random_window_game(n, bits, windows=5, terms=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    worth = torch.randn(windows, 2**bits, terms, dtype=torch.float64, generator=generator)
    of_bits = torch.randint(n + 1, (windows, bits), generator=generator)
    by_size = torch.randn(n + 1, terms, dtype=torch.float64, generator=generator)
    return WindowGame(worth, of_bits, by_size, torch.randn(terms, dtype=torch.float64, generator=generator))


def value_by_hand(game, coalition):
    sums = game.constants.clone()
    for worth, players in zip(game.worth, game.members.tolist(), strict=True):
        sums += worth[sum(1 << bit for bit, player in enumerate(players) if player in coalition)]
    return float(sums @ game.by_size[len(coalition)])


@pytest.mark.parametrize(("n", "bits"), [(1, 1), (2, 4), (5, 3), (8, 4), (7, 9)])
def test_terms_that_depend_on_the_size(n, bits):
    game = random_window_game(n, bits, seed=n)
    coalitions = members(torch.arange(2**n), n)
    table = game.value(coalitions)
    by_hand = [value_by_hand(game, set(row.nonzero().flatten().tolist())) for row in coalitions]
    torch.testing.assert_close(table, torch.tensor(by_hand, dtype=torch.float64))
    torch.testing.assert_close(game.shapley(), shapley_of(table), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("n", "k"), [(3, 3), (6, 2), (9, 4), (5, 0)])
def test_chances_are_those_of_all_coalitions(n, k):
    coalitions = members(torch.arange(2**n), n)
    sizes = coalitions.sum(1)
    certain, held = torch.arange(k), torch.arange(k)
    for p in range(k + 1):
        fits = (coalitions[:, certain] == (held < p)).all(1)
        expected = [float(fits[sizes == size].double().mean()) for size in range(n + 1)]
        chances = coalition_chances(n, k, torch.zeros(1, dtype=torch.float64))[:, p]
        torch.testing.assert_close(chances, torch.tensor(expected, dtype=torch.float64))


def test_mean_contents_are_those_of_all_coalitions():
    game = random_window_game(6, 4)
    coalitions = members(torch.arange(2**6), 6)
    likely = mean_contents(game.members, 6, torch.tensor([0, 2, 6]), game.worth)
    for index, size in enumerate([0, 2, 6]):
        mean = (likely[index][..., None] * game.worth).sum((0, 1)) + game.constants
        chosen = coalitions[coalitions.sum(1) == size]
        expected = float(game.value(chosen).mean())
        assert float(mean @ game.by_size[size]) == pytest.approx(expected)
