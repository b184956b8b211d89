"""`shapleycam evaluate`: metrics of methods over a dataset, resumable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes
from shapleycam.cli.display import display
from shapleycam.cli.groups import RegionEstimatorGroup
from shapleycam.cli.mosaic_group import MosaicGroup
from shapleycam.cli.parsing import parse_nodes, parse_players
from shapleycam.cli.removal import removal_arguments
from shapleycam.cli.results import print_results
from shapleycam.cli.run_groups import ActionGroup, EngineGroup, StrictRunGroup
from shapleycam.cli.stopping import stopping
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.experiments import Evaluation, Protocol, Store


@dataclass(frozen=True)
class NetworksGroup:
    """The options of the networks to evaluate."""

    model: options.Models = None
    checkpoint: options.Checkpoint = None
    pretrained: options.Pretrained = True


@dataclass(frozen=True)
class ProtocolGroup(MosaicGroup):
    """The options of an evaluation's protocol: what is measured, on which photographs and how."""

    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", help="before-pool (the default), last-conv, a dotted name, or input (the image). Repeatable."
        ),
    ] = None
    utility: Annotated[
        list[str] | None, typer.Option("--utility", help="What is explained; default: rest. Repeatable.")
    ] = None
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method, or a set: paper (the default), all, field. Repeatable."),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="A metric (see: shapleycam metrics), or a set: paper (default), all. Repeatable."
        ),
    ] = None
    class_rule: Annotated[
        Literal["prediction", "label", "correct"],
        typer.Option("--class", help="What is explained: the prediction, the label, or the prediction where correct."),
    ] = "prediction"
    objects: Annotated[
        Path | None,
        typer.Option("--objects", help="For the pointing metrics: a folder of VOC XML or PNG masks, or a COCO .json."),
    ] = None
    any_object: Annotated[
        bool, typer.Option("--any-object", help="Pointing metrics accept any object, not only those of the class.")
    ] = False
    preprocess: Annotated[
        Literal["own", "paper"],
        typer.Option(
            "--preprocess",
            help="The model's own, or the paper's: Resize(256), CenterCrop(224), ImageNet's mean.",
        ),
    ] = "own"
    mask_space: Annotated[
        Literal["normalised", "pixels"],
        typer.Option(
            "--mask-space",
            help="Where the mask is multiplied, which decides how hidden pixels look: the mean colour, or black.",
        ),
    ] = "normalised"
    baseline: Annotated[
        Literal["zero", "mean", "blur"], typer.Option("--baseline", help="What replaces the pixels that a mask hides.")
    ] = "zero"
    removal: options.Removal = "zero"
    precision: options.Precision = "full"
    smooth: options.Smooth = None
    reference: options.Reference = None
    limit: options.Limit = None

    def protocol(self, estimator: RegionEstimatorGroup) -> Protocol:
        """Return the protocol; the metric set "all" includes metrics of objects only with annotations or mosaics.

        Raises:
            OptionError: an unknown layer rule, utility, method, metric or removal.
            ImageError: a folder of reference photographs without any.
        """
        from shapleycam.experiments import Protocol
        from shapleycam.metrics import MetricOptions
        from shapleycam.metrics.table import expand_metrics
        from shapleycam.models import paper
        from shapleycam.smoothing import parse_smoothing
        from shapleycam.tracing.reduced_precision import check_precision

        removal, reference = removal_arguments(self.removal, self.reference)
        has_objects = self.objects is not None or self.mosaic is not None
        if self.mosaic is not None and self.preprocess != "own":
            raise OptionError(
                f"--mosaic {self.mosaic} and --preprocess {self.preprocess} were given, which cuts photographs at "
                "their edges; leave one out"
            )
        return Protocol(
            layers=tuple(self.layer or ["before-pool"]),
            utilities=tuple(self.utility or ["rest"]),
            methods=tuple(self.method or ["paper"]),
            metrics=tuple(expand_metrics(self.metric or ["paper"], objects=has_objects)),
            preprocess=paper.PREPROCESS if self.preprocess == "paper" else None,
            class_rule=self.class_rule,
            objects="any" if self.any_object else "class",
            options=MetricOptions(mask_space=self.mask_space, baseline=self.baseline, seed=estimator.seed),
            nodes=parse_nodes(estimator.nodes),
            tolerance=estimator.tolerance,
            players=parse_players(estimator.players),
            seed=estimator.seed,
            removal=removal,
            reference=tuple(reference or ()),
            precision=check_precision(self.precision),
            smooth=parse_smoothing(self.smooth),
            runs=estimator.runs,
        )


