"""Players: cells, grids of regions, labelled regions, and one player for the prefix tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.masked_games import Tokens, by_hand, game_of, heads, noise, random_coalitions
from helpers.networks import linear, logits, power
from shapleycam import Explainer
from shapleycam.errors import OptionError
from shapleycam.game.game import Game
from shapleycam.game.players import make_players
from shapleycam.game.variants import game_of_images, game_with_utility
from shapleycam.models.layout import Layout
from shapleycam.utilities import UTILITIES
from shapleycam.values import exact

GRID = Layout("NCHW", (4, 6))
CPU = torch.device("cpu")

HALVES = [[0, 0, 0, 1, 1, 1]] * 4
CORNER = [[7, 7, 2, 2, 2, 2], [7, 7, 2, 2, 2, 2], [2, 2, 2, 2, 2, -5], [2, 2, 2, 2, -5, -5]]
"""Three regions whose names are neither consecutive nor in order of appearance: -5, 2, 7 become 0, 1, 2."""


def members(game, image=0):
    """The number of each cell's player."""
    return game.layout.cells(game.players.member.double())[image].long().tolist()


def region_game(regions, images=None, model=None, **options):
    images = noise(2, 4, 4, 6, dtype=torch.float64) if images is None else images
    return game_of(model or heads()["general"].double(), images, players=regions, **options)


