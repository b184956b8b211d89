"""Photographs decoded and preprocessed in worker processes, while the model works on those before."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.images import Box, load
from shapleycam.inputs import prepared
from shapleycam.models.network import Transform

_LOOK = 1.0
"""Seconds between looks whether the parent is there."""


@dataclass(frozen=True)
class Decoded:
    """One image of a dataset: the network's input (c, h, w) as an array, or why there is none.

    `size` (width, height) is the photograph's, `box` the part of it that the network sees, None if not known.
    """

    index: int
    array: np.ndarray[Any, Any] | None
    size: tuple[int, int] | None = None
    box: Box | None = None
    error: str | None = None

    @property
    def image(self) -> Float[Tensor, "c h w"]:
        """The network's input."""
        return torch.from_numpy(self.array)


def decoded(
    dataset: Dataset, preprocess: Transform, batches: Sequence[Sequence[int]], workers: int
) -> Generator[list[Decoded], None, None]:
    """The images of each batch, in order, decoded ahead by `workers` processes (0: by this one, when asked for).

    Raises:
        OptionError: a decoding process died.
    """
    loader = DataLoader(
        _Decoding(dataset, preprocess),
        worker_init_fn=partial(_end_with, os.getpid()),
        batch_sampler=[list(batch) for batch in batches],
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    try:
        yield from loader
    except RuntimeError as error:
        if not re.search("exited unexpectedly|killed by signal", str(error)):
            raise
        reason = str(error).splitlines()[0]
        raise OptionError(
            f"a decoding process died ({reason}); free some memory, or decode with --workers 0"
        ) from error


class _Decoding(TorchDataset[Decoded]):
    """What a worker process does."""

    def __init__(self, dataset: Dataset, preprocess: Transform) -> None:
        self.dataset, self.preprocess = dataset, preprocess

    def __getitem__(self, index: int) -> Decoded:
        name = self.dataset.names[index]
        try:
            photo = load(self.dataset.open(index))
            image, source = prepared(photo, name, self.preprocess)
            # An array travels through a pipe; a tensor would need shared memory, of which containers have little.
            array = image.detach().cpu().to(torch.promote_types(image.dtype, torch.float32)).numpy()
        except ImageError as error:
            return Decoded(index, None, error=str(error))
        except Exception as error:  # noqa: BLE001  # a preprocessing of the user's stumbles over one photograph
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Decoded(index, None, error=f"{name}: preprocessing raised {reason}; mend preprocess=")
        return Decoded(index, array, photo.size, source.box)


def _end_with(parent: int, _: int) -> None:
    """Let a worker end when its parent has: one that is killed cannot say so, and its workers would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _as_it_is(batch: list[Decoded]) -> list[Decoded]:
    return batch
