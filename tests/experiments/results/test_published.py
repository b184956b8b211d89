"""The paper's figures, and differences from them."""

from __future__ import annotations

import csv
import math

import pytest

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.cams.table import METHODS
from shapleycam.experiments.results import (
    ADCC_OF_MEANS,
    PublishedFigures,
    compare_with_published,
    load_published,
    summarise,
)
from shapleycam.experiments.results.layouts import latex, markdown, tidy
from shapleycam.metrics import METRICS
from shapleycam.models import paper

MEANS = ("average_drop", "coherency", "complexity", "increase_in_confidence", "average_drop_in_deletion")


def published_rows() -> list:
    """Return the rows of a run of one image whose values are the published means."""
    percentages = load_published().percent
    tables: dict = {}
    for (model, layer, utility, method, metric), percent in percentages.items():
        if metric in MEANS:
            methods = tables.setdefault((model, layer, utility), {})
            methods.setdefault(method, {})[metric] = [percent / 100]
    return [row for place, methods in tables.items() for row in measured_rows(methods, *place)]


def test_the_file_holds_the_papers_results(data):
    file = data.parent / "paper/results.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    percentages = dict(load_published().percent)
    for row in rows:
        key = (row.pop("network"), row.pop("layer"), row.pop("utility"), row.pop("method"))
        for metric, percent in row.items():
            assert percentages.pop((*key, ADCC_OF_MEANS if metric == "adcc" else metric)) == float(percent)
    assert len(rows) == 240
    assert not percentages


def test_it_covers_the_papers_networks_methods_and_metrics():
    models, layers, utilities, methods, metrics = (set(names) for names in zip(*load_published().percent, strict=True))
    assert models == set(paper.NETWORKS)
    assert layers == {"before-pool", "last-conv"}
    assert utilities == {"rest"}
    assert methods == {name for name, method in METHODS.items() if method.in_paper}
    assert metrics == {name for name, row in METRICS.items() if row.in_paper} - {"adcc"} | {ADCC_OF_MEANS}
    assert len(load_published().percent) == 12 * 2 * 10 * 6


def test_the_published_means_differ_from_themselves_by_nothing():
    actual = compare_with_published(
        summarise(frame(*published_rows()), metrics_named(*MEANS), resamples=2), load_published()
    )
    assert len(actual.differences) == 12 * 2 * 10 * 6
    assert not actual.unpublished
    assert not actual.unmeasured
    of_means = [abs(difference.points) for difference in actual.differences if difference.key[4] == ADCC_OF_MEANS]
    assert (
        max(abs(difference.points) for difference in actual.differences if difference.key[4] != ADCC_OF_MEANS) < 1e-10
    )
    assert max(of_means) < 0.02  # both are rounded to 0.01: print's ADCC is the harmonic mean of its own columns


def test_a_difference_is_measured_minus_published_in_points():
    key = ("resnet18", "before-pool", "rest", "gradcam", "coherency")
    summary = summarise(frame(*measured_rows({"gradcam": {"coherency": [0.5, 0.75]}})), metrics_named("coherency"))
    (difference,) = compare_with_published(summary, PublishedFigures("a paper", {key: 60.0})).differences
    assert (difference.key, difference.measured, difference.published) == (key, 62.5, 60)
    assert difference.points == pytest.approx(2.5)


def test_what_has_no_counterpart_is_listed_on_both_sides():
    values = {"gradcam": {"coherency": [0.5], "adcc": [0.5]}, "pathcam": {"coherency": [0.5], "adcc": [0.5]}}
    summary = summarise(frame(*measured_rows(values)), metrics_named("coherency", "adcc"))
    head = ("resnet18", "before-pool", "rest")
    percentages = {(*head, "gradcam", "coherency"): 50.0, (*head, "gradcam", ADCC_OF_MEANS): 50.0}
    actual = compare_with_published(summary, PublishedFigures("a paper", percentages))
    assert [difference.key for difference in actual.differences] == [(*head, "gradcam", "coherency")]
    assert actual.unpublished == (
        (*head, "gradcam", "adcc"),
        (*head, "pathcam", "coherency"),
        (*head, "pathcam", "adcc"),
    )
    assert actual.unmeasured == ((*head, "gradcam", ADCC_OF_MEANS),)


