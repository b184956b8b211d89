"""The summary of an explained image: the JSON that the command line prints, and its lines."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from helpers.random_explanations import explanation_of_noise
from shapleycam.explanations.summary import gap_of_values, sum_of_values, summarise_image


def test_the_json_has_the_keys_that_scripts_read():
    first = explanation_of_noise(2, stderr=torch.rand(2, 2, 2), curvature=torch.tensor([0.2, 0.4]))
    data = summarise_image([{"gradcam": first}], 1, "a model", ["a.png"]).as_data()
    assert list(data) == [
        *("top", "explained", "model", "layer", "utility", "removal", "precision", "smooth", "coalition_cost"),
        *("files", "class_blind"),
    ]
    assert list(data["top"][0]) == ["class", "label", "probability"]
    (explained,) = data["explained"]
    keys = ["class", "label", "utility_value", "curvature", "evidence", "values", "uncertainty", "notes"]
    keys += ["utility_removed", "regions"]
    assert list(explained) == keys
    assert list(explained["uncertainty"]["gradcam"]) == ["relative", "not_sure", "stderr"]
    assert explained["values"]["gradcam"] == first.values[1].tolist()
    assert json.loads(json.dumps(data)) == data


def test_lines_are_of_the_first_method():
    first = explanation_of_noise(1, curvature=torch.tensor([0.2]))
    lines = summarise_image([{"gradcam": first}], 0, "a model").lines()
    assert list(lines) == ["top 5", "explained", "layer", "curvature"]
    assert lines["layer"] == "layer4 of a model"
    assert lines["curvature"].startswith("0.20: some of the score")


def test_notes_are_of_the_image_alone_and_each_is_said_once():
    first = explanation_of_noise(2, coalition_cost="a sum each", notes=((), ("cut short", "few orders")))
    other = explanation_of_noise(2, coalition_cost="a sum each", notes=(("first",), ("few orders", "more")))
    summaries = [summarise_image([{"sampledshapley": first, "exactshapley": other}], index, "m") for index in (0, 1)]
    assert [summary.notes for summary in summaries] == [("first",), ("cut short", "few orders", "more")]
    data = summaries[1].as_data()
    assert (data["coalition_cost"], data["explained"][0]["notes"]) == ("a sum each", list(summaries[1].notes))
    assert summarise_image([{"gradcam": explanation_of_noise(1)}], 0, "m").as_data()["coalition_cost"] is None


def test_gap_by_pencil():
    e = explanation_of_noise(1, values=torch.tensor([[[1.0, 2.0], [3.0, 2.0]]]), prefix=torch.tensor([1.0]))
    assert sum_of_values(e) == 9
    assert gap_of_values(e, 12.0) == 0.25
    assert gap_of_values(e, 0.0) is None


def test_what_is_not_sure_is_nearer_to_zero_than_two_errors():
    """By pencil: of four cells two, and of three regions the one of these, of value 4 and error 2.2."""
    values, stderr = torch.tensor([[[2.0, 2.0], [-3.0, 0.5]]]), torch.tensor([[[1.1, 1.1], [1.0, 0.2]]])
    e = explanation_of_noise(1, method="sampledshapley", values=values, stderr=stderr)
    assert e.uncertain.tolist() == [[[True, True], [False, False]]]
    by_cell = summarise_image([{"sampledshapley": e}], 0, "m")
    by_region = summarise_image([{"sampledshapley": replace(e, regions=torch.tensor([[[0, 0], [1, 2]]]))}], 0, "m")
    assert by_cell.explained[0].uncertainty["sampledshapley"].not_sure == 0.5
    assert by_region.explained[0].uncertainty["sampledshapley"].not_sure == pytest.approx(1 / 3)
    assert "50% of the cells" in by_cell.lines()["sampled"]
    assert "33% of the regions (nearer to zero than 2 standard errors)" in by_region.lines()["sampled"]
