"""When a map should not be trusted: each caveat where it holds, and not where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.web_server import HOPPER
from shapleycam.cams.table import METHODS
from shapleycam.explanations.summary import gap_of_values, sum_of_values
from shapleycam.web.caveats import caveats


@pytest.fixture(scope="module")
def explained(explainer):
    return explainer.compare(HOPPER, ["gradcam", "shapleycam", "layercam", "pathcam-h", "randomcam"])


def texts(e, grand):
    return " ".join(caveat.text for caveat in caveats(e, grand))


@pytest.mark.slow
def test_a_gap_is_said_from_fifteen_percent_on(explained):
    e = replace(explained["gradcam"], values=torch.full((1, 2, 2), 2.0), curvature=None)
    assert sum_of_values(e) == 8
    assert gap_of_values(e, 10) == pytest.approx(0.2)
    assert "(20% off)" in texts(e, 10)
    assert "off)" not in texts(e, 9)  # 11 percent


def test_prefix_tokens_count(explained):
    e = replace(explained["gradcam"], values=torch.ones(1, 2, 2), prefix=torch.tensor([1.5]))
    assert sum_of_values(e) == 5.5


def test_weights_have_no_gap(explained):
    e = explained["layercam"]
    assert gap_of_values(e, 10) is None
    assert "no units" in texts(e, 10)


def test_a_blank_map(explained):
    e = replace(explained["gradcam"], values=-torch.ones(1, 2, 2))
    assert "blank" in texts(e, -4)


def test_curvature_is_said_of_first_order_alone(explained):
    bent = {"curvature": torch.tensor([0.5])}
    assert "curvature 0.50" in texts(replace(explained["gradcam"], **bent), 1)
    assert "curvature" not in texts(replace(explained["shapleycam"], **bent), 1)


def test_an_unlikely_class(explainer):
    e = explainer.explain(HOPPER, "shapleycam", target=0)
    assert "what little speaks for it" in texts(e, float(e.values.sum()))


def test_places_that_are_not_sure(explained):
    e = replace(explained["pathcam-h"], stderr=torch.full((1, 7, 7), 100.0))
    assert "On 100% of the places" in texts(e, sum_of_values(e))


def test_what_is_offered_instead_is_a_method(explained):
    offered = {name for e in explained.values() for caveat in caveats(e, 1.0) for name in caveat.methods}
    assert offered
    assert offered <= set(METHODS)
