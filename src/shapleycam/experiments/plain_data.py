"""Conversion of a protocol's values to JSON values."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from shapleycam.models.preprocess import Preprocess

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")


def preprocess_as_data(preprocess: Any) -> Any:
    """Return a preprocessing as a JSON value: a user's function as its name, any other user's object as its repr."""
    if isinstance(preprocess, Preprocess):
        return without_tuples({**asdict(preprocess), "interpolation": preprocess.interpolation.value})
    if hasattr(preprocess, "__qualname__"):
        text = f"{preprocess.__module__}.{preprocess.__qualname__}"
    else:
        text = repr(preprocess)
    return strip_addresses(" ".join(text.split()))


def strip_addresses(text: str) -> str:
    """Return a printed object without memory addresses, which differ from process to process."""
    return _ADDRESS.sub("", text)


def without_tuples(value: Any) -> Any:
    """Return a value with lists instead of tuples, as if it were read from JSON."""
    if isinstance(value, dict):
        return {name: without_tuples(item) for name, item in value.items()}
    return [without_tuples(item) for item in value] if isinstance(value, (tuple, list)) else value
