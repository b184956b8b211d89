"""The command line: it reads options, calls the library and prints. An option has the same name in all commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from shapleycam.cli import (
    compare,
    evaluate,
    explain,
    fidelity,
    interactions,
    ladder,
    layers,
    listing,
    report,
    reproduce,
    table,
    web,
)
from shapleycam.cli.command import Command, Group, RunCommand
from shapleycam.cli.help_texts import WIDEST
from shapleycam.cli.option_groups import flatten_groups
from shapleycam.version import __version__

app = typer.Typer(
    cls=Group,
    context_settings={"max_content_width": WIDEST},
    name="shapleycam",
    help="Explain an image model's decision: which places of the photograph earned the score, in the sense of Shapley.",
    epilog="Begin with: shapleycam explain (a photograph that comes along), then shapleycam explain YOUR.jpg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "explain": explain.explain,
    "compare": compare.compare,
    "fidelity": fidelity.fidelity,
    "interactions": interactions.interactions,
    "ladder": ladder.ladder,
    "evaluate": evaluate.evaluate,
    "table": table.table,
    "report": report.report,
    "reproduce": reproduce.reproduce,
    "web": web.web,
    "layers": layers.layers,
    "models": listing.models,
    "methods": listing.methods,
    "metrics": listing.metrics,
}
_RUNS = ("evaluate", "reproduce")
"""Commands that can be stopped and continued later."""
for _name, _function in COMMANDS.items():
    app.command(_name, cls=RunCommand if _name in _RUNS else Command)(flatten_groups(_function))


def _print_version(*, requested: bool) -> bool:
    if requested:
        typer.echo(f"shapleycam {__version__}")
        raise typer.Exit
    return requested


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error that the user can fix is one line on stderr and exit code 2 (see `Command`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names with unprintable characters
    app()
