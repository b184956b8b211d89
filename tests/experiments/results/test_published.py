"""The paper's figures, and differences from them."""

from __future__ import annotations

import csv
import math

import pytest

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol
from shapleycam.experiments.results import (
    ADCC_OF_MEANS,
    PublishedFigures,
    compare_with_published,
    load_published,
    summarise,
)
from shapleycam.experiments.results._doubts import explain_doubt
from shapleycam.experiments.results.layouts import latex, markdown, tidy
from shapleycam.metrics import METRICS
from shapleycam.models import paper

MEANS_OF_ADCC = ("coherency", "complexity", "average_drop")
MEANS = ("average_drop", "coherency", "complexity", "increase_in_confidence", "average_drop_in_deletion")


REST = {key: percent for key, percent in load_published().percent.items() if key[2] == "rest" and key[4] != "road"}
"""The figures of the paper's two tables."""


def published_rows() -> list:
    """Return the rows of a run of one image whose values are the means of the paper's tables."""
    tables: dict = {}
    for (model, layer, utility, method, metric), percent in REST.items():
        if metric in MEANS:
            methods = tables.setdefault((model, layer, utility), {})
            methods.setdefault(method, {})[metric] = [percent / 100]
    return [row for place, methods in tables.items() for row in measured_rows(methods, *place)]


def figures_of(file) -> dict:
    """Return the figures of a table of means, by key."""
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    figures = {}
    for row in rows:
        key = (row.pop("network"), row.pop("layer"), row.pop("utility"), row.pop("method"))
        for metric, percent in row.items():
            figures[*key, ADCC_OF_MEANS if metric == "adcc" else metric] = float(percent)
    return figures


@pytest.fixture
def paper_folder(data):
    folder = data.parent / "paper"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    return folder


def test_the_file_holds_the_papers_results(paper_folder):
    results = figures_of(paper_folder / "results.csv")
    assert len(results) == 240 * 6
    assert results == REST


def test_the_ablations_are_those_of_the_authors_logs_of_the_twelve_networks(paper_folder):
    logs = figures_of(paper_folder / "ablations.csv")
    actual = {
        key: percent for key, percent in load_published().percent.items() if key[2] != "rest" and key[4] != "road"
    }
    assert actual == {key: percent for key, percent in logs.items() if key[0] in paper.NETWORKS}
    assert {key[0] for key in logs} - set(paper.NETWORKS) == {"deit_base"}
    assert {load_published().source_of(key) for key in actual} == {
        "the author's logs, github.com/caihuaiguang/pytorch-shapley-cam"
    }


def test_road_is_that_of_the_logs_and_in_doubt(paper_folder):
    with (paper_folder / "road.csv").open() as opened:
        rows = {(row["network"], row["method"]): float(row["road"]) for row in csv.DictReader(opened)}
    road = {key: percent for key, percent in load_published().percent.items() if key[4] == "road"}
    assert {(key[0], key[3]): percent / 100 for key, percent in road.items()} == pytest.approx(rows)
    assert {key[1:3] for key in road} == {("last-conv", "rest"), ("last-conv", "log_probability")}
    assert all("name neither layer" in explain_doubt(key) for key in road)
    for network in {key[0] for key in road}:  # before pooling these three would be one figure
        assert len({rows[network, method] for method in ("gradcam", "hirescam", "xgradcam")}) == 3
        before_pool = {REST[network, "before-pool", "rest", name, "average_drop"] for name in ("gradcam", "hirescam")}
        assert len(before_pool) == 1


def test_the_paper_s_tables_cover_its_networks_methods_and_metrics():
    models, layers, utilities, methods, metrics = (set(names) for names in zip(*REST, strict=True))
    assert models == set(paper.NETWORKS)
    assert layers == {"before-pool", "last-conv"}
    assert utilities == {"rest"}
    assert methods == {name for name, method in METHODS.items() if method.in_paper}
    assert metrics == {name for name, row in METRICS.items() if row.in_paper} - {"adcc"} | {ADCC_OF_MEANS}
    assert len(REST) == 12 * 2 * 10 * 6


@pytest.mark.parametrize("utility", ["rest", "log_probability", "logit"])
def test_the_protocol_of_a_utility_measures_what_was_published_of_it(utility):
    keys = [key for key in load_published().percent if key[2] == utility and key[4] != "road"]
    protocol = Protocol.paper(utility)
    assert set(protocol.layers) == {key[1] for key in keys}
    assert set(protocol.methods) >= {key[3] for key in keys}
    in_paper = {name for name, method in METHODS.items() if method.in_paper}
    assert set(protocol.methods) == in_paper | {key[3] for key in keys}
    assert protocol.utilities == (utility,)
    assert protocol.preprocess == Protocol.paper().preprocess


def test_a_utility_without_published_figures_is_refused():
    with pytest.raises(OptionError, match=r"no figures were published with utility 'probability'"):
        Protocol.paper("probability")


def test_the_published_adcc_of_the_ablations_is_the_harmonic_mean_of_its_columns():
    percent = load_published().percent
    for key, adcc in percent.items():
        if key[4] == ADCC_OF_MEANS:
            coherency, complexity, drop = (percent[*key[:4], name] / 100 for name in MEANS_OF_ADCC)
            assert adcc == pytest.approx(300 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop)), abs=0.02), key


def test_the_published_means_differ_from_themselves_by_nothing():
    actual = compare_with_published(
        summarise(frame(*published_rows()), metrics_named(*MEANS), resamples=2), load_published()
    )
    assert len(actual.differences) == 12 * 2 * 10 * 6
    assert not actual.unpublished
    assert not set(actual.unmeasured) & set(REST)
    assert actual.source == "Cai 2025, arXiv:2501.06261"
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
    drops = {key[:2] + key[3:4]: percent for key, percent in REST.items() if key[4] == "average_drop"}
    assert drops["vgg16", "last-conv", "gradcam"] == 76.68
    assert drops["vgg16", "last-conv", "shapleycam"] == 31.3
    assert (drops["vgg16", "last-conv", "hirescam"], drops["vgg16", "last-conv", "shapleycam-h"]) == (73.26, 73.27)
    cnns = [name for name in paper.NETWORKS if name != "vgg16" and not name.startswith("swin")]
    apart = [abs(drops[name, "last-conv", "gradcam"] - drops[name, "last-conv", "shapleycam"]) for name in cnns]
    assert len(cnns) == 7
    assert max(apart) == pytest.approx(0.34)