def evaluate(
    data: options.Data,
    *,
    out: options.Results = "results",
    networks: NetworksGroup,
    measured: ProtocolGroup,
    estimator: RegionEstimatorGroup,
    settings: StrictRunGroup,
    engine: EngineGroup,
    action: ActionGroup,
) -> None:
    """Measure methods on your data: ten methods and six metrics of the paper, unless you choose others.

    - `shapleycam evaluate photos/ --out run` measures with the default model.
    - `shapleycam evaluate val/ --model resnet50 --model vgg16 --metric all --out run` takes two networks, all metrics.
    - `shapleycam evaluate list.csv --method gradcam --method pathcam --class label --out run` explains the labels.
    - `shapleycam evaluate val/ --mosaic 2 --class label --metric relevance_mass` plays the grid pointing game.
    - `shapleycam evaluate val/ --engine ray --address auto --out s3://bucket/run` measures on a cluster.
    - `shapleycam evaluate val/ --model resnet50 --out run --plan` prints passes, time, disk and cost, and does nothing.

    DATA is a folder of photographs (in sub-folders named by class, if they have labels), a CSV or Parquet of paths and
    labels, a .zip archive, .tar shards or .parquet files of pictures, a pattern such as 's3://bucket/photos/*.jpg',
    torchvision:NAME:FOLDER or hf:NAME. A run that was stopped goes on with the same command.
    """
    from shapleycam.experiments import Evaluation
    from shapleycam.experiments.datasets.annotations.opening import open_annotations
    from shapleycam.experiments.datasets.opening import open_dataset

    remote = engine.make_engine()
    protocol = measured.protocol(estimator)
    models = networks.model or [options.DEFAULT_MODEL]
    with notes(quiet=action.quiet):
        dataset = measured.join(
            open_dataset(data, measured.limit),
            models,
            networks.checkpoint,
            pretrained=networks.pretrained,
            device=settings.device,
            seed=estimator.seed,
        )
    evaluation = Evaluation(
        tuple(models),
        dataset,
        protocol,
        out,
        None if measured.objects is None else open_annotations(measured.objects),
        networks.pretrained,
        networks.checkpoint,
        settings.settings(remote),
    )
    if action.plan:
        from shapleycam.cli.plan import print_plan

        print_plan(evaluation, quiet=action.quiet)
        return
    store = run(evaluation, quiet=action.quiet)
    print_results([store])


def run(evaluation: Evaluation, *, quiet: bool) -> Store:
    """Run an evaluation, show its progress, and return its store; if a signal stops it, print one line.

    Raises:
        typer.Exit: with the code of the signal that stopped it.
    """
    from shapleycam.metrics import METRICS

    metrics = [METRICS[name] for name in evaluation.protocol.metrics]
    with (
        stopping(partial(_describe_stop, evaluation)),
        notes(quiet=quiet),
        display(metrics, quiet=quiet) as listener,
    ):
        return evaluation.run(listener)


def _describe_stop(evaluation: Evaluation) -> str:
    """Return a line that says how many images a stopped run has measured, and how to continue it."""
    from shapleycam.errors import ShapleyCamError

    try:
        measured = evaluation.n_measured
    except ShapleyCamError as error:  # for example, the folder was removed
        return f"stopped; {error}"
    return f"stopped; {measured} images are kept in {evaluation.out}, and the same command goes on from there"
