"""`shapleycam ladder MODEL IMAGE`: how close each layer's values are to the input's, and at what price."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import ComputeGroup, EstimatorGroup, NetworkGroup, PrintGroup
from shapleycam.cli.input_fidelity import input_question, with_layer_removal
from shapleycam.cli.ladder_display import print_ladder_plan, show_ladder
from shapleycam.cli.measured_files import FilesGroup
from shapleycam.cli.photographs import read_batches, readable_batches, require_photographs
from shapleycam.cli.stopping import stopping
from shapleycam.printable import printable_name


@dataclass(frozen=True)
class LadderNetworkGroup(NetworkGroup):
    """The options of a network that is the command's argument, and of the question about its input."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, as in explain --model.")] = (
        options.DEFAULT_MODEL
    )
    output: options.Output = None
    utility: options.UtilityName = "rest"
    removal: options.InputRemoval = "zero"
    reference: options.Reference = None


@dataclass(frozen=True)
class RungsGroup:
    """The options of the ladder's layers and methods."""

    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="A,B,...",
            help="Layers by name (see: shapleycam layers MODEL); default: at most six, evenly in depth from the one "
            "before pooling to the input.",
        ),
    ] = None
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method to measure at each layer; default: hirescam. Repeatable."),
    ] = None

    @property
    def names(self) -> list[str] | None:
        """Return the layers' names; None to let the library choose them."""
        return None if self.layers is None else [name.strip() for name in self.layers.split(",") if name.strip()]


@dataclass(frozen=True)
class RegionsGroup(EstimatorGroup):
    """The options of the photograph's regions, and of sampling their values."""

    nodes: str = "8"
    tolerance: float = 0.01
    players: Annotated[
        str | None,
        typer.Option(
            "--players",
            metavar="RxC|NAME",
            help="Regions of the photograph: R x C, superpixels, superpixels:80 or patches (the model's own); default: "
            "7x7.",
        ),
    ] = None
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            min=1,
            help="For each photograph: the number of runs of the model for the input's values, in two halves, and of "
            "runs of the layers behind each layer for its values; default: 2000.",
        ),
    ] = None
    seed: options.Seed = 0


@dataclass(frozen=True)
class LadderFilesGroup(FilesGroup):
    """The options of the files to write, and of the folder in which values are stored."""

    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw the correlations with the input's values, by price, into this PNG."),
    ] = None
    to_csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file of every photograph, layer and method.")] = (
        None
    )
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for the values; the same command continues from there."),
    ] = None


@dataclass(frozen=True)
class MachineGroup(ComputeGroup):
    """The options of a ladder's device and memory; the precision is the network's own."""

    precision: str = "full"


@dataclass(frozen=True)
class PlannedPrintGroup(PrintGroup):
    """The options of printing, with the option to print only the plan."""

    plan: options.Plan = False


def ladder(
    *,
    network: LadderNetworkGroup,
    images: options.ImagePaths = None,
    rungs: RungsGroup,
    regions: RegionsGroup,
    files: LadderFilesGroup,
    compute: MachineGroup,
    printing: PlannedPrintGroup,
) -> None:
    """Measure how close each layer's values are to what regions of the photograph are worth, and at what price.

    - `shapleycam ladder efficientnet_lite0 photos/ --plan` prints the runs and the hours beforehand.
    - `shapleycam ladder efficientnet_lite0 photos/ --removal blur --out ladder/ --plot ladder.png` keeps the values.
    - `shapleycam ladder efficientnet_lite0 photos/ --layers bn2,blocks.5,blocks.4 --method shapleycam-h`

    From the last layer to the input: the layer's own Shapley values and those of methods, summed over regions of the
    photograph (--players, default 7x7), are compared with the Shapley values of these regions at the input.
    """
    from shapleycam.bridge import ladder as measure
    from shapleycam.bridge import plan_ladder
    from shapleycam.cams.table import expand_methods
    from shapleycam.tracing.input_layer import INPUT

    methods = rungs.method or ["hirescam"]
    expand_methods(methods)
    regions.check()
    question = input_question(network, regions)
    if not printing.plan:
        files.make_folders()
    paths, unreadable = require_photographs(images, quiet=printing.quiet)
    explainer = make_explainer(with_layer_removal(network), compute)
    batches = readable_batches(read_batches(paths, transform_of(explainer), explainer.model, 1), unreadable)
    if printing.plan:
        with notes(quiet=printing.quiet):
            planned = plan_ladder(explainer, batches, rungs.names, question, out=files.out)
        print_ladder_plan(planned, explainer.name, as_json=printing.as_json)
    else:
        with (
            stopping(partial(_describe_stop, files.out)),
            notes(quiet=printing.quiet),
            progress(len(paths), "measuring", quiet=printing.quiet) as bar,
        ):
            measured = measure(
                explainer,
                batches,
                rungs.names,
                methods,
                question,
                out=files.out,
                progress=bar.show_sampling,
                listener=lambda _image, layer: bar.advance(layer == INPUT),
            )
        show_ladder(measured, files, as_json=printing.as_json)
    if unreadable:
        raise typer.Exit(REFUSED)


def _describe_stop(folder: Path | None) -> str:
    """Return a line that says what a stopped ladder has stored, and how to continue it."""
    if folder is None:
        return "stopped; nothing is kept: with --out FOLDER it would be, and the same command would go on from there"
    return f"stopped; what was sampled is kept in {printable_name(str(folder))}; the same command goes on from there"
