"""The tab Fidelity, against the library."""

from __future__ import annotations

import pytest

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views
from shapleycam import Explainer


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def game():
    explainer = Explainer(colour_network.network(), layer="body", device="cpu")
    return explainer.game(HOPPER)
