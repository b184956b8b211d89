"""Players that no method plays a game among are said to be without effect; the table of methods says which play."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from helpers.table_rows import OF_EVERY_MODEL
from shapleycam import Explainer
from shapleycam.errors import PlayersNotUsedWarning

HALVES, QUARTERS = (1, 2), (2, 2)


@pytest.fixture
def explainer():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 4, 4), nn.Tanh(), nn.Conv2d(6, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)
    return Explainer(nn.Sequential(*layers).eval(), layer="0")


@pytest.fixture(scope="module")
def images():
    return torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("method", OF_EVERY_MODEL)
def test_it_is_said_of_the_methods_whose_map_is_the_same(explainer, images, method):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlayersNotUsedWarning)
        halves, quarters = (explainer.explain(images, method, players=players) for players in (HALVES, QUARTERS))
    said = [str(warning.message) for warning in caught if warning.category is PlayersNotUsedWarning]
    is_same = torch.equal(halves.values, quarters.values)
    assert bool(said) == is_same
    assert all(message.startswith(f"players= is not used by {method}: ") for message in said)
    assert len(said) <= 1  # once for each explainer


def test_nothing_is_said_where_one_of_them_plays(explainer, images):
    explainer.compare(images, ["gradcam", "exactshapley"], players=QUARTERS)
    explainer.explain(images, "gradcam")


def test_all_are_named(explainer, images):
    with pytest.warns(PlayersNotUsedWarning, match=r"by gradcam, hirescam: .*'sampledshapley' or 'owen'"):
        explainer.compare(images, ["gradcam", "hirescam"], players=QUARTERS)
