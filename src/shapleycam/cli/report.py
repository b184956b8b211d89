"""`shapleycam report`: a single HTML file on an evaluation, or on photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, print_note, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import BatchComputeGroup, EstimatorGroup, NetworkGroup, QuestionGroup
from shapleycam.cli.option_groups import option_names
from shapleycam.cli.photographs import print_unreadable, read_batches, require_photographs
from shapleycam.errors import OptionError
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_folder
from shapleycam.urls import url_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.report import Page

_METHODS = ("gradcam", "shapleycam", "pathcam-h")
"""Default methods for photographs, one of each order: first, second, path."""


@dataclass(frozen=True)
class PageGroup:
    """The options of the page: its file; for photographs the background; for a run the number of maps and its data."""

    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file; default: report.html in the current folder, or the name of the run."),
    ] = None
    view: options.View = None
    maps: Annotated[
        int,
        typer.Option(
            "--maps",
            min=0,
            help="For a run: the number of photographs per layer and utility whose maps are computed again.",
        ),
    ] = 3
    data: Annotated[
        str | None, typer.Option("--data", help="For a run: where its photographs are now, if they have moved.")
    ] = None


@dataclass(frozen=True)
class ReportNetworkGroup(NetworkGroup):
    """The options of the network that explains the photographs; for a run, of the model whose code may run."""

    model: Annotated[
        str | None,
        typer.Option("--model", help="For photographs: as in explain. For a run: your own model, whose code may run."),
    ] = None
    layer: options.Layer = None
    layout: options.Layout = None
    output: options.Output = None
    utility: options.UtilityName = "rest"
    against: options.Against = None
    removal: options.Removal = "zero"
    reference: options.Reference = None


_FOR_RUNS = ("maps", "data")
_FOR_BOTH = ("out", "model", "device")
_FOR_PHOTOGRAPHS = tuple(
    name
    for group in (ReportNetworkGroup, QuestionGroup, EstimatorGroup, PageGroup, BatchComputeGroup)
    for name in option_names(group)
    if name not in (*_FOR_RUNS, *_FOR_BOTH)
)
"""The options that each kind of report uses."""


def report(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(metavar="RUN|IMAGE", help="Runs of evaluate, or photographs and folders of them.")
    ],
    *,
    page: PageGroup,
    network: ReportNetworkGroup,
    question: QuestionGroup,
    estimator: EstimatorGroup,
    compute: BatchComputeGroup,
    quiet: options.Quiet = False,
) -> None:
    """Write a page that anybody can open: of an evaluation, or of what is seen in photographs.

    - `shapleycam report run` writes protocol, tables, figures, and where the methods differ most to `run.html`.
    - `shapleycam report run1 run2 --maps 0 --out tables.html` makes no maps again.
    - `shapleycam report cat.jpg dogs/ --method shapleycam --method gradcam` explains photographs, in `report.html`.
    """
    if runs := _find_runs(sources):
        _refuse_options(context, _FOR_PHOTOGRAPHS, "a run")
        _report_runs(runs, page, network.model, compute.device, quiet=quiet)
        return
    _refuse_options(context, _FOR_RUNS, "photographs")
    _report_photographs([Path(word) for word in sources], page, network, question, estimator, compute, quiet=quiet)


def _report_photographs(
    sources: Sequence[Path],
    page: PageGroup,
    network: ReportNetworkGroup,
    question: QuestionGroup,
    estimator: EstimatorGroup,
    compute: BatchComputeGroup,
    *,
    quiet: bool,
) -> None:
    """Explain photographs, and write the report on them.

    Raises:
        typer.Exit: a photograph cannot be read; the report on the others is written.
    """
    from shapleycam.cams.table import expand_methods
    from shapleycam.files import make_folder
    from shapleycam.report import make_pages, render_photographs
    from shapleycam.smoothing import parse_smoothing

    methods = question.method or list(_METHODS)
    expand_methods(methods)
    smooth = parse_smoothing(question.smooth)
    estimator.check()  # refuse a wrong option before anything is written or loaded
    file = page.out or Path("report.html")
    make_folder(file.parent)
    paths, unreadable = require_photographs(sources, quiet=quiet)
    explainer = make_explainer(network, compute)
    transform = transform_of(explainer, page.view)
    estimator_options = estimator.options()
    pages: list[Page] = []
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as bar:
        for batch, failures in read_batches(paths, transform, explainer.model, compute.batch_size):
            print_unreadable(failures)
            unreadable += failures
            if batch is not None:
                pages += make_pages(
                    explainer,
                    batch,
                    methods,
                    question.target,
                    view=page.view,
                    nodes=estimator_options.nodes,
                    tolerance=estimator_options.tolerance,
                    seed=estimator_options.seed,
                    smooth=smooth,
                )
            bar.advance(len(failures) + len(batch.sources if batch else ()))
    if pages:
        reasons = [
            (url_of(failure.path) or printable_name(str(failure.path)), failure.reason) for failure in unreadable
        ]
        _write(file, render_photographs(pages, reasons))
    if unreadable:
        raise typer.Exit(REFUSED)


def _report_runs(runs: Sequence[str], page: PageGroup, model: str | None, device: str | None, *, quiet: bool) -> None:
    """Write the report of runs; `model` is the one whose code may run."""
    from shapleycam.cli.reproducing import CommandLineReproducer
    from shapleycam.experiments import Store
    from shapleycam.files import make_folder
    from shapleycam.report import render_runs

    stores = [Store(run) for run in runs]
    file = page.out or Path(f"{_name(runs[0])}.html")
    make_folder(file.parent)
    with notes(quiet=quiet):
        reproducer = CommandLineReproducer(stores, model, page.data, device) if page.maps else None
        html = render_runs(stores, reproducer, page.maps)
    _write(file, html)
    if reproducer is not None and not quiet:
        for problem in reproducer.problems:
            print_note(f"the report has no maps, or not all: {problem}")


def _find_runs(sources: list[str]) -> list[str]:
    """Return the arguments if all are runs (folders or URLs); [] if all are photographs.

    Raises:
        OptionError: there are runs and photographs.
    """
    from shapleycam.experiments.run_opening import is_run

    runs = [word for word in sources if "://" in word or (is_folder(word) and is_run(word))]
    if runs and len(runs) < len(sources):
        photograph = next(word for word in sources if word not in runs)
        raise OptionError(f"{runs[0]} is a run and {photograph} is none; give runs of one protocol, or photographs")
    return runs


def _name(run: str) -> str:
    """Return the name of a run's folder, which becomes the report's name."""
    from shapleycam.files import portable_name

    name = portable_name(run.rstrip("/").rpartition("/")[2]) if "://" in run else Path(run).resolve().name
    return name or "report"


def _refuse_options(context: typer.Context, names: Sequence[str], kind: str) -> None:
    """Refuse options that were typed but are not used by this kind of report.

    Raises:
        OptionError: there is such an option.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.replace("_", "-")
            raise OptionError(f"--{option} was given, and a report of {kind} has no use for it; leave it out")


def _write(file: Path, html: bytes) -> None:
    """Write the page, and print its path."""
    from shapleycam.files import write_atomically

    path = write_atomically(file, lambda stream: stream.write(html))
    typer.echo(f"written {path} ({len(html) / 1e6:.1f} MB)")
