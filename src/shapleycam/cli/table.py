"""`shapleycam table`: the results of runs as a table and as figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shapleycam.cli.console import notes, print_document, print_note, terminal_width
from shapleycam.cli.messages import options_in_errors
from shapleycam.cli.results import print_summary, print_tables, published_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure

    from shapleycam.experiments import Store
    from shapleycam.experiments.results import PublishedFigures
    from shapleycam.experiments.results.available_figures import FigureSpec


def table(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of evaluate's results, or URLs.")],
    *,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Only this metric, or the metrics of this set. Repeatable.")
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option("--lead", metavar="A:B", help="Instead of means: by how much method A is better than B."),
    ] = None,
    form: Annotated[
        Literal["terminal", "markdown", "latex", "html", "csv"],
        typer.Option(
            "--format", help="The format of the tables; csv has one line per number, and fractions instead of percent."
        ),
    ] = "terminal",
    against: Annotated[
        Literal["paper"] | None, typer.Option("--against", help="Also print the difference from the published figures.")
    ] = None,
    intervals: Annotated[
        bool,
        typer.Option(
            "--intervals/--no-intervals", help="Show half of the width of the 95% interval behind each number."
        ),
    ] = True,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Draw figures into this folder, as PNG.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file; default: print.")] = None,
) -> None:
    """Make the paper's tables of your results: best bold, second underlined, with 95% intervals over images.

    - `shapleycam table run` prints them; `shapleycam table run1 run2 --format latex --out table.tex` writes LaTeX.
    - `shapleycam table run --against paper` also prints the difference from the published figures.
    - `shapleycam table run --lead shapleycam:gradcam` prints how far one method leads another, on the same images.
    - `shapleycam table run --figures plots` draws metric against metric, ranks across networks, and curves.
    """
    from shapleycam.experiments import Store

    stores = [Store(path) for path in runs]
    published = None if against is None else published_figures(stores)
    folder = None if figures is None else _figures_folder(figures)
    text_form = "markdown" if form == "terminal" and out is not None else form  # in a file, Markdown is the default
    if lead is None:
        drawn = _print_means(stores, metric, text_form, published, out, intervals=intervals)
    else:
        drawn = _print_leads(stores, lead, metric, text_form, published, out)
    if folder is not None:
        from shapleycam.files import portable_name

        for figure in drawn():
            _save(figure.draw, folder / f"{portable_name(figure.name)}.png")


def _print_means(
    stores: Sequence[Store],
    metrics: Sequence[str] | None,
    form: str,
    published: PublishedFigures | None,
    out: Path | None,
    *,
    intervals: bool,
) -> Callable[[], Iterator[FigureSpec]]:
    """Print or write the table of means, and return a function that yields its figures."""
    from shapleycam.experiments.merging import read_curves, summarise_runs
    from shapleycam.experiments.results import LAYOUTS

    with notes(quiet=False):
        summary = summarise_runs(stores, metrics)
    if form == "terminal":
        print_summary(summary, stores, against=published, intervals=intervals)
    else:
        _write(LAYOUTS[form](summary, intervals=intervals, against=published), out)

    def figures() -> Iterator[FigureSpec]:
        from shapleycam.experiments.results.available_figures import available_figures

        rows = read_curves(stores)
        for layer, utility in summary.settings:
            yield from available_figures(summary.at(layer, utility), rows)

    return figures


def _print_leads(
    stores: Sequence[Store],
    lead: str,
    metrics: Sequence[str] | None,
    form: str,
    published: PublishedFigures | None,
    out: Path | None,
) -> Callable[[], Iterator[FigureSpec]]:
    """Print or write the table of leads, and return a function that yields its figures."""
    from shapleycam.errors import OptionError
    from shapleycam.experiments.merging import find_leads_of_runs
    from shapleycam.experiments.results import lead_text, terminal_tables

    first, colon, second = lead.partition(":")
    if not (first and colon and second):
        raise OptionError(f"--lead {lead}: expected two methods with a colon between, as shapleycam:gradcam")
    with notes(quiet=False):
        leads = replace(find_leads_of_runs(stores, (first, second), metrics), published=published)
    if form == "terminal":
        print_tables(terminal_tables(leads.text_tables(), terminal_width()))
    else:
        _write(lead_text(leads, form), out)

    def figures() -> Iterator[FigureSpec]:
        from shapleycam.experiments.results.lead_figures import lead_figures

        return lead_figures(leads)

    return figures


def _write(text: str, out: Path | None) -> None:
    """Print a document, or write it to a file and print the file's path."""
    from shapleycam.files import write_atomically

    if out is None:
        print_document(text)
    else:
        typer.echo(f"written {write_atomically(out, lambda stream: stream.write(text.encode()))}")


def _figures_folder(path: Path) -> Path:
    """Return the figures' folder; create it if it does not exist, before anything is printed."""
    from shapleycam.files import make_folder

    with options_in_errors(out="--figures"):
        return make_folder(path)


def _save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure into a file; if the results do not allow this figure, print a note and continue."""
    from shapleycam.errors import OptionError
    from shapleycam.experiments.results.plots import save

    try:
        figure = draw()
    except OptionError as error:
        print_note(f"{path} is not drawn: {error}")
    else:
        typer.echo(f"written {save(figure, path)}", err=True)