def test_what_was_not_measured_of_a_network_is_listed_as_such():
    rows = [
        *measured_rows({"gradcam": {"coherency": [0.5]}}),
        *measured_rows({"gradcam": {"complexity": [0.5]}}, "vgg16"),
    ]
    percentages = {(model, "before-pool", "rest", "gradcam", "coherency"): 50.0 for model in ("resnet18", "vgg16")}
    actual = compare_with_published(
        summarise(frame(*rows), metrics_named("coherency", "complexity")), PublishedFigures("a paper", percentages)
    )
    assert [difference.key[0] for difference in actual.differences] == ["resnet18"]
    assert [(key[0], key[4]) for key in actual.unpublished] == [("vgg16", "complexity")]
    assert [(key[0], key[4]) for key in actual.unmeasured] == [("vgg16", "coherency")]


def test_an_undefined_figure_has_an_undefined_difference():
    summary = summarise(
        frame(*measured_rows({"gradcam": {"coherency": [math.nan, math.nan]}})), metrics_named("coherency")
    )
    (difference,) = compare_with_published(summary, load_published()).differences
    assert math.isnan(difference.points)


# What is doubtful in print

DOUBT = "vgg16 at last-conv: an in-place ReLU follows this convolution and overwrites the activation that a hook keeps,"


def test_figures_that_are_probably_of_an_overwritten_activation_are_marked():
    values = {"gradcam": {"average_drop": [0.5]}, "shapleycam": {"average_drop": [0.5]}}
    values["hirescam"] = {"average_drop": [0.5]}
    rows = [
        *measured_rows(values, "vgg16", "last-conv"),
        *measured_rows(values, "resnet18", "last-conv"),
        *measured_rows(values, "vgg16"),
    ]
    summary = summarise(frame(*rows), metrics_named("average_drop"), resamples=2)
    text = markdown(summary, intervals=False, against=load_published())
    marked = {line.split("|")[2].strip(): line for line in text.splitlines() if "\u2020" in line and "|" in line}
    assert set(marked) == {"gradcam", "shapleycam"}
    assert "(-26.68)\u2020" in marked["gradcam"]  # 50 measured, 76.68 in print
    assert "(+18.70)\u2020" in marked["shapleycam"]  # 31.30
    assert text.count("\u2020 " + DOUBT) == 1
    assert r"76.68 and 31.30 (log\_probability: 73.65 and 48.76)" in text
    assert latex(summary, intervals=False, against=load_published()).count(r"$\dagger$") == text.count("\u2020") == 3
    lines = list(csv.DictReader(tidy(summary, against=load_published()).splitlines()))
    doubted = {(line["model"], line["layer"], line["method"]) for line in lines if DOUBT in line["remarks"]}
    assert doubted == {("vgg16", "last-conv", "gradcam"), ("vgg16", "last-conv", "shapleycam")}


def test_the_doubts_figures_are_those_in_print():
    drops = {
        key[:2] + key[3:4]: percent for key, percent in load_published().percent.items() if key[4] == "average_drop"
    }
    assert drops["vgg16", "last-conv", "gradcam"] == 76.68
    assert drops["vgg16", "last-conv", "shapleycam"] == 31.3
    assert (drops["vgg16", "last-conv", "hirescam"], drops["vgg16", "last-conv", "shapleycam-h"]) == (73.26, 73.27)
    cnns = [name for name in paper.NETWORKS if name != "vgg16" and not name.startswith("swin")]
    apart = [abs(drops[name, "last-conv", "gradcam"] - drops[name, "last-conv", "shapleycam"]) for name in cnns]
    assert len(cnns) == 7
    assert max(apart) == pytest.approx(0.34)
