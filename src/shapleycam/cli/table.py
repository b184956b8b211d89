"""`shapleycam table`: the results of runs as a table, and as figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shapleycam.cli.console import notes, print_document, print_note
from shapleycam.cli.messages import options_in_errors
from shapleycam.cli.results import print_summary, published_figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def table(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of evaluate's results, or URLs.")],
    *,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Only this metric, or of this set. Repeatable.")
    ] = None,
    form: Annotated[
        Literal["terminal", "markdown", "latex", "html", "csv"],
        typer.Option("--format", help="How it is written; csv has a line a figure, as fractions."),
    ] = "terminal",
    against: Annotated[
        Literal["paper"] | None, typer.Option("--against", help="Also print the difference from the published tables.")
    ] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals/--no-intervals", help="With half of the 95% interval behind each figure.")
    ] = True,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Draw figures into this folder, as PNG.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file; default: print.")] = None,
) -> None:
    """Make the paper's tables of your results: best bold, second underlined, with 95% intervals over images.

    - `shapleycam table run` prints them; `shapleycam table run1 run2 --format latex --out table.tex` writes LaTeX.
    - `shapleycam table run --against paper` also prints the difference from the published figures.
    - `shapleycam table run --figures plots` draws metric against metric, ranks across networks, and curves.
    """
    from shapleycam.experiments import Store
    from shapleycam.experiments.merging import read_curves, summarise_runs
    from shapleycam.experiments.results import LAYOUTS
    from shapleycam.files import portable_name, write_atomically

    stores = [Store(path) for path in runs]
    with notes(quiet=False):
        summary = summarise_runs(stores, metric)
    folder = None if figures is None else _figures_folder(figures)
    if form == "terminal" and out is None:
        print_summary(summary, stores, against_paper=against is not None, intervals=intervals)
    else:
        write = LAYOUTS["markdown" if form == "terminal" else form]  # a terminal's table in a file is Markdown
        text = write(summary, intervals=intervals, against=published_figures(stores) if against else None)
        if out is None:
            print_document(text)
        else:
            typer.echo(f"written {write_atomically(out, lambda stream: stream.write(text.encode()))}")
    if folder is not None:
        from shapleycam.experiments.results.available_figures import available_figures

        rows = read_curves(stores)
        for layer, utility in summary.settings:
            for figure in available_figures(summary.at(layer, utility), rows):
                _save(figure.draw, folder / f"{portable_name(figure.name)}.png")


def _figures_folder(path: Path) -> Path:
    """Return the folder of the figures, made if need be, before anything is printed."""
    from shapleycam.files import make_folder

    with options_in_errors(out="--figures"):
        return make_folder(path)


def _save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure into a file; of one that these results cannot make, print a note, so that the others are drawn."""
    from shapleycam.errors import OptionError
    from shapleycam.experiments.results.plots import save

    try:
        figure = draw()
    except OptionError as error:
        print_note(f"{path} is not drawn: {error}")
    else:
        typer.echo(f"written {save(figure, path)}", err=True)
