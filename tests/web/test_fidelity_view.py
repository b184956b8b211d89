"""The tab Fidelity, against the library."""

from __future__ import annotations

import json
import re
from html import unescape
from io import BytesIO
from threading import Thread

import pytest
import torch
from PIL import Image

from helpers import colour_network
from helpers.toy_heads import ToyHead
from helpers.web_server import HOPPER
from helpers.web_views import Views, rows_of, text_of
from shapleycam import Explainer, values
from shapleycam.errors import OptionError
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error
from shapleycam.web.jobs import Cancelled
from shapleycam.web.played_game import played_game
from shapleycam.web.views.error_curve import error_curve
from shapleycam.web.views.fidelity import ORDERS, Score, scores_of, tolerance_of, verdict_of


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def game():
    explainer = Explainer(colour_network.network(), layer="body", device="cpu")
    return explainer.game(HOPPER)
