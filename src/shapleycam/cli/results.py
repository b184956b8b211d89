"""How results are printed: the tables, and a last line with the counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from shapleycam.cli.console import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.experiments import Store
    from shapleycam.experiments.results import Published, Summary


def print_results(stores: Sequence[Store], *, against_paper: bool = False) -> None:
    """The tables of some runs on the terminal; the last line counts images and errors."""
    from shapleycam.experiments.merging import summarise_runs

    print_summary(summarise_runs(stores), stores, against_paper=against_paper)


def print_summary(
    summary: Summary, stores: Sequence[Store], *, against_paper: bool = False, intervals: bool = True
) -> None:
    """As `print_results`, of figures that are at hand."""
    from shapleycam.experiments.results import terminal

    for table in terminal(summary, intervals=intervals, against=in_print(stores) if against_paper else None):
        print_table(table)
        typer.echo()
    typer.echo(f"{_counts(summary)}; results in {', '.join(str(store.storage) for store in stores)}")


def in_print(stores: Sequence[Store]) -> Published:
    """The published figures, with what makes those of some runs unlike them."""
    from shapleycam.experiments.merging import describe_deviations
    from shapleycam.experiments.results import published

    return replace(published(), remarks=describe_deviations(stores))


def _counts(summary: Summary) -> str:
    """How many images, and which could not be measured."""
    images = max(group.images for group in summary.groups)
    wrong = dict.fromkeys(one.image for one in summary.errors)
    names = ", ".join(wrong)
    shown = names if len(names) < 200 else f"{names[:200]} …"
    errors = f"{len(wrong)} could not be measured ({shown})" if wrong else "no errors"
    left_out = len({one.image for one in summary.left_out})
    return f"{images} images measured, {errors}" + (f", {left_out} left out" if left_out else "")
