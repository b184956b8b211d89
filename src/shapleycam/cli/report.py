"""`shapleycam report`: one HTML file of an evaluation, or of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, progress
from shapleycam.cli.photographs import batches, found
from shapleycam.errors import OptionError
from shapleycam.urls import url_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.report import Page

_METHODS = ("gradcam", "shapleycam", "pathcam")
"""One of each order: first, second, path."""
_OF_RUNS = ("maps", "data")
_OF_IMAGES = (
    *("checkpoint", "pretrained", "layer", "layout", "output", "utility", "against", "method", "target", "nodes"),
    *("tolerance", "view", "batch_size", "seed", "memory"),
)


def report(
    context: typer.Context,
    what: Annotated[
        list[str], typer.Argument(metavar="RUN|IMAGE", help="Runs of evaluate, or photographs and folders of them.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; default: report.html beside you, named after a run.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Of photographs as in explain; of a run, your own model whose code may run."),
    ] = None,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layer = None,
    layout: options.Layout = None,
    output: options.Output = None,
    utility: options.UtilityName = "rest",
    against: options.Against = None,
    method: options.Methods = None,
    target: options.Target = None,
    nodes: options.Nodes = "8",
    tolerance: options.Tolerance = 0.01,
    view: options.View = None,
    maps: Annotated[
        int, typer.Option("--maps", min=0, help="Of a run: photographs a layer and utility whose maps are made again.")
    ] = 3,
    data: Annotated[
        str | None, typer.Option("--data", help="Of a run: where its photographs are now, if not where they were.")
    ] = None,
    device: options.Device = None,
    batch_size: options.BatchSize = 16,
    seed: options.Seed = 0,
    memory: options.Memory = options.DEFAULT_MEMORY,
    quiet: options.Quiet = False,
) -> None:
    """Write a page that anybody can open: of an evaluation, or of what is seen in photographs.

    - `shapleycam report run` writes protocol, tables, figures, and where the methods differ most to `run.html`.
    - `shapleycam report run1 run2 --maps 0 --out tables.html` makes no maps again.
    - `shapleycam report cat.jpg dogs/ --method shapleycam --method gradcam` explains photographs, in `report.html`.
    """
    from shapleycam.cams.table import expand
    from shapleycam.files import make_folder
    from shapleycam.report import of_photographs, pages_of

    runs = _runs(what)
    file = out or Path(f"{_name(runs[0])}.html" if runs else "report.html")
    _refuse(context, _OF_IMAGES if runs else _OF_RUNS, "a run" if runs else "photographs")
    if runs:
        _of_runs(runs, file, (model, data, device), maps, quiet=quiet)
        return
    methods = method or list(_METHODS)
    expand(methods)
    how: dict[str, Any] = {"tolerance": tolerance, "seed": seed, "nodes": options.nodes_of(nodes)}
    make_folder(file.parent)
    paths, unread = found([Path(one) for one in what])
    _report_errors(unread)
    if not paths:
        raise typer.Exit(2)
    explainer = options.make_explainer(
        model or options.DEFAULT_MODEL,
        checkpoint,
        pretrained=pretrained,
        layer=layer,
        utility=utility,
        against=against,
        device=device,
        memory=memory,
        layout=layout,
        output=output,
    )
    transform = options.transform_of(explainer, view)
    pages: list[Page] = []
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as bar:
        for batch, errors in batches(paths, transform, explainer.model, batch_size):
            _report_errors(errors)
            unread += errors
            pages += pages_of(explainer, batch, methods, target, view=view, **how) if batch else []
            bar.advance(len(errors) + len(batch.sources if batch else ()))
    if pages:
        _write(file, of_photographs(pages, [(url_of(path) or str(path), reason) for path, reason in unread]))
    if unread:
        raise typer.Exit(2)


def _of_runs(
    runs: Sequence[str], file: Path, at_hand: tuple[str | None, str | None, str | None], maps: int, *, quiet: bool
) -> None:
    """`at_hand`: the model whose code may run, where the photographs are, and the device."""
    from shapleycam.experiments import Store
    from shapleycam.files import make_folder
    from shapleycam.report import MapReproducer, of_runs

    stores = [Store(run) for run in runs]
    make_folder(file.parent)
    with notes(quiet=quiet):
        page = of_runs(stores, MapReproducer(stores, *at_hand) if maps else None, maps)
    _write(file, page)


def _runs(what: list[str]) -> list[str]:
    """The arguments, if they are runs; none if they are photographs, which have no URLs.

    Raises:
        OptionError: some of both.
    """
    from shapleycam.experiments.store import is_run

    runs = [one for one in what if "://" in one or (Path(one).is_dir() and is_run(one))]
    if runs and len(runs) < len(what):
        other = next(one for one in what if one not in runs)
        raise OptionError(f"{runs[0]} is a run and {other} is none; give runs of one protocol, or photographs")
    return runs


def _name(run: str) -> str:
    """What a run is called, for the name of a file."""
    return (run.rstrip("/").rpartition("/")[2] if "://" in run else Path(run).resolve().name) or "report"


def _refuse(context: typer.Context, names: Sequence[str], kind: str) -> None:
    """Refuse options that say nothing of this kind of report."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.replace("_", "-")
            raise OptionError(f"--{option} was given, and a report of {kind} has no use for it; leave it out")


def _report_errors(errors: Sequence[tuple[Path, str]]) -> None:
    for path, reason in errors:
        print_error(reason, own_texts=(str(path),))


def _write(file: Path, page: bytes) -> None:
    from shapleycam.files import write_atomically

    typer.echo(f"written {write_atomically(file, lambda f: f.write(page))} ({len(page) / 1e6:.1f} MB)")
