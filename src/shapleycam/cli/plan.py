"""The plan of an evaluation, which `--plan` prints instead of running the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple

import torch
import typer

from shapleycam.cli.console import notes, print_facts, print_line, print_note, print_table
from shapleycam.cli.display import duration
from shapleycam.errors import ImageError
from shapleycam.experiments import Evaluation, Ray
from shapleycam.experiments.passes import Passes
from shapleycam.experiments.plan import ModelPlan, plan_models
from shapleycam.metrics.table import required_quantities
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, measured_count

_HEADS = ("images left", "chunks left", "forward", "backward", "head", "s an image", "time", "disk")


def print_plan(evaluation: Evaluation, *, quiet: bool) -> None:
    """Print what an evaluation would do and cost, from a trial of each network in this process; write nothing.

    Raises:
        ShapleyCamError: a network cannot be loaded, the folder contains something else, or no photograph can be read.
    """
    with notes(quiet=quiet):
        plans = list(plan_models(evaluation))
    if not plans:
        raise ImageError(f"{evaluation.dataset.origin}: no photograph can be read, so that nothing can be tried")
    print_facts(f"Plan of {evaluation.out}", {})
    _print_table(evaluation, plans)
    typer.echo()
    for line in (*_totals(evaluation, plans), *_cost(plans)):
        print_line(line)
    if "true_values" in required_quantities(evaluation.protocol.metrics) and not quiet:
        print_note("the sampling of true Shapley values is in the time, and not in the passes: images differ in it")


def _print_table(evaluation: Evaluation, plans: Sequence[ModelPlan]) -> None:
    rows = []
    for plan in plans:
        trial, passes = plan.trial, plan.passes
        row = (
            trial.model,
            f"{trial.images:,} of {len(evaluation.dataset):,}",
            f"{plan.pending_chunks:,} of {plan.chunks:,}",
            *(("?", "?", "?") if passes is None else map("{:,}".format, astuple(passes))),
            measured_count(trial.seconds_per_image) if trial.images else "",
            duration(trial.seconds),
            _size(plan.bytes),
        )
        rows.append(row)
    print_table([Head("network"), *(Head(head, "number") for head in _HEADS)], rows)


def _totals(evaluation: Evaluation, plans: Sequence[ModelPlan]) -> Iterator[str]:
    """Yield lines on what is measured, and on the passes and bytes of all networks together."""
    protocol = evaluation.protocol
    fields = {"layer": protocol.layers, "utility": protocol.utilities, "metric": protocol.metrics}
    named = [f"{kind} {', '.join(names)}" for kind, names in fields.items()]
    named += [f"removal {protocol.removal_name}"] if protocol.removal_name != "zero" else []
    named += [f"precision {protocol.precision}"] if protocol.precision != "full" else []
    named += [f"smoothed by {', '.join(protocol.smooth)}"] if protocol.smooth else []
    yield f"{counted(len(protocol.methods), 'method')}: {', '.join(protocol.methods)}; {'; '.join(named)}"
    passes = [plan.passes for plan in plans if plan.passes]
    most = [plan.most_passes for plan in plans if plan.most_passes]
    if len(passes) == len(plans):
        total, total_most = sum(passes, Passes()), sum(most, Passes())
        yield (
            f"passes: {total.forward:,} forward, {total.backward:,} backward, if as many maps differ as in the trial; "
            f"at most {total_most.forward:,} and {total_most.backward:,}"
        )
    files = counted(sum(plan.pending_chunks for plan in plans), "file")
    yield f"disk: {_size(sum(plan.bytes for plan in plans))} in {files}"
    seconds = sum(plan.trial.seconds for plan in plans)
    yield f"time: {duration(seconds)} by one process as fast as this one"
    engine = evaluation.settings.engine
    if isinstance(engine, Ray) and engine.actors:
        yield f"time: {duration(seconds / engine.actors)} by {counted(engine.actors, 'actor')} as fast as it, each"


def _cost(plans: Sequence[ModelPlan]) -> Iterator[str]:
    """Yield lines with the hours of each device that networks were tried on."""
    for gpu in dict.fromkeys(plan.trial.gpu for plan in plans if plan.trial.images):
        hours = sum(plan.trial.seconds for plan in plans if plan.trial.gpu == gpu) / 3600
        if gpu is not None:
            yield f"cost: {hours:,.2g} GPU hours on {gpu}"
            continue
        threads = torch.get_num_threads()
        yield (
            f"cost: {hours * threads:,.2g} CPU core hours on this machine ({counted(threads, 'core')}); for GPU hours, "
            "plan on a machine with the GPU"
        )


def _size(count: float) -> str:
    """Return a number of bytes with its unit.

    Examples:
        >>> _size(950), _size(2_500_000)
        ('950 bytes', '2.5 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} bytes"
