"""Sampling where a coalition costs a run of the head: surrogates fitted to other samples leave it right on average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import game_of, noise
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import values
from shapleycam.values import _surrogate_control
from shapleycam.values._contributions import order_streams
from shapleycam.values._exact import members
from shapleycam.values._orders import OrderStreams, of_players, prefixes
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._surrogate_control import Samples, Surrogate, SurrogateControl, correction, surrogate_control

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


@pytest.fixture(autouse=True)
def any_head(monkeypatch):
    """Surrogates for heads of any size."""
    monkeypatch.setattr(_surrogate_control, "LEAST_BYTES", 0)


def utilities_of(game):
    """The values of all coalitions of a game, as a function of these."""
    n = game.n_players
    table = game.value(members(torch.arange(2**n), n))[0]
    return lambda coalitions: table[(coalitions.long() * 2 ** torch.arange(n)).sum(-1)]


@pytest.mark.parametrize("kind", ["smooth", "kinked", "norm"])
def test_many_seeds_are_right_on_average_and_as_often_as_they_say(kind):
    """As `permutation` does it, of utilities that were computed before."""
    game = game_without_shortcut(kind)
    worth, truth, seeds = utilities_of(game), values.exact(game).values[0], 30
    held, estimates = [], []
    for seed in range(seeds):
        samples = samples_of(worth, game.n_players, 16, seed)
        sums = StreamSums.of(1, game.n_players, samples.gained)
        means = samples.gained.mean(1)[None]
        sums.add(means, torch.zeros_like(means), torch.tensor([0]), 4)
        sums.fitted[0] = correction(samples)
        low, high = sums.shares(game).interval()
        held.append((low[0] <= truth) & (truth <= high[0]))
        estimates.append(sums.mean[0])
    assert 0.92 <= float(torch.stack(held).double().mean()) <= 0.98
    spread = torch.stack(estimates)
    assert float(((spread.mean(0) - truth) / (spread.std(0) / seeds**0.5)).abs().max()) < 4


def test_values_sum_to_that_of_all_and_say_what_was_done():
    game = game_without_shortcut("smooth")
    shares = values.permutation(game, orders=64)
    assert game.shortcut is None
    assert shares.notes[0] == (SurrogateControl.note,)
    torch.testing.assert_close(shares.values.sum(1), game.grand)


def test_the_values_of_a_number_of_orders_are_corrected_by_all_of_them():
    """The samples of 96 orders come in two rounds; what is taken from them is made of both."""
    game = game_without_shortcut("smooth")
    samples = samples_by_the_game(game, 24)
    expected = (samples.gained.sum((0, 1)) - correction(samples).sum(0)) / 96
    torch.testing.assert_close(values.permutation(game, orders=96).values[0], expected)


def samples_by_the_game(game, count):
    """The samples that `permutation` draws."""
    (streams,) = order_streams(game, 0)
    places = streams.draw(count)
    utilities = game.value(prefixes(places).flatten(0, 2))[0].unflatten(0, (count * 4, -1))[None]
    return Samples(places, of_players(utilities, places[None])[0])


def test_sampling_to_a_tolerance_takes_fewer_evaluations_where_the_surrogate_is_near(monkeypatch):
    game, least = game_of_many_cells(), _surrogate_control.LEAST_BYTES
    monkeypatch.setattr(_surrogate_control, "LEAST_BYTES", 2**40)
    tolerance = 0.7 * float(values.permutation(game, orders=64).uncertainty[0])
    plain = values.permutation(game, tolerance=tolerance)
    monkeypatch.setattr(_surrogate_control, "LEAST_BYTES", least)
    corrected = values.permutation(game, tolerance=tolerance)
    assert corrected.notes[0] == (SurrogateControl.note,)
    assert not plain.notes
    assert int(corrected.evaluations[0]) < int(plain.evaluations[0])
    assert float(corrected.uncertainty[0]) <= tolerance


def game_of_many_cells():
    """Weights that grow with the fourth power of the coalition's size, behind what no shortcut takes."""
    through = [conv(3, padding=1, bias=False) for _ in range(2)]
    for convolution in through:
        nn.init.dirac_(convolution.weight)
    read = Do(lambda a: a[:, :1].mean((2, 3)) ** 4 * a[:, 1:].sum((2, 3)))
    activation = noise(1, 4, 6, 6, dtype=torch.float64)
    activation[:, 0] = 1
    return game_of(Toy(nn.Sequential(*through, read)).double(), activation, "logit")


def test_heads_whose_runs_are_cheap_do_without(monkeypatch):
    game = game_without_shortcut("smooth")
    monkeypatch.setattr(_surrogate_control, "LEAST_BYTES", game.coalition_bytes)
    assert surrogate_control(game, 16) is not None
    monkeypatch.setattr(_surrogate_control, "LEAST_BYTES", game.coalition_bytes + 1)
    assert surrogate_control(game, 16) is None
    assert not values.permutation(game, orders=64).notes


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
    left = sampled - _surrogate_control._fit(fitted).errors(others.places)
    assert float(left.var(0).sum()) < 0.2 * float(sampled.var(0).sum())


def test_few_orders_do_without():
    assert not values.permutation(game_without_shortcut("smooth"), orders=60).notes
    enough = values.permutation(game_without_shortcut("smooth"), orders=64)
    assert enough.notes[0] == (SurrogateControl.note,)
