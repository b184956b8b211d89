"""`shapleycam table`: the results of runs as a table, and as figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli.results import print_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polars import DataFrame

    from shapleycam.experiments.results import Summary


def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of evaluate's results.")],
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Only this metric (or set). Repeatable.")] = None,
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
    from shapleycam.experiments.results import LAYOUTS, published
    from shapleycam.experiments.runs import summary_of, together
    from shapleycam.files import folder, write_whole
    from shapleycam.metrics.table import expand

    stores = [Store(path) for path in runs]
    summary = summary_of(stores, expand(metric) if metric else None)
    if form == "terminal" and out is None:
        print_summary(summary, stores, against_paper=against is not None, intervals=intervals)
    else:
        write = LAYOUTS["markdown" if form == "terminal" else form]  # a terminal's table in a file is Markdown
        text = write(summary, intervals=intervals, against=published() if against else None)
        if out is None:
            typer.echo(text, nl=False)
        else:
            typer.echo(f"written {write_whole(out, lambda file: file.write(text.encode()))}")
    if figures is not None:
        for file in _drawn(summary, together(stores), folder(figures)):
            typer.echo(f"written {file}", err=True)


def _drawn(summary: Summary, rows: DataFrame, folder: Path) -> Iterator[Path]:
    """Every figure that the results allow, one a layer and utility."""
    from shapleycam.experiments.results.diagram import rank_diagram
    from shapleycam.experiments.results.plots import curves, metric_against_metric, save
    from shapleycam.experiments.rows import CURVES

    names = [column.name for column in summary.columns]
    for layer, utility in summary.settings:
        here = summary.at(layer, utility)
        where: dict[str, Any] = {"layer": layer, "utility": utility}
        end = f"{layer}_{utility}.png"
        if len(names) > 1:
            figure = metric_against_metric(summary, names[0], names[-1], **where)
            yield save(figure, folder / f"{names[0]}_{names[-1]}_{end}")
        if len(here.groups) > 1 and len({cell.method for cell in here.cells}) > 2:
            for name in names:
                yield save(rank_diagram(summary, name, **where), folder / f"ranks_{name}_{end}")
        if any(name in rows.columns for name in CURVES):
            yield save(curves(rows, **where), folder / f"curves_{end}")
