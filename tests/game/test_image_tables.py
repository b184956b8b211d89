"""Batches whose tables do not all fit into memory: the same values, and no table is made again for each round."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from helpers.masked_games import Tokens, game_of, noise
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import values
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts import class_token, window_sums
from shapleycam.game.shortcuts.image_tables import ImageTables
from values.test_attention_control import Reads

IMAGES = 5


def window_game(images):
    torch.manual_seed(0)
    tail = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Toy(nn.Sequential(conv(3, padding=1), nn.ReLU(), Do(lambda a: a.mean((2, 3))), tail)).double()
    return game_of(model, images, "rest")


def token_game(images):
    return game_of(Tokens(Reads("kinked"), 1).double(), images, "rest")


GAMES = {
    "windows": (window_game, 4 * noise(IMAGES, 4, 5, 5, dtype=torch.float64), window_sums, 25 * 512 * 4 * 8),
    "tokens": (token_game, noise(IMAGES, 8, 2, 5, dtype=torch.float64), class_token, None),
}
TOLERANCES = {window_game: 0.005, token_game: 0.02}
"""That take more than one round of some images."""


class Made:
    """Counts how often the table of each image is made, where two tables fit into memory."""

    def __init__(self, monkeypatch, module, size):
        self.images = []
        monkeypatch.setattr(module, "ImageTables", partial(self.tables, size))

    def tables(self, size, make, bytes_of):
        def counted(image):
            self.images.append(image)
            return make(image)

        return ImageTables(counted, bytes_of if size else lambda _: 1, 2 * size if size else 2)


def sampled(make_game, images):
    return values.permutation(make_game(images), tolerance=TOLERANCES[make_game])


@pytest.mark.parametrize("kind", GAMES)
def test_values_are_those_with_room_for_all_bit_for_bit(kind, monkeypatch):
    make_game, images, module, size = GAMES[kind]
    plain = sampled(make_game, images)
    made = Made(monkeypatch, module, size)
    shares = sampled(make_game, images)
    assert torch.equal(shares.values, plain.values)
    assert torch.equal(shares.stderr, plain.stderr)
    assert torch.equal(shares.evaluations, plain.evaluations)
    assert shares.notes == plain.notes
    assert len(set(made.images)) == IMAGES


@pytest.mark.parametrize("kind", GAMES)
def test_tables_are_made_three_times_at_most(kind, monkeypatch):
    """To prove or confirm the shortcut, to check it on the strongest image, and to play the image to its end."""
    make_game, images, module, size = GAMES[kind]
    made = Made(monkeypatch, module, size)
    counts = sampled(make_game, images).evaluations.tolist()
    assert len(set(counts)) > 1, "some images take more rounds than others"
    assert max(map(made.images.count, range(IMAGES))) <= 3, made.images


@pytest.mark.parametrize("kind", GAMES)
def test_the_head_runs_for_no_more_coalitions_than_checks_take(kind, monkeypatch):
    make_game, images, module, size = GAMES[kind]
    Made(monkeypatch, module, size)
    counts, outputs = [], GeneralRunner.outputs

    def counted(runner, presence, chosen):
        counts.append(presence.shape[:2].numel())
        return outputs(runner, presence, chosen)

    monkeypatch.setattr(GeneralRunner, "outputs", counted)
    shares = sampled(make_game, images)
    assert 0 < sum(counts) < int(shares.evaluations.sum()) / 10


@pytest.mark.parametrize("kind", GAMES)
def test_all_coalitions_at_once(kind, monkeypatch):
    """Of one call for all images, in the order of the images that were asked for."""
    make_game, images, module, size = GAMES[kind]
    coalitions = torch.rand(600, make_game(images).n_players, generator=torch.Generator().manual_seed(2)) > 0.5
    plain = make_game(images).value(coalitions)
    Made(monkeypatch, module, size)
    game = make_game(images)
    assert torch.equal(game.value(coalitions), plain)
    some = torch.tensor([4, 1, 3])
    assert torch.equal(game.value(coalitions, some), plain[some])


def test_groups_begin_with_the_tables_that_are_kept():
    tables = ImageTables(lambda image: image, lambda _: 1, 2)
    assert [tables[image] for image in (0, 1, 2, 1)] == [0, 1, 2, 1]
    assert tables.groups(5) == [[2, 1], [0, 3], [4]]
    assert ImageTables(lambda image: image, lambda _: 5, 2)[3] == 3
