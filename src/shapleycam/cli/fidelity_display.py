"""Printing the results of `shapleycam fidelity` at a layer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from shapleycam.cli.console import print_facts, print_json, print_line, print_table
from shapleycam.cli.measured_files import count_images, plot_values
from shapleycam.cli.measured_numbers import percent_of, plain_of
from shapleycam.cli.messages import coalition_facts
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import as_json_value, percent, removal_phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapleycam.cli.measured_files import FilesGroup
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.fidelity import Fidelity, Summary


def show_fidelity(result: Fidelity, explainer: Explainer, files: FilesGroup, *, as_json: bool) -> None:
    """Write the files, and print the results as a table or as JSON."""
    from shapleycam.fidelity import advice, summary

    removal = removal_phrase(explainer.removal.name)
    what = f"{explainer.name}, layer {explainer.layer}"
    plot = None if files.plot is None else plot_values(result.values, result.distances, what, removal)
    written = [printable_text(str(file)) for file in files.write(result.distances, plot)]
    rows = summary(result.distances)
    sentences = [advice(rows, name) for name in dict.fromkeys(row.utility for row in rows)]
    if as_json:
        print_json(_document(result, rows, sentences, explainer, written))
    else:
        _print(result, rows, sentences, explainer, written)


def _print(result: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]) -> None:
    """Print the results: a table with a row for each utility and method, the files, and advice."""
    facts = {
        "utility": ", ".join(dict.fromkeys(row.utility for row in rows)),
        "measured": f"{count_images(result.distances)} against {result.reference}, standard error {_reached(result)}",
        **coalition_facts(result.coalition_cost, result.notes),
        "shown": "mean over images ± half of its 95% interval; time in plain forward passes, that pass included",
    }
    if result.precision_errors:
        facts["precision"] = _precision(explainer.precision, result.precision_errors)
    if result.left_out:
        facts["left out"] = f"{', '.join(result.left_out)}: no second derivative behind this layer"
    print_facts(f"{explainer.name}, layer {explainer.layer}{removal_phrase(explainer.removal.name)}", facts)
    figures = ("relative error", "Spearman", "efficiency gap", "curvature", "ms", "x pass")
    heads = [Head("utility"), Head("method"), *(Head(head, "number") for head in figures)]
    left_out = 1 if len({row.utility for row in rows}) == 1 else 0  # omit a column that is the same in every row
    print_table(heads[left_out:], [_row(row)[left_out:] for row in rows])
    for file in files:
        typer.echo(f"written {file}")
    for sentence in sentences:
        print_line(sentence)


def _row(row: Summary) -> list[str]:
    """Return the cells of a row of the table."""
    figures = [percent_of(row.error), plain_of(row.spearman, 3), percent_of(row.gap), plain_of(row.curvature, 2)]
    seconds = "" if row.seconds is None else f"{row.seconds.value * 1e3:.0f}"
    return [row.utility, row.method, *figures, seconds, "" if row.passes is None else f"{row.passes.value:.2f}"]


def _reached(result: Fidelity) -> str:
    """Return a text with the largest standard error of the true values."""
    return f"{percent(max(result.reference_errors), 2)} at most"


def _precision(precision: str, errors: Mapping[str, float]) -> str:
    """Return a text with the distance of the methods' values from those in full precision."""
    least, most = min(errors, key=errors.__getitem__), max(errors, key=errors.__getitem__)
    return (
        f"{precision} before the layer: values are {percent(errors[least], 2)} ({least}) to {percent(errors[most], 2)} "
        f"({most}) from those in full precision, in the mean over images"
    )


def _document(
    result: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]
) -> dict[str, Any]:
    """Return the JSON document that `--json` prints."""
    return {
        "model": explainer.name,
        "layer": explainer.layer,
        "removal": explainer.removal.name,
        "reference": result.reference,
        "coalition_cost": result.coalition_cost,
        "notes": list(result.notes),
        "reference_error": max(result.reference_errors),
        "methods": [as_json_value(asdict(row)) for row in rows],
        "images": [as_json_value(asdict(distance)) for distance in result.distances],
        "left_out": list(result.left_out),
        "precision": explainer.precision,
        "precision_errors": as_json_value(dict(result.precision_errors)),
        "advice": sentences,
        "files": files,
    }
