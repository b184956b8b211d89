"""`shapleycam table`: the results of runs as a table, and as figures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli.console import print_note
from shapleycam.cli.results import in_print, print_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from polars import DataFrame

    from shapleycam.experiments.results import Summary


def table(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders of evaluate's results, or URLs.")],
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
        bool, typer.Option("--intervals/--no-intervals", help="With half of the 95 % interval behind each figure.")
    ] = True,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Draw figures into this folder, as PNG.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file; default: print.")] = None,
) -> None:
    """Make the paper's tables of your results: best bold, second underlined, with 95 % intervals over images.

    - `shapleycam table run` prints them; `shapleycam table run1 run2 --format latex --out table.tex` writes LaTeX.
    - `shapleycam table run --against paper` also prints the difference from the published figures.
    - `shapleycam table run --figures plots` draws metric against metric, ranks across networks, and curves.
    """
    from shapleycam.experiments import Store
    from shapleycam.experiments.results import LAYOUTS
    from shapleycam.experiments.runs import curve_rows, summary_of
    from shapleycam.files import write_whole

    stores = [Store(path) for path in runs]
    summary = summary_of(stores, metric)
    folder = None if figures is None else _folder(figures)
    if form == "terminal" and out is None:
        print_summary(summary, stores, against_paper=against is not None, intervals=intervals)
    else:
        write = LAYOUTS["markdown" if form == "terminal" else form]  # a terminal's table in a file is Markdown
        text = write(summary, intervals=intervals, against=in_print(stores) if against else None)
        if out is None:
            typer.echo(text, nl=False)
        else:
            typer.echo(f"written {write_whole(out, lambda file: file.write(text.encode()))}")
    if folder is not None:
        for name, draw in _figures(summary, curve_rows(stores)):
            _save(draw, folder / name)


def _folder(path: Path) -> Path:
    """The folder of the figures, made if need be, before anything is printed."""
    from shapleycam.errors import OptionError
    from shapleycam.files import folder

    try:
        return folder(path)
    except OptionError as error:  # which names the option of other commands
        raise OptionError(str(error).replace("--out", "--figures")) from None


def _figures(summary: Summary, curve_rows: DataFrame | None) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Every figure that the results may allow, one a layer and utility: the name of its file, and how it is drawn."""
    from shapleycam.experiments.results.diagram import rank_diagram
    from shapleycam.experiments.results.plots import curves, metric_against_metric

    names = [column.name for column in summary.columns]
    for layer, utility in summary.settings:
        here = summary.at(layer, utility)
        where: dict[str, Any] = {"layer": layer, "utility": utility}
        end = f"{layer}_{utility}.png"
        if len(names) > 1:
            first, last = names[0], names[-1]
            yield f"{first}_{last}_{end}", partial(metric_against_metric, summary, first, last, **where)
        if len(here.groups) > 1 and len({cell.method for cell in here.cells}) > 2:
            for name in names:
                yield f"ranks_{name}_{end}", partial(rank_diagram, summary, name, **where)
        if curve_rows is not None:
            yield f"curves_{end}", partial(curves, curve_rows, **where)


def _save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure into a file; one that cannot be drawn of these results must not keep the others from it."""
    from shapleycam.errors import OptionError
    from shapleycam.experiments.results.plots import save

    try:
        figure = draw()
    except OptionError as error:
        print_note(f"{path} is not drawn: {error}")
    else:
        typer.echo(f"written {save(figure, path)}", err=True)
