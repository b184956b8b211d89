"""The command line: thin, with one name for an option everywhere."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from shapleycam.cli import (
    compare,
    evaluate,
    explain,
    fidelity,
    interactions,
    layers,
    listing,
    report,
    reproduce,
    table,
    web,
)
from shapleycam.cli.console import print_error
from shapleycam.errors import ShapleyCamError
from shapleycam.version import __version__

app = typer.Typer(
    name="shapleycam",
    help="Explain an image model's decision: which places of the photograph earned the score, in the sense of Shapley.",
    epilog="Begin with: shapleycam explain (a photograph that comes along), then shapleycam explain YOUR.jpg",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("fidelity")(fidelity.fidelity)
app.command("interactions")(interactions.interactions)
app.command("evaluate")(evaluate.evaluate)
app.command("table")(table.table)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("web")(web.web)
app.command("layers")(layers.layers)
app.command("models")(listing.models)
app.command("methods")(listing.methods)
app.command("metrics")(listing.metrics)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"shapleycam {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold what cannot be printed
    try:
        app()
    except ShapleyCamError as error:
        print_error(str(error))
        sys.exit(2)