# Grids


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((1, 1), [[0] * 6] * 4),
        ((2, 2), [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2),
        ((1, 4), [[0, 0, 1, 2, 2, 3]] * 4),
        ((3, 1), [[0] * 6] * 2 + [[1] * 6] + [[2] * 6]),
        ((np.int64(3), np.uint8(1)), [[0] * 6] * 2 + [[1] * 6] + [[2] * 6]),
        ((4, 6), torch.arange(24).reshape(4, 6).tolist()),
        (None, torch.arange(24).reshape(4, 6).tolist()),
    ],
)
def test_a_grid_of_regions(grid, expected):
    game = region_game(grid)
    assert members(game) == expected
    assert game.n_players == 1 + max(map(max, expected))


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data())
@settings(max_examples=60, deadline=None)
def test_regions_of_a_grid_differ_by_one_row_and_column_at_most(size, data):
    rows, columns = data.draw(st.integers(1, size[0])), data.draw(st.integers(1, size[1]))
    players = make_players((rows, columns), Layout("NCHW", size), 2, CPU)
    assert players.count == rows * columns
    cells = players.member[1].reshape(size)
    heights = (cells[:, 0] // columns).bincount(minlength=rows)
    widths = (cells[0] % columns).bincount(minlength=columns)
    for sides, count in ((heights, rows), (widths, columns)):
        assert len(sides) == count
        assert 1 <= int(sides.min()) <= int(sides.max()) <= int(sides.min()) + 1
    assert cells.equal((cells[:, :1] // columns) * columns + cells[:1] % columns)


@pytest.mark.parametrize("structure", heads())
def test_a_region_is_all_of_its_cells(structure):
    """The game of regions is the game of cells, for coalitions that keep regions whole."""
    model, images = heads()[structure], noise(2, 4, 4, 6)
    coalitions = random_coalitions(2, 7, 6)
    values = game_of(model, images, "rest", players=(2, 3)).value(coalitions)
    whole = coalitions.unflatten(2, (2, 3)).repeat_interleave(2, 2).repeat_interleave(2, 3).flatten(2)
    torch.testing.assert_close(values, by_hand(game_of(model, images, "rest"), whole), rtol=0, atol=1e-5)


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        CORNER,
        np.array(CORNER),
        np.array(CORNER, dtype=np.int16),
        torch.tensor(CORNER),
        torch.tensor(CORNER, dtype=torch.int8),
        torch.tensor([CORNER]),
        np.array([CORNER] * 2),
        np.array(CORNER, dtype=">i4"),
        np.array(CORNER)[:, ::-1].copy()[:, ::-1],
        np.broadcast_to(np.array(CORNER), (2, 4, 6)),
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')} {len(labels)}",
)
def test_labels_of_every_kind(labels):
    game = region_game(labels)
    assert game.n_players == 3
    expected = [[{-5: 0, 2: 1, 7: 2}[name] for name in row] for row in CORNER]
    assert members(game, 0) == members(game, 1) == expected


def test_labelled_regions_by_pencil():
    """Behind a linear head a region is worth the sum of its cells' w·a."""
    weight, images = noise(2, 4, 6, seed=3, dtype=torch.float64), noise(2, 2, 4, 6, dtype=torch.float64)
    cells = (weight * images).sum(1)
    labels = torch.tensor(CORNER)
    expected = torch.stack([(cells * (labels == name)).sum((1, 2)) for name in (-5, 2, 7)], 1)
    game = region_game(CORNER, images, linear(weight))
    torch.testing.assert_close(game.value(torch.eye(3, dtype=torch.bool)), expected)
    torch.testing.assert_close(exact(game).values, expected)


@pytest.mark.parametrize("structure", heads())
def test_regions_of_each_image(structure):
    """Images with regions of their own play as they do alone; where one has fewer, the others' players are dummies."""
    model, images = heads()[structure].double(), noise(3, 4, 4, 6, dtype=torch.float64)
    maps = torch.stack([torch.tensor(CORNER), torch.tensor(HALVES), torch.arange(24).reshape(4, 6) // 5])
    counts = [3, 2, 5]
    game = region_game(maps, images, model, utility="rest", target=[0, 1, 2])
    assert game.n_players == 5
    values = exact(game).values
    coalitions = random_coalitions(3, 9, 5)
    worth = game.value(coalitions)
    for index, count in enumerate(counts):
        alone = region_game(maps[index], images[index : index + 1], model, utility="rest", target=index)
        assert alone.n_players == count
        torch.testing.assert_close(alone.value(coalitions[index, :, :count])[0], worth[index], rtol=0, atol=1e-10)
        torch.testing.assert_close(values[index, :count], exact(alone).values[0], rtol=0, atol=1e-10)
        assert not values[index, count:].abs().gt(1e-12).any()
        assert values[index, :count].abs().min() > 1e-4


def test_a_dummys_presence_changes_nothing():
    maps = torch.stack([torch.tensor(CORNER), torch.tensor(HALVES)])
    game = region_game(maps)
    coalitions = random_coalitions(2, 8, 3)
    with_it, without = coalitions.clone(), coalitions.clone()
    with_it[..., 2], without[..., 2] = True, False
    present, absent = game.value(with_it), game.value(without)
    torch.testing.assert_close(present[1], absent[1], rtol=0, atol=0)
    assert (present[0] - absent[0]).abs().min() > 1e-6


# Totals and cells

maps = st.integers(1, 4).flatmap(
    lambda batch: st.lists(st.lists(st.integers(-3, 9), min_size=24, max_size=24), min_size=batch, max_size=batch)
)


@given(maps, st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_totals_and_cells_share_what_there_is(labels, prefix):
    labels = torch.tensor(labels).reshape(-1, 4, 6)
    layout = Layout("tokens", (4, 6), prefix)
    players = make_players(labels, layout, len(labels), CPU)
    values = noise(len(labels), prefix + 24, seed=5, dtype=torch.float64)
    totals = players.totals(values)
    assert totals.shape == (len(labels), players.count)
    torch.testing.assert_close(totals.sum(1), values.sum(1))
    for image, names in enumerate(labels):
        for player, name in enumerate(names.unique()):
            expected = values[image, prefix:].reshape(4, 6)[names == name].sum()
            torch.testing.assert_close(totals[image, player], expected)
    shared = players.cells(totals)
    outside = players.prefix(totals)
    assert (outside is None) == (prefix == 0)
    rest = 0 if outside is None else outside
    torch.testing.assert_close(shared.sum((1, 2)) + rest, totals.sum(1))
    back = torch.cat([values.new_zeros(len(labels), prefix), shared.flatten(1)], 1)
    torch.testing.assert_close(
        players.totals(back)[:, : players.count - bool(prefix)], totals[:, : players.count - bool(prefix)]
    )
    for image, names in enumerate(labels):
        for name in names.unique():
            assert float(shared[image][names == name].std(unbiased=False)) < 1e-12


@given(maps)
@settings(max_examples=30, deadline=None)
def test_positions_show_their_players_entry(labels):
    labels = torch.tensor(labels).reshape(-1, 4, 6)
    players = make_players(labels, Layout("tokens", (4, 6), 1), len(labels), CPU)
    chosen = torch.tensor([0, len(labels) - 1, 0])
    entries = noise(3, 2, players.count, seed=6)
    shown = players.presence(entries, chosen)
    for row, image in enumerate(chosen.tolist()):
        numbers = labels[image].flatten().unique(return_inverse=True)[1]
        assert shown[row, :, 1:].equal(entries[row][:, numbers])
        assert shown[row, :, 0].equal(entries[row, :, -1])


@pytest.mark.parametrize("prefix", [1, 3])
@pytest.mark.parametrize("regions", [None, (2, 2), HALVES])
def test_prefix_tokens_are_one_player_and_the_last(prefix, regions):
    model = Tokens(lambda tokens: logits(tokens.flatten(1).sum(1) ** 3), prefix)
    images = noise(2, 3, 4, 6, dtype=torch.float64)
    game = region_game(regions, images, model)
    assert (game.layout.kind, game.layout.prefix) == ("tokens", prefix)
    only = torch.zeros(1, game.n_players, dtype=torch.bool)
    only[0, -1] = True
    outside = game.activation[:, :prefix].sum((1, 2))
    inside = images.sum((1, 2, 3))
    torch.testing.assert_close(game.value(torch.cat([only, ~only])), torch.stack([outside**3, inside**3], 1))
    torch.testing.assert_close(game.players.prefix(game.players.totals(game.activation.sum(2))), outside)


def test_an_explanation_of_regions_shares_a_regions_value_evenly():
    images = noise(1, 2, 4, 6, dtype=torch.float64)
    explainer = Explainer(power(2), layer="features", utility="logit")
    explanation = explainer.explain(images, "exactshapley", target=0, players=CORNER)
    shares = exact(explainer.game(images, target=0, players=CORNER)).values[0]
    labels = torch.tensor(CORNER)
    for share, name in zip(shares, (-5, 2, 7), strict=True):
        shown = explanation.values[0][labels == name]
        torch.testing.assert_close(shown, (share / len(shown)).expand(len(shown)).float())


# Refusals


def refusal(regions):
    with pytest.raises(OptionError) as refused:
        region_game(regions)
    return str(refused.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("grid", [(0, 2), (2, 0), (5, 1), (1, 7), (-1, 3)])
def test_a_grid_that_does_not_fit(grid):
    assert refusal(grid) == (
        f"players are a grid of {grid[0]} x {grid[1]} regions; expected 1 x 1 to 4 x 6, the layer's cells"
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.zeros((4, 6)), "torch.float64"),
        (torch.zeros(4, 6), "torch.float32"),
        ([[0.5] * 6] * 4, "torch.float32"),
        (torch.zeros(4, 6, dtype=torch.bool), "torch.bool"),
        (torch.zeros(4, 6, dtype=torch.complex64), "torch.complex64"),
        ((2.0, 2), "torch.float32"),
        ((True, True), "torch.bool"),
    ],
)
def test_labels_are_whole_numbers(labels, kind):
    assert refusal(labels) == f"players are labels of {kind}; expected whole numbers, one for each cell"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(6, 4), (4, 5), (24,), (3, 4, 6), (1, 1, 4, 6), (2, 6, 4), ()])
def test_labels_of_another_size(shape):
    hint = "; for a grid of regions give a tuple (rows, columns)" if len(shape) < 2 else ""
    assert refusal(torch.zeros(shape, dtype=torch.long)) == (
        f"players are labels of shape {shape}; expected the layer's cells, (4, 6), or (2, 4, 6) for all images{hint}"
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("regions", "kind"),
    [
        ({"rows": 2}, "a dict"),
        ([["a", "b"]], "a list"),
        ([[1], [2, 3]], "a list"),
        (object(), "a object"),
    ],
)
def test_what_no_labels_can_be_made_of(regions, kind):
    assert refusal(regions) == (
        f"players are {kind}; expected (rows, columns), or whole numbers (h, w) that name each cell's region, or of a "
        "game 'channels'"
    )


def test_a_grid_in_words():
    assert refusal("4x6") == (
        "players '4x6' are unknown; expected 'superpixels', 'superpixels:80', 'patches', of a game 'channels', or a "
        "grid of regions, such as players=(7, 7)"
    )


@pytest.mark.parametrize("regions", [(5, 1), [[1, 2], [3, 4]]])
def test_the_explainer_passes_a_refusal_on(regions):
    with pytest.raises(OptionError, match=r"players are .*; expected .*the layer's cells"):
        Explainer(power(2), layer="features").explain(noise(1, 2, 4, 6), "exactshapley", players=regions)


# Games beside a game


@pytest.mark.parametrize("name", ["general", "pooled", "summed"])
@pytest.mark.parametrize("removal", ["zero", "mean"])
def test_a_game_with_another_utility_has_the_same_regions_in_its_coalitions(name, removal):
    game = region_game(CORNER, model=heads()[name].double(), utility="rest", removal=removal)
    other = game_with_utility(game, UTILITIES["logit"])
    coalitions = random_coalitions(5, 3)
    assert other.n_players == game.n_players == 3
    of_cells = Game(other.trace, other.layout, other.utility, other.target, removal=other.removal)
    expected = by_hand(of_cells, coalitions[:, game.players.member[0]], game.contents.empty)
    torch.testing.assert_close(other.value(coalitions), expected)
    by_itself = region_game(CORNER, model=heads()[name].double(), utility="logit", removal=removal)
    torch.testing.assert_close(exact(other).values, exact(by_itself).values)


def test_a_game_of_changed_images_has_the_same_players_and_memory():
    game = region_game(CORNER)
    changed = game_of_images(game, game.images + 0.1)
    assert changed.players is game.players
    torch.testing.assert_close(changed.gradient(), region_game(None, images=game.images + 0.1).gradient())
