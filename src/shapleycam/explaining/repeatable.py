"""Refuse random preprocessing, such as that for training: each explanation would explain another crop."""

from __future__ import annotations

import random
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.processed_image import processed_image

_RANDOM_TRIALS = 8
"""Trials of a preprocessing that draws random numbers. A flip with probability 1/2 stays unseen in one case of 256."""
_repeatable: WeakSet[Any] = WeakSet()
"""The preprocessings that returned the same tensor again in their trial."""


def check_repeatable(preprocess: Transform, photo: Image.Image) -> None:
    """Refuse a preprocessing that returns different tensors for the same photograph.

    It is tried with the first photograph that it is used for.

    Raises:
        OptionError: the preprocessing is random.
        ImageError: it raises, or returns no image.

    Examples:
        >>> import torch
        >>> from PIL import Image
        >>> from shapleycam.errors import OptionError
        >>> from shapleycam.explaining.repeatable import check_repeatable
        >>> try:
        ...     check_repeatable(lambda photo: torch.rand(3, 8, 8), Image.new("RGB", (9, 9)))
        ... except OptionError as error:
        ...     print(str(error)[:70])
        preprocess= gives another image each time for the same photograph (a r
    """
    if isinstance(preprocess, Preprocess) or _is_known(preprocess):
        return
    before = _random_states()
    first = processed_image(preprocess, photo.copy())
    trials = 1 if _are_equal(before, _random_states()) else _RANDOM_TRIALS
    if not all(_is_same(first, processed_image(preprocess, photo.copy())) for _ in range(trials)):
        raise OptionError(
            "preprocess= gives another image each time for the same photograph (a random crop, flip or colour, as for "
            "training); expected the same: give the one that the model is tested with"
        )
    try:
        _repeatable.add(preprocess)
    except TypeError:  # it is not hashable or has no weak references: it is tried again with each photograph
        return


def _is_known(preprocess: Transform) -> bool:
    try:
        return preprocess in _repeatable
    except TypeError:
        return False


def _random_states() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002  # transforms use it


def _are_equal(first: tuple[Any, Any, Any], second: tuple[Any, Any, Any]) -> bool:
    numpy_states = zip(first[2], second[2], strict=True)
    return (
        torch.equal(first[0], second[0])
        and first[1] == second[1]
        and all(np.array_equal(one, other) for one, other in numpy_states)
    )


def _is_same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(first, second, 1e-4, 1e-4, equal_nan=True)
