"""The tables of results on terminals of any width: every figure is there, and no name is cut."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.experiments.results import ResultsSummary, load_published, summarise, terminal
from shapleycam.experiments.results.text_tables import text_tables
from shapleycam.metrics.table import expand_metrics

METHODS = ("gradcam", "sampledshapley", "shapleycam-h")
LONG = "models/a_network_of_my_own_with_many_layers.py:build_the_network_for_evaluation"
PAPER = tuple(expand_metrics(["paper"]))
ALL = tuple(expand_metrics(["all"], objects=True))


def summary_of(metrics: tuple[str, ...], *networks: str) -> ResultsSummary:
    """Return a summary of random figures."""
    generator = np.random.default_rng(0)
    rows = []
    for network in networks:
        values = {method: {name: generator.uniform(0.1, 0.9, 4).tolist() for name in metrics} for method in METHODS}
        rows += measured_rows(values, network)
    return summarise(frame(*rows), metrics_named(*metrics), resamples=20)


@pytest.fixture(scope="module", params=[(PAPER, ("resnet18",)), (ALL, ("vgg16",)), (ALL, ("vgg16", LONG))])
def summary(request) -> ResultsSummary:
    metrics, networks = request.param
    return summary_of(metrics, *networks)


def lines_of(table, width: int) -> list[str]:
    """Return the lines of a part of a table."""
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("against", [None, load_published()])
def test_every_figure_is_there_and_fits(summary, width, against):
    (expected,) = text_tables(summary, against=against)
    (table,) = terminal(summary, width=width, against=against)
    networks = list(dict.fromkeys(row.model for row in expected.rows))
    texts: dict[str, str] = dict.fromkeys(networks, "")
    for heading, part in table.parts:
        lines = lines_of(part, width)
        assert max(map(len, lines)) <= width
        if len(networks) > 1:
            texts[heading] += "\n".join(lines)
        else:
            assert heading == ""
            texts[networks[0]] += "\n".join(lines)
    for row in expected.rows:
        assert row.method in texts[row.model]
        for entry in row.entries:
            for number in entry.text.replace("(", " (").replace("±", " ").split():
                assert number in texts[row.model], number
    for head in expected.heads[2:]:
        assert all(word in texts[networks[0]] for word in head.split()), head


def test_the_papers_metrics_of_one_network_are_one_table_of_80_columns():
    (table,) = terminal(summary_of(PAPER, "efficientnet_lite0"), width=80)
    assert table.caption == "Layer before-pool, utility rest, 4 images; network efficientnet_lite0"
    ((heading, part),) = table.parts
    assert heading == ""
    assert [str(column.header) for column in part.columns][:2] == ["method", "AD % ↓"]
    assert part.row_count == len(METHODS)


def test_several_networks_have_a_column_where_it_fits():
    (table,) = terminal(summary_of(("coherency",), "vgg16", "resnet18"), width=80)
    ((_, part),) = table.parts
    assert [str(column.header) for column in part.columns] == ["network", "method", "Coh % ↑"]
    assert [str(cell) for cell in part.columns[0].cells] == ["resnet18", "", "", "vgg16", "", ""]
    assert table.caption == "Layer before-pool, utility rest, 4 images"


def test_off_the_terminal_intervals_are_beside_their_figures():
    summary = summary_of(ALL, "vgg16", LONG)
    (table,) = terminal(summary)
    ((_, part),) = table.parts
    first = next(line for line in lines_of(part, 10_000) if "gradcam" in line)
    cell = summary.by_key["vgg16", "before-pool", "rest", "gradcam", "average_drop"]
    assert f"{100 * cell.mean:.2f} ± {50 * (cell.high - cell.low):.2f}" in first


def test_the_marks_of_the_best_and_of_doubt_stay():
    summary = summary_of(("average_drop",), "vgg16")
    cells = tuple(replace(cell, layer="last-conv") for cell in summary.cells)
    groups = tuple(replace(group, layer="last-conv") for group in summary.groups)
    (table,) = terminal(replace(summary, cells=cells, groups=groups), width=30, against=load_published())
    figures = [cell for _, part in table.parts for cell in part.columns[1].cells]
    assert {figure.style for figure in figures} == {"bold", "underline", ""}
    assert any("\n(" in figure.plain and figure.plain.rstrip("*").endswith(")\u2020") for figure in figures)
