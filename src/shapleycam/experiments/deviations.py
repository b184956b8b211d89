"""How runs differ from the published measurements, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.rules import MEASURED_FIELDS, complete_protocol
from shapleycam.experiments.store import Store

PUBLISHED_IMAGES = 50_000
PUBLISHED_WEIGHTS = ("torchvision, IMAGENET1K_V1", "timm")
"""The `origin` of a network of the paper's tables that has the weights of the tables."""
_PREPROCESS = "preprocess"


def describe_deviations(stores: Sequence[Store]) -> tuple[str, ...]:
    """Return how runs differ from the published measurements, a sentence each; what was measured does not count."""
    from shapleycam.experiments.protocol import Protocol  # which imports torch

    published, first = Protocol.paper().as_data(), stores[0]
    records = {name: record for store in stores for name, record in store.manifest["models"].items()}
    # Each model's record has the preprocessing that was used. The protocol's is not compared: where it is None, the
    # model's own may be the paper's.
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
    """Return each text once, after the names of the models that have it; models with an empty text are left out."""
    names_by_text: dict[str, list[str]] = {}
    for name, text in texts.items():
        names_by_text.setdefault(text, []).append(name)
    return [f"{', '.join(names)} ({text})" for text, names in names_by_text.items() if text]
