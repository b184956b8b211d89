"""The class names that Hugging Face writes into the metadata of Parquet files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.printable import printable_name

Names = tuple[str, ...]


def described_classes(schema: pa.Schema) -> dict[str, Names | None]:
    """Return the class names of each column of type ClassLabel, in the order in which they may hold the labels.

    Columns called label or labels come first, then those with the most classes, as for the library itself. The names
    are None if they are only numbers.
    """
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    described = {
        column: feature.get("names")
        for column, feature in features
        if column in schema.names and isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }
    columns = sorted(described, key=lambda column: (column not in {"label", "labels"}, -_count(described[column])))
    return {column: _names(described[column]) for column in columns}


def _count(names: object) -> int:
    return len(names) if isinstance(names, list) else 0


def name_labels(origin: str, labels: Sequence[Label], names: Names | None) -> list[Label]:
    """Return labels with class numbers replaced by names, and -1 by None; `names` of None leaves them unchanged.

    Raises:
        OptionError: a class number has no name.
    """
    if names is None:
        return list(labels)
    beyond = next((label for label in labels if isinstance(label, int) and label >= len(names)), None)
    if beyond is not None:
        raise OptionError(f"{origin}: a row has the label {beyond}, and {len(names)} classes are named; get it again")
    return [(names[label] if label >= 0 else None) if isinstance(label, int) else label for label in labels]


def _names(names: object) -> Names | None:
    if not isinstance(names, list) or names == list(map(str, range(len(names)))):
        return None
    return tuple(printable_name(str(name)) for name in names)
