"""Printing and drawing the results of `shapleycam ladder`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from shapleycam.cli.console import print_facts, print_json, print_line, print_table
from shapleycam.cli.display import duration
from shapleycam.cli.input_values import SHOWN, input_facts, input_figures, input_heads, rows_as_data
from shapleycam.cli.measured_files import FilesGroup, count_images
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, measured_count, number, removal_phrase

if TYPE_CHECKING:
    from PIL import Image

    from shapleycam.bridge import Ladder, LadderPlan


def show_ladder(measured: Ladder, files: FilesGroup, *, as_json: bool) -> None:
    """Write the files, and print a ladder as a table or as JSON."""
    plot = None if files.plot is None else plot_ladder(measured)
    written = [printable_text(str(file)) for file in files.write(measured.distances, plot)]
    if as_json:
        print_json(
            {
                "model": measured.model,
                "utility": measured.utility,
                "removal": measured.removal,
                "layer_removal": measured.layer_removal,
                "layers": list(measured.layers),
                "rows": rows_as_data(measured.rows),
                "images": rows_as_data(measured.distances),
                "inputs": rows_as_data(measured.inputs),
                "input_passes": list(measured.input_passes),
                "sentence": measured.sentence,
                "files": written,
            }
        )
        return
    facts = {
        "measured": f"{counted(len(measured.inputs), 'image')}, removal {measured.removal} at the input, "
        f"{measured.layer_removal} at the layers",
        **input_facts(measured.inputs),
        "shown": SHOWN,
    }
    print_facts(f"{measured.model}, utility {measured.utility}", facts)
    rows = [
        [row.layer, row.method, *input_figures(row), "" if row.runs is None else number(row.runs.value)]
        for row in measured.rows
    ]
    print_table([Head("layer"), Head("values"), *input_heads(), Head("runs", "number")], rows)
    for file in written:
        typer.echo(f"written {file}")
    print_line(measured.sentence)


def plot_ladder(measured: Ladder) -> Image.Image:
    """Return a figure of corrected correlations by price: a line for the layers' own values and for each method."""
    from shapleycam.drawing.price_plot import PricedPoint, price_plot

    series: dict[str, list[PricedPoint]] = {}
    for row in measured.rows:
        mean = row.pearson_corrected
        if mean is not None and row.passes is not None:
            half = mean.half if mean.count > 1 else 0.0
            series.setdefault(row.method, []).append(PricedPoint(row.layer, row.passes.value, mean.value, half))
    title = (
        f"{measured.model}, utility {measured.utility}{removal_phrase(measured.removal)}: "
        f"{count_images(measured.distances)}, Pearson's correlation with the input's values, corrected for noise"
    )
    return price_plot(series, title)


def print_ladder_plan(plan: LadderPlan, model: str, *, as_json: bool) -> None:
    """Print the runs and the time that a ladder would take."""
    if as_json:
        rungs = [{**asdict(rung), "total": rung.total} for rung in plan.rungs]
        print_json({"model": model, "rungs": rungs, "runs": plan.runs, "seconds": plan.seconds})
        return
    print_facts(f"Plan of a ladder of {model}", {})
    heads = ("players", "images left", "runs an image", "s an image", "time")
    rows = [
        [
            rung.layer,
            f"{rung.players:,}",
            f"{rung.images:,}",
            "a shortcut" if rung.runs is None else f"{rung.runs:,}",
            measured_count(rung.seconds),
            duration(rung.total),
        ]
        for rung in plan.rungs
    ]
    print_table([Head("layer"), *(Head(head, "number") for head in heads)], rows)
    print_line(
        f"{counted(plan.runs, 'run')}, about {duration(plan.seconds)} ({measured_count(plan.seconds / 3600)} hours) as "
        "fast as a few runs were just now; the methods' own time is not in it."
    )
