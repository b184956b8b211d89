"""Making a network: what goes wrong in one line, and never an object from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shapleycam.errors import ModelError, nearest
from shapleycam.wording import type_and_first_line

UNTRAINED = "untrained"
OTHER_WEIGHTS = (
    "where the weights cannot be downloaded, give checkpoint=, a file of weights, or pretrained=False for an untrained "
    "network"
)
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def built(make: Callable[[], Any], name: str, remedy: str) -> Any:
    """What `make` returns; what it raises (no network to download from, a bug in a file) as one line.

    Meanwhile torch.load reads tensors and nothing else, whatever the libraries ask of it.

    Raises:
        ModelError: it raised.
    """
    try:
        with _tensors_only():
            return make()
    except Exception as error:
        reason = type_and_first_line(error)
        raise ModelError(f"model {name!r} could not be made ({reason}); {remedy}") from error


def unknown(name: str, known: Sequence[str]) -> ModelError:
    """The error for a name that no source has."""
    return ModelError(f"model {name!r} is unknown; {nearest(name, known)} (shapleycam models lists them)")


@contextmanager
def _tensors_only() -> Iterator[None]:
    before = os.environ.get(_TENSORS_ONLY)
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORS_ONLY]
        else:
            os.environ[_TENSORS_ONLY] = before
