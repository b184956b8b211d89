"""`shapleycam metrics --check`: how reliable metrics are for your model and photographs."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, print_facts, print_json, print_line, print_note, print_table, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import BatchComputeGroup, OneLayerNetworkGroup, PrintGroup
from shapleycam.cli.messages import options_in_errors
from shapleycam.cli.photographs import read_batches, readable_batches, require_photographs
from shapleycam.cli.writing import write_file
from shapleycam.errors import OptionError
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import as_json_value, counted, percent, removal_phrase

if TYPE_CHECKING:
    from shapleycam.experiments.metric_check import MetricCheck, MetricTrust
    from shapleycam.experiments.results.statistics import Estimate
    from shapleycam.explaining.explainer import Explainer

_PLACES = 49
"""Number of places at most convolutional networks' default layer, for methods whose passes depend on this number."""
_SCORES = ("separation", "reaction", "resilience", "agreement")


@dataclass(frozen=True)
class CheckGroup:
    """The options of what is checked, on which photographs, and where the scores are written."""

    check: Annotated[
        list[Path] | None,
        typer.Option("--check", metavar="DATA", help="Photographs, or folders of them, on which metrics are checked."),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="With --check: a metric, or a set: paper (the default), all. Repeatable."),
    ] = None
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="With --check: a method, or a set; paper is the default. Repeatable."),
    ] = None
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="With --check: only this number of photographs, from the first on.")
    ] = 20
    seed: options.Seed = 0
    to_csv: Annotated[Path | None, typer.Option("--csv", help="With --check: a CSV file of the scores.")] = None


@dataclass(frozen=True)
class CheckedNetworkGroup(OneLayerNetworkGroup):
    """The options of the network that metrics are checked on, and of what is explained."""

    utility: options.UtilityName = "rest"


def refuse_without_check(*groups: object) -> None:
    """Refuse options of a check if --check was not given.

    Raises:
        OptionError: such an option was given.
    """
    if any(group != type(group)() for group in groups):
        raise OptionError("options of a check were given without one; add --check and photographs")


def check(chosen: CheckGroup, network: CheckedNetworkGroup, compute: BatchComputeGroup, printing: PrintGroup) -> None:
    """Check metrics, and print their scores.

    Raises:
        OptionError: a metric that cannot be checked, or fewer than three methods.
        typer.Exit: a photograph cannot be read.
    """
    from shapleycam.experiments.metric_check import check_metrics, passes_of_check
    from shapleycam.files import make_folder
    from shapleycam.metrics.options import MetricOptions

    metrics, methods = chosen.metric or ["paper"], chosen.method or ["paper"]
    passes = passes_of_check(metrics, methods, _PLACES)
    if chosen.to_csv is not None:
        with options_in_errors(out="--csv"):
            make_folder(chosen.to_csv.parent)
    paths, unreadable = require_photographs(chosen.check, quiet=printing.quiet)
    paths = paths[: chosen.limit]
    explainer = make_explainer(network, compute)
    if not printing.quiet:
        print_note(
            f"at most {passes:,} forward passes for each of {counted(len(paths), 'photograph')}, "
            f"{passes * len(paths):,} in all: as they are, with noise, and by maps of random weights"
        )
    with notes(quiet=printing.quiet), progress(len(paths), "checking", quiet=printing.quiet) as bar:
        batches = read_batches(paths, transform_of(explainer), explainer.model, compute.batch_size)
        readable = readable_batches(batches, unreadable, bar.advance)
        result = check_metrics(
            explainer, readable, metrics, methods, options=MetricOptions(seed=chosen.seed), seed=chosen.seed
        )
    _show(result, explainer, chosen.to_csv, printing)
    if unreadable:
        raise typer.Exit(REFUSED)


def _show(result: MetricCheck, explainer: Explainer, to_csv: Path | None, printing: PrintGroup) -> None:
    """Write the CSV file, and print the scores as a table or as JSON."""
    files = []
    if to_csv is not None:
        files.append(printable_text(str(write_file(to_csv, _csv(result).encode(), quiet=printing.quiet))))
    if printing.as_json:
        print_json(_document(result, explainer, files))
        return
    facts = {
        "utility": explainer.utility.name,
        "measured": f"{counted(result.images, 'image')}, methods {', '.join(result.methods)}",
        "shown": "mean over images with its 95% interval; of shares 50% is chance, of orders 1 is the same order",
    }
    print_facts(f"{explainer.name}, layer {explainer.layer}{removal_phrase(explainer.removal.name)}", facts)
    heads = ("better than random maps", "than random weights", "order kept under noise", "order as other metrics")
    print_table([Head("metric"), *(Head(head, "number") for head in heads)], [_row(trust) for trust in result.metrics])
    for file in files:
        typer.echo(f"written {file}")
    print_line(result.sentence)


def _row(trust: MetricTrust) -> list[str]:
    shares = [_percents(trust.separation), _percents(trust.reaction)]
    return [trust.metric, *shares, _numbers(trust.resilience), _numbers(trust.agreement)]


def _percents(estimate: Estimate) -> str:
    if estimate.n == 0:
        return ""
    mean = percent(estimate.mean, 0)
    return mean if estimate.n == 1 else f"{mean} ({percent(estimate.low, 0)} to {percent(estimate.high, 0)})"


def _numbers(estimate: Estimate) -> str:
    if estimate.n == 0:
        return ""
    mean = f"{estimate.mean:.2f}"
    return mean if estimate.n == 1 else f"{mean} ({estimate.low:.2f} to {estimate.high:.2f})"


def _document(result: MetricCheck, explainer: Explainer, files: list[str]) -> dict[str, Any]:
    """Return the JSON document that `--json` prints."""
    return {
        "model": explainer.name,
        "layer": explainer.layer,
        "utility": explainer.utility.name,
        "images": result.images,
        "methods": list(result.methods),
        "metrics": [
            {
                "metric": trust.metric,
                **{score: as_json_value(asdict(getattr(trust, score))) for score in _SCORES},
                "faults": list(trust.faults),
            }
            for trust in result.metrics
        ],
        "pairs": [
            {"first": pair.first, "second": pair.second, "correlation": as_json_value(asdict(pair.correlation))}
            for pair in result.pairs
        ],
        "sentence": result.sentence,
        "files": files,
    }


def _csv(result: MetricCheck) -> str:
    """Return a CSV text with a line for each metric and score."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "score", "mean", "low", "high", "n", "undefined"))
    for trust in result.metrics:
        for score in _SCORES:
            estimate = as_json_value(asdict(getattr(trust, score)))
            writer.writerow((trust.metric, score, *estimate.values()))
    return text.getvalue()
