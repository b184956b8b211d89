"""`shapleycam fidelity`: the distance of each method from the model's true Shapley values, and its cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.fidelity_display import show_fidelity
from shapleycam.cli.groups import BatchComputeGroup, OneLayerNetworkGroup, PrintGroup, RegionEstimatorGroup
from shapleycam.cli.input_fidelity import input_question, show_input_fidelity, with_layer_removal
from shapleycam.cli.measured_files import FilesGroup
from shapleycam.cli.photographs import read_batches, readable_batches, require_photographs
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.inputs import Batch
    from shapleycam.fidelity import Fidelity
    from shapleycam.values.options import EstimatorOptions


@dataclass(frozen=True)
class MeasuredGroup:
    """The options of the measurement: utilities and methods, and the values that they are compared with."""

    utility: Annotated[
        list[str] | None,
        typer.Option("--utility", help="What is explained: rest, logit, log_probability, probability. Repeatable."),
    ] = None
    method: options.Methods = None
    truth: Annotated[
        Literal["layer", "input"],
        typer.Option(
            "--truth",
            help="The values to compare with: the layer's own Shapley values, or those of regions of the photograph at "
            "the input (--players, default 7x7); --removal is then that of these regions.",
        ),
    ] = "layer"


@dataclass(frozen=True)
class TrueValuesEstimatorGroup(RegionEstimatorGroup):
    """The options of the estimators; the tolerance is that of the true values."""

    tolerance: Annotated[
        float,
        typer.Option("--tolerance", help="Sample the true values until their standard error is this share of them."),
    ] = 0.005

    def check_for(self, truth: str) -> None:
        """Refuse wrong options before anything is loaded.

        Raises:
            OptionError: an option is wrong, or does not fit `truth`.
        """
        self.check()
        if truth == "input" and self.tolerance != TrueValuesEstimatorGroup.tolerance:
            raise OptionError(
                f"--tolerance {self.tolerance} is for the layer's own values; with --truth input set the number of "
                "runs for the input's values, such as --runs 4000"
            )


def fidelity(
    images: options.ImagePaths = None,
    *,
    network: OneLayerNetworkGroup,
    measured: MeasuredGroup,
    estimator: TrueValuesEstimatorGroup,
    files: FilesGroup,
    compute: BatchComputeGroup,
    printing: PrintGroup,
) -> None:
    """Measure how far each method is from the true Shapley values of your model.

    - `shapleycam fidelity photos/` measures every method for the default model, before pooling.
    - `shapleycam fidelity photos/ --layer blocks.5 --players 4x4` measures at another layer, for regions of it.
    - `shapleycam fidelity photos/ --utility logit --utility rest --csv distances.csv --plot distances.png`
    - `shapleycam fidelity photos/ --truth input --removal blur` compares with what regions of the photograph earn.

    The true values are those of the game in which the places of the layer are players (arXiv:2501.06261): the Shapley
    sum itself up to 12 players, sampled to --tolerance for more. With --truth input regions of the photograph are the
    players, sampled by 2,000 runs of the model a photograph unless --runs says otherwise.
    """
    from shapleycam.cams.table import expand_methods
    from shapleycam.fidelity import input_fidelity
    from shapleycam.utilities import resolve_utility

    utilities = [resolve_utility(name).name for name in dict.fromkeys(measured.utility or ["rest"])]
    methods = measured.method or ["all"]
    expand_methods(methods)
    estimator.check_for(measured.truth)
    files.make_folders()
    paths, unreadable = require_photographs(images, quiet=printing.quiet)
    is_of_input = measured.truth == "input"
    chosen = replace(network, utility=utilities[0])
    explainer = make_explainer(with_layer_removal(chosen) if is_of_input else chosen, compute)
    transform = transform_of(explainer)
    with notes(quiet=printing.quiet), progress(len(paths), "measuring", quiet=printing.quiet) as bar:
        batches = read_batches(paths, transform, explainer.model, compute.batch_size)
        readable = readable_batches(batches, unreadable, bar.advance)
        of_estimator = estimator.options(bar.show_sampling)
        if is_of_input:
            question = input_question(network, estimator)
            nodes, listener = of_estimator.nodes, of_estimator.progress
            against_input = input_fidelity(
                explainer, readable, utilities, methods, question, nodes=nodes, progress=listener
            )
        else:
            result = _measure(explainer, readable, utilities, methods, of_estimator, estimator.seed)
    if is_of_input:
        show_input_fidelity(against_input, explainer, files, as_json=printing.as_json)
    else:
        show_fidelity(result, explainer, files, as_json=printing.as_json)
    if unreadable:
        raise typer.Exit(REFUSED)


def _measure(
    explainer: Explainer,
    batches: Iterator[Batch],
    utilities: Sequence[str],
    methods: Sequence[str],
    estimator: EstimatorOptions,
    seed: int,
) -> Fidelity:
    """Return the methods' distances from the layer's own Shapley values."""
    from shapleycam.fidelity import fidelity as measure

    return measure(
        explainer,
        batches,
        utilities,
        methods,
        nodes=estimator.nodes,
        tolerance=estimator.tolerance,
        seed=seed,
        players=estimator.players,
        runs=estimator.runs,
        progress=estimator.progress,
    )
