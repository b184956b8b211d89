"""`shapleycam evaluate`: metrics of methods over a dataset, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_note
from shapleycam.cli.display import display
from shapleycam.cli.results import print_results

if TYPE_CHECKING:
    from shapleycam.experiments import Evaluation, Store

STOPPED = 130
"""The exit code of a process that was interrupted from the keyboard, as shells have it."""


def evaluate(
    data: options.Data,
    out: options.Results = "results",
    model: options.Models = None,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="before-pool (the default), last-conv, or a dotted name. Repeatable."),
    ] = None,
    utility: Annotated[
        list[str] | None, typer.Option("--utility", help="What is explained; default: rest. Repeatable.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method, or a set: paper (the default), all. Repeatable."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="A metric (see: shapleycam metrics), or a set: paper (default), all. Repeatable."
        ),
    ] = None,
    class_rule: Annotated[
        Literal["prediction", "label", "correct"],
        typer.Option("--class", help="What is explained: the prediction, the label, or the prediction where correct."),
    ] = "prediction",
    objects: Annotated[
        Path | None,
        typer.Option("--objects", help="For the pointing metrics: a folder of VOC XML or PNG masks, or a COCO .json."),
    ] = None,
    any_object: Annotated[
        bool, typer.Option("--any-object", help="Pointing metrics ask for any object, not one of the class.")
    ] = False,
    preprocess: Annotated[
        Literal["own", "paper"],
        typer.Option("--preprocess", help="The model's own, or the paper's: Resize(256), CenterCrop(224), ImageNet's."),
    ] = "own",
    mask_space: Annotated[
        Literal["normalised", "pixels"],
        typer.Option("--mask-space", help="Where masks multiply, so that hidden is: the mean colour, or black."),
    ] = "normalised",
    baseline: Annotated[
        Literal["zero", "mean", "blur"], typer.Option("--baseline", help="What is put where a mask hides.")
    ] = "zero",
    limit: options.Limit = None,
    nodes: options.Nodes = "8",
    tolerance: options.Tolerance = 0.01,
    players: options.Players = None,
    strict: options.Strict = False,
    device: options.Device = None,
    batch_size: options.BatchSize = 16,
    workers: options.Workers = None,
    engine: options.EngineName = "local",
    address: options.Address = None,
    actors: options.Actors = None,
    actor_cpus: options.ActorCpus = None,
    actor_gpus: options.ActorGpus = None,
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
) -> None:
    """Measure methods on your data: ten methods and six metrics of the paper, unless you choose others.

    - `shapleycam evaluate photos/ --out run` measures with the default model.
    - `shapleycam evaluate val/ --model resnet50 --model vgg16 --metric all --out run` takes two networks, all metrics.
    - `shapleycam evaluate list.csv --method gradcam --method pathcam --class label --out run` explains the labels.
    - `shapleycam evaluate val/ --engine ray --address auto --out s3://bucket/run` measures on a cluster.

    DATA is a folder of photographs (in sub-folders named by class, if they have labels), a CSV or Parquet of paths and
    labels, .tar shards, torchvision:NAME:FOLDER or hf:NAME. A run that was stopped goes on with the same command.
    """
    from shapleycam.experiments import Evaluation, Protocol
    from shapleycam.experiments.datasets.annotations.opening import open_annotations
    from shapleycam.experiments.datasets.opening import open_dataset
    from shapleycam.metrics import MetricOptions
    from shapleycam.metrics.table import expand
    from shapleycam.models import paper

    on = options.engine_of(engine, address, actors, actor_cpus, actor_gpus)
    protocol = Protocol(
        layers=tuple(layer or ["before-pool"]),
        utilities=tuple(utility or ["rest"]),
        methods=tuple(method or ["paper"]),
        metrics=tuple(expand(metric or ["paper"], objects=objects is not None)),
        preprocess=paper.PREPROCESS if preprocess == "paper" else None,
        class_rule=class_rule,
        objects="any" if any_object else "class",
        options=MetricOptions(mask_space=mask_space, baseline=baseline, seed=seed),
        nodes=options.nodes_of(nodes),
        tolerance=tolerance,
        players=options.regions_of(players),
        seed=seed,
    )
    evaluation = Evaluation(
        tuple(model or [options.DEFAULT_MODEL]),
        open_dataset(data, limit),
        protocol,
        out,
        None if objects is None else open_annotations(objects),
        pretrained,
        checkpoint,
        options.setting(device, batch_size, workers, on, strict=strict),
    )
    store = run(evaluation, quiet=quiet)
    print_results([store])


def run(evaluation: Evaluation, *, quiet: bool) -> Store:
    """Evaluate, showing how far it is; an interrupt from the keyboard ends it in one line."""
    from shapleycam.metrics import METRICS

    shown: list[Any] = [METRICS[name] for name in evaluation.protocol.metrics]
    try:
        with notes(quiet=quiet), display(shown, quiet=quiet) as watcher:
            return evaluation.run(watcher)
    except KeyboardInterrupt:
        print_note(
            f"stopped; {evaluation.kept} images are kept in {evaluation.out}, and the same command goes on from there"
        )
        raise typer.Exit(STOPPED) from None
