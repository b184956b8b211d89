"""A cache, in a file, of the runs of the head for the chunk that is being evaluated.

An image with ten thousand runs takes minutes, and a chunk of such images takes hours. A run that was killed starts its
chunk again, and reads the utilities that it had computed from `started/MODEL/FIRST-LAST`. They are stored as whole
batches, so that the results are the same bit for bit. The file is written once a minute, and removed when the chunk is
complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from time import monotonic

import numpy as np
import torch

from shapleycam.errors import OptionError
from shapleycam.experiments.chunk_files import started_path_of
from shapleycam.experiments.store import Store
from shapleycam.game.kept_runs import BlocksByKey, KeptRuns
from shapleycam.wording import type_and_first_line

SECONDS = 60.0
"""Interval at which the file is written; a killed run loses at most the work of this time."""
_KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class StartedChunk:
    """The cached runs of the head for one chunk of a model.

    Args:
        store: the store of the run.
        model: the model's name.
        chunk: the positions of the chunk's images in the dataset.

    Raises:
        OptionError: the file of an earlier session is damaged.
    """

    def __init__(self, store: Store, model: str, chunk: range) -> None:
        self._storage, self._model, self._run = store.storage, model, store.identity
        self._path = started_path_of(model, chunk)
        self._blocks = self._read()
        self._saved, self._saved_at = len(self._blocks), monotonic()

    def of_layer(self, layer: str) -> KeptRuns:
        """Return the cache for games at a layer; `layer` is its name in the results."""
        return KeptRuns(json.dumps([self._run, self._model, layer]), self._blocks, self._save_if_due)

    def save(self) -> None:
        """Write the cache to the file, if it has new entries.

        Raises:
            OptionError: the disk is full, or the storage cannot be written.
        """
        if len(self._blocks) > self._saved:
            content = _encode(self._blocks, self._run)
            self._storage.write(self._path, lambda file: file.write(content))
            self._saved = len(self._blocks)
        self._saved_at = monotonic()

    @contextmanager
    def saved_when_stopped(self) -> Iterator[None]:
        """Context that saves the cache if an exception ends it, such as Ctrl-C."""
        try:
            yield
        except BaseException:
            with suppress(OptionError):  # the original exception says why the run ends
                self.save()
            raise

    def remove(self) -> None:
        """Remove the file, if there is one, after the chunk is written."""
        if self._saved:
            self._storage.remove(self._path)

    def _save_if_due(self) -> None:
        if monotonic() - self._saved_at >= SECONDS:
            self.save()

    def _read(self) -> BlocksByKey:
        """Return the cache in the file; empty if there is no file, or it belongs to an earlier run in this folder.

        Raises:
            OptionError: the file is not one that a run wrote.
        """
        folder, _, name = self._path.rpartition("/")
        if name not in self._storage.names(folder):
            return {}
        try:
            return dict(_decode(self._storage.read(self._path), self._run))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OptionError(
                f"{self._storage}/{self._path}: damaged ({type_and_first_line(error)}); delete it and evaluate again, "
                "which measures its images from their beginning"
            ) from None


def _encode(blocks: BlocksByKey, run: str) -> bytes:
    """Return the content of the file: a line with the run's identity and the SHA-256 of the rest, then the arrays."""
    file = BytesIO()
    numbers = [utilities.double().flatten().numpy() for utilities in blocks.values()]
    np.savez(
        file,
        keys=np.frombuffer(b"".join(blocks), dtype=np.uint8),
        shapes=np.array([utilities.shape for utilities in blocks.values()], dtype=np.int64),
        kinds=np.array([_KINDS.index(utilities.dtype) for utilities in blocks.values()], dtype=np.int64),
        numbers=np.concatenate(numbers),
    )
    content = file.getvalue()
    head = {"run": run, "sha256": hashlib.sha256(content).hexdigest()}
    return json.dumps(head).encode() + b"\n" + content


def _decode(content: bytes, run: str) -> Iterator[tuple[bytes, torch.Tensor]]:
    """Yield the keys and utilities of a file; nothing if it belongs to another run.

    Raises:
        ValueError, KeyError, TypeError: the file is damaged.
    """
    head, _, arrays = content.partition(b"\n")
    fields = json.loads(head)
    if hashlib.sha256(arrays).hexdigest() != fields["sha256"]:
        raise ValueError("its SHA-256 is another")
    if fields["run"] != run:
        return
    with np.load(BytesIO(arrays), allow_pickle=False) as file:
        keys = file["keys"].reshape(-1, hashlib.sha256().digest_size)
        shapes, kinds, numbers = file["shapes"], file["kinds"], torch.from_numpy(file["numbers"])
    blocks = numbers.split([int(images * coalitions) for images, coalitions in shapes])
    for key, shape, kind, block in zip(keys, shapes, kinds, blocks, strict=True):
        yield key.tobytes(), block.reshape(*map(int, shape)).to(_KINDS[kind])
