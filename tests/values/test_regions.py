"""Regions of cells as players, and the prefix tokens of a transformer as one more."""

from __future__ import annotations

import pytest
import timm
import torch

from helpers.games import AMPLE
from helpers.networks import Smooth
from shapleycam import Explainer, values


@pytest.fixture(scope="module")
def tokens():
    """A small vision transformer of 4 x 4 patches, with weights large enough for its tokens to matter."""
    torch.manual_seed(7)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, depth=3, num_classes=10)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.15)
    return Explainer(model.double().eval(), layer="blocks.1.norm1", memory=AMPLE)


@pytest.fixture
def image():
    return torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def sum_over_regions(cellwise, rows, columns):
    """Sum values of 4 x 4 cells and the prefix tokens by regions."""
    grid = cellwise[:, :16].reshape(-1, rows, 4 // rows, columns, 4 // columns).sum((2, 4)).flatten(1)
    return torch.cat([grid, cellwise[:, 16:]], 1)


def test_the_prefix_tokens_are_one_more_player(tokens, image):
    game = tokens.game(image, target=3, players=(2, 2))
    assert game.n_players == 5
    exact = values.exact(game)
    torch.testing.assert_close(exact.values.sum(1), game.grand, atol=1e-9, rtol=1e-9)
    assert float(exact.values.abs().min()) > 1e-4 * float(game.grand.abs())
    assert game.players.prefix(exact.values).tolist() == exact.values[:, -1].tolist()


def test_the_prefix_players_value_is_that_of_its_tokens(tokens, image):
    """With all cells one region there are two players: each earns half of what it adds first and last."""
    game = tokens.game(image, target=3, players=(1, 1))
    cells, prefix = game.activation.clone(), game.activation.clone()
    cells[:, 0], prefix[:, 1:] = 0, 0
    worth = [float(game.utility_at(part) - game.empty) for part in (cells, prefix, game.activation)]
    expected = [(worth[0] + worth[2] - worth[1]) / 2, (worth[1] + worth[2] - worth[0]) / 2]
    for estimate in (values.exact(game), values.permutation(game, orders=8)):
        assert estimate.values[0].tolist() == pytest.approx(expected, abs=1e-9)


def test_sampled_values_of_tokens_are_the_exact_ones(tokens, image):
    game = tokens.game(image, target=3, players=(2, 2))
    truth, sampled = values.exact(game).values, values.permutation(game, orders=100)
    low, high = sampled.interval(0.9999)
    assert bool(((low <= truth) & (truth <= high)).all())
    assert float(sampled.uncertainty) < 0.1


@pytest.mark.parametrize(
    "estimate",
    [
        lambda game: values.taylor(game, 1),
        lambda game: values.taylor(game, 2),
        lambda game: values.path(game, nodes=1),
        lambda game: values.path(game, nodes=6),
    ],
    ids=["first order", "second order", "one node", "six nodes"],
)
@pytest.mark.parametrize("players", [(2, 2), (4, 1)])
def test_derivatives_of_a_region_are_sums_over_its_cells(tokens, image, estimate, players):
    cellwise = estimate(tokens.game(image, target=3)).values
    of_regions = estimate(tokens.game(image, target=3, players=players)).values
    torch.testing.assert_close(of_regions, sum_over_regions(cellwise, *players), atol=1e-10, rtol=1e-9)
    assert float(of_regions[:, :-1].abs().min()) > 1e-6


@pytest.mark.parametrize("players", [(2, 2), (1, 4)])
def test_of_a_convolution_too(players):
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    explainer = Explainer(Smooth(), layer="features", utility="rest")
    for estimate in (values.taylor, values.path):
        cellwise = estimate(explainer.game(images, target=0)).values
        of_regions = estimate(explainer.game(images, target=0, players=players)).values
        torch.testing.assert_close(of_regions, sum_over_regions(cellwise, *players), atol=1e-12, rtol=1e-9)


def test_of_an_additive_game_regions_earn_what_their_cells_do():
    """And of others they do not: what two cells earn together is theirs only as one player."""
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 4
    explainer = Explainer(Smooth(), layer="features", utility="rest")
    cellwise = values.permutation(explainer.game(images, target=0), orders=400).values
    of_regions = values.exact(explainer.game(images, target=0, players=(2, 2))).values
    torch.testing.assert_close(of_regions.sum(1), cellwise.sum(1), atol=1e-9, rtol=0)
    assert float((of_regions - sum_over_regions(cellwise, 2, 2)).abs().max()) > 1e-4
