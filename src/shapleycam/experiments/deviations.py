"""How runs differ from the published measurements, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.rules import MEASURED_FIELDS, complete_protocol
from shapleycam.experiments.store import Store

PUBLISHED_IMAGES = 50_000
PUBLISHED_WEIGHTS = ("torchvision, IMAGENET1K_V1", "timm")
"""The values of `Network.origin` for the weights that the paper's tables used."""
_PREPROCESS = "preprocess"


def describe_deviations(stores: Sequence[Store]) -> tuple[str, ...]:
    """Return a sentence for each way in which runs differ from the published measurements.

    Layers, utilities, methods and metrics are not compared.
    """
    from shapleycam.experiments.protocol import Protocol  # which imports torch

    published, first = Protocol.paper().as_data(), stores[0]
    records = {name: record for store in stores for name, record in store.manifest["models"].items()}
    # The preprocessing is compared by each model's record, which has the one that was used. The protocol may have None
    # for the model's own, which may be the paper's.
    used = complete_protocol(first.manifest["protocol"])
    protocol = list_differences(published, used, {*MEASURED_FIELDS, _PREPROCESS})
    expected = {_PREPROCESS: published[_PREPROCESS]}
    preprocess = {
        name: "; ".join(list_differences(expected, {_PREPROCESS: record.get(_PREPROCESS)}))
        for name, record in records.items()
    }
    weights = {
        name: record.get("origin") or "of unknown origin"
        for name, record in records.items()
        if record.get("origin") not in PUBLISHED_WEIGHTS
    }
    images = [] if first.images == PUBLISHED_IMAGES else [f"{first.images:,}, and {PUBLISHED_IMAGES:,} in print"]
    deviations = {
        "Another protocol than the published one": protocol,
        "Another preprocessing than the published one": _group_models(preprocess),
        "Weights that are not known to be the published ones": _group_models(weights),
        "Another number of images": images,
    }
    return tuple(f"{title}: {'; '.join(texts)}." for title, texts in deviations.items() if texts)


def _group_models(texts: Mapping[str, str]) -> list[str]:
    """Return each distinct text with the names of its models; models with an empty text are omitted."""
    names_by_text: dict[str, list[str]] = {}
    for name, text in texts.items():
        names_by_text.setdefault(text, []).append(name)
    return [f"{', '.join(names)} ({text})" for text, names in names_by_text.items() if text]
