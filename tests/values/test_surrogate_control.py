"""Sampling where a coalition costs a run of the head: surrogates fitted to other samples leave it right on average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import game_of, noise
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import values
from shapleycam.values._exact import members
from shapleycam.values._orders import OrderStreams, of_players, prefixes
from shapleycam.values._surrogate_control import Samples, Surrogate, SurrogateControl, fit_surrogate

PLAYERS = 9


def game_without_shortcut(kind, images=1):
    """Two convolutions of 3x3, each with what follows it: no shortcut takes such a head."""
    torch.manual_seed(0)
    after = {"smooth": nn.GELU(), "kinked": nn.ReLU(), "norm": nn.LayerNorm((4, 3, 4))}[kind]
    blocks = [conv(3, padding=1), after, conv(3, padding=1), after]
    head = nn.Sequential(*blocks, Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3))
    return game_of(Toy(head).double(), 4 * noise(images, 4, 3, 4, dtype=torch.float64), "rest")


def samples_of(worth, n, count, seed=0):
    """Samples of four orders of a game, given as a function from coalitions to utilities."""
    places = OrderStreams(n, torch.Generator().manual_seed(seed), has_prefix=False).draw(count)
    utilities = worth(prefixes(places).double()).flatten(0, 1)[None]
    return Samples(places, of_players(utilities, places[None])[0])


@pytest.mark.parametrize("kind", ["smooth", "kinked", "norm"])
def test_many_seeds_are_right_on_average_and_as_often_as_they_say(kind):
    game = game_without_shortcut(kind)
    assert game.shortcut is None
    truth = values.exact(game).values
    runs = [values.permutation(game, orders=64, seed=seed) for seed in range(40)]
    assert runs[0].notes[0] == (SurrogateControl.note,)
    held = torch.cat([(low <= truth) & (truth <= high) for low, high in (run.interval() for run in runs)])
    assert 0.92 <= float(held.double().mean()) <= 0.98
    estimates = torch.cat([run.values for run in runs])
    assert float(((estimates.mean(0) - truth[0]) / (estimates.std(0) / 40**0.5)).abs().max()) < 4
    torch.testing.assert_close(runs[0].values.sum(1), game.grand)


def test_an_image_gets_the_same_alone_and_with_batch_mates():
    both = values.permutation(game_without_shortcut("smooth", images=2), orders=64)
    alone = values.permutation(game_without_shortcut("smooth"), orders=64)
    torch.testing.assert_close(both.values[:1], alone.values)
    torch.testing.assert_close(both.stderr[:1], alone.stderr)


def test_the_closed_form_is_the_mean_over_all_coalitions():
    """The errors of all orders of a game have the mean 0; here they are summed over all coalitions instead."""
    knots = noise(3, PLAYERS, dtype=torch.float64)
    surrogate = Surrogate(
        noise(PLAYERS - 1, seed=1, dtype=torch.float64),
        knots - knots.mean(1, keepdim=True),
        noise(3, PLAYERS - 1, seed=2, dtype=torch.float64).abs(),
        torch.tensor(1.5, dtype=torch.float64),
    )
    coalitions = members(torch.arange(2**PLAYERS), PLAYERS)
    sizes = coalitions.sum(1)
    weights = torch.zeros(PLAYERS + 1, PLAYERS, dtype=torch.float64)
    weights[1:PLAYERS] = surrogate.hats.mT @ surrogate.knots
    means = torch.cat([torch.zeros(1), surrogate.means, torch.tensor([1.5])])
    table = means[sizes] + (coalitions * weights[sizes]).sum(1)
    expected = torch.zeros(PLAYERS, dtype=torch.float64)
    for player in range(PLAYERS):
        for size in range(PLAYERS):
            outside = (~coalitions[:, player] & (sizes == size)).nonzero().flatten()
            expected[player] += (table[outside + 2**player] - table[outside]).mean() / PLAYERS
    places = torch.rand(5, 4, PLAYERS, generator=torch.Generator().manual_seed(3)).argsort(2)
    utilities = table[(prefixes(places) * 2 ** torch.arange(PLAYERS)).sum(-1)].flatten(0, 1)[None]
    gained = of_players(utilities, places[None])[0].mean(1)
    torch.testing.assert_close(gained - surrogate.errors(places), expected.expand(5, -1))


def test_a_game_whose_weights_depend_on_the_size_is_largely_fitted():
    """Weights grow with the fourth power of the size, so that four orders do not integrate them."""
    weights = noise(40, dtype=torch.float64)
    weights = weights - weights.mean()

    def worth(coalitions):
        return (coalitions.sum(-1) / 40) ** 4 * (coalitions @ weights)

    fitted, others = samples_of(worth, 40, 32), samples_of(worth, 40, 32, seed=1)
    sampled = others.gained.mean(1)
    left = sampled - fit_surrogate(fitted).errors(others.places)
    assert float(left.var(0).sum()) < 0.2 * float(sampled.var(0).sum())


def test_few_orders_do_without():
    assert not values.permutation(game_without_shortcut("smooth"), orders=60).notes
    enough = values.permutation(game_without_shortcut("smooth"), orders=64)
    assert enough.notes[0] == (SurrogateControl.note,)
