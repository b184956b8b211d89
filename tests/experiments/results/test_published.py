"""The paper's figures, and differences from them."""

from __future__ import annotations

import csv
import math

import pytest
from rows_by_hand import frame, good, of

from shapleycam.cams.table import METHODS
from shapleycam.experiments.results import ADCC_OF_MEANS, Published, difference, published, summarise
from shapleycam.metrics import METRICS
from shapleycam.models import paper

MEANS = ("average_drop", "coherency", "complexity", "increase_in_confidence", "average_drop_in_deletion")


def from_print() -> list:
    """A run of one image, whose values are the published means."""
    there = published().percent
    tables: dict = {}
    for (model, layer, utility, method, metric), percent in there.items():
        if metric in MEANS:
            methods = tables.setdefault((model, layer, utility), {})
            methods.setdefault(method, {})[metric] = [percent / 100]
    return [row for place, methods in tables.items() for row in good(methods, *place)]


def test_the_file_holds_the_papers_results(data):
    file = data.parent / "paper/results.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    there = dict(published().percent)
    for row in rows:
        key = (row.pop("network"), row.pop("layer"), row.pop("utility"), row.pop("method"))
        for metric, percent in row.items():
            assert there.pop((*key, ADCC_OF_MEANS if metric == "adcc" else metric)) == float(percent)
    assert len(rows) == 240
    assert not there


def test_it_covers_the_papers_networks_methods_and_metrics():
    models, layers, utilities, methods, metrics = (set(names) for names in zip(*published().percent, strict=True))
    assert models == set(paper.NETWORKS)
    assert layers == {"before-pool", "last-conv"}
    assert utilities == {"rest"}
    assert methods == {name for name, method in METHODS.items() if method.in_paper}
    assert metrics == {name for name, row in METRICS.items() if row.in_paper} - {"adcc"} | {ADCC_OF_MEANS}
    assert len(published().percent) == 12 * 2 * 10 * 6


def test_the_published_means_differ_from_themselves_by_nothing():
    found = difference(summarise(frame(*from_print()), of(*MEANS), resamples=2), published())
    assert len(found.differences) == 12 * 2 * 10 * 6
    assert not found.unpublished
    assert not found.unmeasured
    of_means = [abs(one.points) for one in found.differences if one.key[4] == ADCC_OF_MEANS]
    assert max(abs(one.points) for one in found.differences if one.key[4] != ADCC_OF_MEANS) < 1e-10
    assert max(of_means) < 0.02  # both are rounded to 0.01: print's ADCC is the harmonic mean of its own columns


def test_a_difference_is_measured_minus_published_in_points():
    key = ("resnet18", "before-pool", "rest", "gradcam", "coherency")
    summary = summarise(frame(*good({"gradcam": {"coherency": [0.5, 0.75]}})), of("coherency"))
    (one,) = difference(summary, Published("a paper", {key: 60.0})).differences
    assert (one.key, one.measured, one.published) == (key, 62.5, 60)
    assert one.points == pytest.approx(2.5)


def test_what_has_no_counterpart_is_listed_on_both_sides():
    values = {"gradcam": {"coherency": [0.5], "adcc": [0.5]}, "pathcam": {"coherency": [0.5], "adcc": [0.5]}}
    summary = summarise(frame(*good(values)), of("coherency", "adcc"))
    head = ("resnet18", "before-pool", "rest")
    there = {(*head, "gradcam", "coherency"): 50.0, (*head, "gradcam", ADCC_OF_MEANS): 50.0}
    found = difference(summary, Published("a paper", there))
    assert [one.key for one in found.differences] == [(*head, "gradcam", "coherency")]
    assert found.unpublished == (
        (*head, "gradcam", "adcc"),
        (*head, "pathcam", "coherency"),
        (*head, "pathcam", "adcc"),
    )
    assert found.unmeasured == ((*head, "gradcam", ADCC_OF_MEANS),)


def test_what_was_not_measured_of_a_network_is_listed_as_such():
    rows = [*good({"gradcam": {"coherency": [0.5]}}), *good({"gradcam": {"complexity": [0.5]}}, "vgg16")]
    there = {(model, "before-pool", "rest", "gradcam", "coherency"): 50.0 for model in ("resnet18", "vgg16")}
    found = difference(summarise(frame(*rows), of("coherency", "complexity")), Published("a paper", there))
    assert [one.key[0] for one in found.differences] == ["resnet18"]
    assert [(key[0], key[4]) for key in found.unpublished] == [("vgg16", "complexity")]
    assert [(key[0], key[4]) for key in found.unmeasured] == [("vgg16", "coherency")]


def test_an_undefined_figure_has_an_undefined_difference():
    summary = summarise(frame(*good({"gradcam": {"coherency": [math.nan, math.nan]}})), of("coherency"))
    (one,) = difference(summary, published()).differences
    assert math.isnan(one.points)
