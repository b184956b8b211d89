"""A protocol as sentences, and as a list of all choices that affect the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shapleycam.experiments import Store
from shapleycam.experiments.rules import complete_protocol
from shapleycam.metrics import METRICS
from shapleycam.metrics.metric import Metric
from shapleycam.wording import counted

_CLASSES = {
    "prediction": "What is explained is the class that the model predicts.",
    "label": "What is explained is the class that a photograph is labelled with.",
    "correct": "What is explained is the predicted class, of those photographs alone where it is the label.",
}

_ABSENT = {"zero": "zero, as in the paper,", "mean": "the mean over the photograph's own places"}


def describe_protocol(stores: Sequence[Store]) -> list[str]:
    """Return sentences that describe what was evaluated and how."""
    first = stores[0].manifest
    protocol = complete_protocol(first["protocol"])
    removal, precision, smooth = protocol["removal"], protocol["precision"], protocol["smooth"]
    names, images = _union(stores, "methods"), counted(stores[0].images, "photograph")
    methods = f"{counted(len(names), 'method')}: {', '.join(names)}"
    networks = counted(len(recorded_models(stores)), "network")
    return [
        f"Decisions of {networks} on {images} were explained by {methods}.",
        f"Layers: {', '.join(_union(stores, 'layers'))}; utilities: {', '.join(_union(stores, 'utilities'))}.",
        f"Absent places have {_ABSENT.get(removal, removal)} in place of their content (removal).",
        *([] if precision == "full" else [f"What comes before the layer ran in {precision}, the rest in float32."]),
        *([] if smooth == "none" else [f"Maps were smoothed by {smooth.replace(',', ', ')}: values divide no score."]),
        _CLASSES[first["protocol"]["class_rule"]],
        "Each method's map was then measured on each photograph, and the figures are means over photographs.",
        "An interval is where 95% of the means lie when as many photographs are drawn again (bootstrap).",
    ]


def recorded_models(stores: Sequence[Store]) -> dict[str, Mapping[str, Any]]:
    """Return each network's entry in the runs' manifests, in the order of the runs."""
    return {name: store.manifest["models"][name] for store in stores for name in store.manifest["order"]}


def measured_metrics(stores: Sequence[Store]) -> list[Metric]:
    """Return the metrics of the runs, in the order of the table of metrics."""
    return [METRICS[name] for name in METRICS if name in _union(stores, "metrics")]


def list_choices(stores: Sequence[Store]) -> list[tuple[str, str]]:
    """Return every choice as (name, text); layers, utilities, methods and metrics are collected from all runs."""
    measured = {name: _union(stores, name) for name in ("layers", "utilities", "methods", "metrics")}
    return list(_flatten({**complete_protocol(stores[0].manifest["protocol"]), **measured}))


def _union(stores: Sequence[Store], name: str) -> list[str]:
    """Return the items of a protocol's list `name` from all runs, each once."""
    return list(dict.fromkeys(item for store in stores for item in store.manifest["protocol"][name]))


def _flatten(choices: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested choices as (dotted name, text)."""
    for name, value in choices.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
            yield f"{prefix}{name}", text
