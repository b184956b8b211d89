"""What a coalition costs, in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import game_of, noise, random_coalitions
from helpers.networks import Toy
from helpers.toy_heads import Do, conv

POOL = (Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3))
HEADS = {
    "a sum each": lambda: (*POOL,),
    "a mean and what follows it each": lambda: (POOL[0], nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)),
    "a run each": lambda: (Do(lambda a: a.amax((2, 3))), nn.Linear(4, 3)),
    "a sum and what follows it each": lambda: (nn.Tanh(), nn.Flatten(), nn.Linear(64, 9), nn.Tanh(), nn.Linear(9, 3)),
    "look-ups in a table": lambda: (conv(3, padding=1), nn.GELU(), *POOL),
}

NAMES = {
    "a sum each": "summed",
    "a mean and what follows it each": "pooled",
    "a run each": None,
    "a sum and what follows it each": "averaged",
    "look-ups in a table": "windowed",
}


@pytest.mark.parametrize("expected", HEADS)
def test_is_that_of_the_runner_that_is_used(expected):
    torch.manual_seed(0)
    game = game_of(Toy(nn.Sequential(*HEADS[expected]())), noise(1, 4, 4, 4), "rest", 0)
    game.value(random_coalitions(1, 600, 16))
    assert game.coalition_cost.startswith(expected)
    assert game.shortcut == NAMES[expected]


def test_a_table_that_was_not_made_yet_is_not_what_a_coalition_costs():
    game = game_of(Toy(nn.Sequential(conv(3, padding=1), nn.GELU(), *POOL)), noise(1, 4, 4, 4), "rest", 0)
    assert game.coalition_cost == "a run each of the network behind the layer"
