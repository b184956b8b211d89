"""What a run keeps of a chunk that it has begun: the runs of the head behind values of players.

An image of ten thousand runs takes minutes, and a chunk of such images hours. A run that is killed within one begins
the chunk again, and finds what it has computed of these values in `started/MODEL/FIRST-LAST`: as whole batches, so
that the table is the same bit for bit. The file is written once a minute, and removed when the chunk is written.
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
from shapleycam.game.kept_blocks import KeptBlocks
from shapleycam.game.kept_runs import BlocksByKey, KeptRuns
from shapleycam.wording import type_and_first_line

SECONDS = 60.0
"""How long after the last time the file is written again; less is lost when the run is killed."""
_KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class StartedChunk:
    """The kept runs of one chunk of a model.

    Args:
        store: of the run.
        model: its name.
        chunk: the images by position in the dataset.

    Raises:
        OptionError: what was kept of it is damaged.
    """

    def __init__(self, store: Store, model: str, chunk: range) -> None:
        self._storage, self._model, self._run = store.storage, model, store.identity
        self._path = started_path_of(model, chunk)
        self._blocks = self._read()
        self._saved, self._saved_at = len(self._blocks), monotonic()

    def of_layer(self, layer: str) -> KeptRuns:
        """Return where the games at a layer keep their runs, by its name in the results."""
        return KeptRuns(json.dumps([self._run, self._model, layer]), self._blocks, self._save_if_due)

    def save(self) -> None:
        """Write what is kept, if that is more than the file has.

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
        """Write what is kept when an exception ends the context, Ctrl-C above all."""
        try:
            yield
        except BaseException:
            with suppress(OptionError):  # the exception says why the run ends
                self.save()
            raise

    def remove(self) -> None:
        """Remove the file, if there is one: the chunk is written."""
        if self._saved:
            self._storage.remove(self._path)

    def _save_if_due(self) -> None:
        if monotonic() - self._saved_at >= SECONDS:
            self.save()

    def _read(self) -> BlocksByKey:
        """Return what is kept; nothing where there is no file, or it is of a run that was here before.

        Raises:
            OptionError: the file is not what a run wrote there.
        """
        folder, _, name = self._path.rpartition("/")
        blocks = KeptBlocks()
        if name not in self._storage.names(folder):
            return blocks
        try:
            blocks.update(_decode(self._storage.read(self._path), self._run))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OptionError(
                f"{self._storage}/{self._path}: damaged ({type_and_first_line(error)}); delete it and evaluate again, "
                "which measures its images from their beginning"
            ) from None
        return blocks


def _encode(blocks: BlocksByKey, run: str) -> bytes:
    """Return blocks as a file: a line with the run's identity and the SHA-256 of what follows, and arrays."""
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
    """Yield the keys and utilities of a file; none where it is of another run.

    Raises:
        ValueError, KeyError, TypeError: it is not the file that was written.
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
