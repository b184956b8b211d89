"""Printing results of evaluations: the tables, and a last line with the counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from shapleycam.cli.console import print_line, print_renderable, terminal_width
from shapleycam.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapleycam.experiments import Store
    from shapleycam.experiments.results import PublishedFigures, ResultsSummary, TerminalTable


def print_results(stores: Sequence[Store], *, against_paper: bool = False) -> None:
    """Print the tables of runs; the last line counts images and errors."""
    from shapleycam.experiments.merging import summarise_runs

    print_summary(summarise_runs(stores), stores, against=published_figures(stores) if against_paper else None)


def print_summary(
    summary: ResultsSummary,
    stores: Sequence[Store],
    *,
    against: PublishedFigures | None = None,
    intervals: bool = True,
) -> None:
    """Print the tables of a summary of runs, as `print_results` does."""
    from shapleycam.experiments.results import terminal

    print_tables(terminal(summary, width=terminal_width(), intervals=intervals, against=against))
    print_line(f"{_counts(summary)}; results in {', '.join(str(store.storage) for store in stores)}")


def print_tables(tables: Iterable[TerminalTable]) -> None:
    """Print tables with their captions and notes."""
    for table in tables:
        print_line(table.caption, "bold")
        for heading, part in table.parts:
            if heading:
                print_line(heading, "bold")
            print_renderable(part)
            typer.echo()
        for note in table.notes:
            print_line(note, "dim")
        typer.echo()


def published_figures(stores: Sequence[Store]) -> PublishedFigures:
    """Return the published figures, with remarks on how the runs differ from what was published."""
    from shapleycam.experiments.deviations import describe_deviations
    from shapleycam.experiments.results import load_published

    return replace(load_published(), remarks=describe_deviations(stores))


def _counts(summary: ResultsSummary) -> str:
    """Return a text with the number of measured images, and the images that could not be measured."""
    images = max(group.images for group in summary.groups)
    failed = dict.fromkeys(absent.image for absent in summary.errors)
    names = ", ".join(failed)
    shortened = names if len(names) < 200 else f"{names[:200]} …"
    errors = f"{len(failed)} could not be measured ({shortened})" if failed else "no errors"
    left_out = len({absent.image for absent in summary.left_out})
    return f"{counted(images, 'image')} measured, {errors}" + (f", {left_out} left out" if left_out else "")
