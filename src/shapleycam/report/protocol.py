"""A protocol in plain words, and as a list of all that decides a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shapleycam.experiments import Store
from shapleycam.metrics import METRICS
from shapleycam.metrics.metric import Metric
from shapleycam.wording import counted

_CLASSES = {
    "prediction": "What is explained is the class that the model predicts.",
    "label": "What is explained is the class that a photograph is labelled with.",
    "correct": "What is explained is the predicted class, of those photographs alone where it is the label.",
}


def in_words(stores: Sequence[Store]) -> list[str]:
    """What was done, a sentence each."""
    first = stores[0].manifest
    methods, images = _together(stores, "methods"), counted(stores[0].images, "photograph")
    of = counted(len(models(stores)), "network")
    return [
        f"Decisions of {of} on {images} were explained by {counted(len(methods), 'method')}: {', '.join(methods)}.",
        f"Layers: {', '.join(_together(stores, 'layers'))}; utilities: {', '.join(_together(stores, 'utilities'))}.",
        _CLASSES[first["protocol"]["class_rule"]],
        "Each method's map was then measured on each photograph, and the figures are means over photographs.",
        "An interval is where 95 % of the means lie when as many photographs are drawn again (bootstrap).",
    ]


def models(stores: Sequence[Store]) -> dict[str, Mapping[str, Any]]:
    """What the runs note of each network, in the order of the runs."""
    return {name: store.manifest["models"][name] for store in stores for name in store.manifest["order"]}


def measured(stores: Sequence[Store]) -> list[Metric]:
    """The metrics of the runs."""
    return [METRICS[name] for name in METRICS if name in _together(stores, "metrics")]


def all_of_it(stores: Sequence[Store]) -> list[tuple[str, str]]:
    """Every choice by its name; what was measured is that of all the runs."""
    asked = {name: _together(stores, name) for name in ("layers", "utilities", "methods", "metrics")}
    return list(_flat({**stores[0].manifest["protocol"], **asked}))


def _together(stores: Sequence[Store], name: str) -> list[str]:
    """What any of the runs asked for, each once."""
    return list(dict.fromkeys(each for store in stores for each in store.manifest["protocol"][name]))


def _flat(choices: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in choices.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
            yield f"{above}{name}", text
