"""Building a network with other people's code: errors become one-line messages, and files give tensors only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shapleycam.errors import ModelError
from shapleycam.names import nearest
from shapleycam.wording import type_and_first_line

UNTRAINED = "untrained"
OTHER_WEIGHTS = (
    "where the weights cannot be downloaded, give checkpoint=, a file of weights, or pretrained=False for an untrained "
    "network"
)
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def build(factory: Callable[[], Any], name: str, remedy: str) -> Any:
    """Return the result of `factory`, while torch.load reads tensors only, whatever arguments libraries pass to it.

    Raises:
        ModelError: the factory raised an error (no internet connection, a bug in a file); the message names the model
            and ends with the remedy.
    """
    try:
        with _load_tensors_only():
            return factory()
    except Exception as error:
        reason = type_and_first_line(error)
        raise ModelError(f"model {name!r} could not be made ({reason}); {remedy}") from error


def unknown_model(name: str, known: Sequence[str]) -> ModelError:
    """Return the error for a name that no source of networks knows."""
    return ModelError(f"model {name!r} is unknown; {nearest(name, known)} (shapleycam models lists them)")


@contextmanager
def _load_tensors_only() -> Iterator[None]:
    before = os.environ.get(_TENSORS_ONLY)
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORS_ONLY]
        else:
            os.environ[_TENSORS_ONLY] = before
