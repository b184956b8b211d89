"""The two steps for one chunk of a run: decode its photographs, then evaluate them and write the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from shapleycam.errors import ImageError, ModelError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.snapshot import Snapshot
from shapleycam.experiments.decoding import DecodedImage, decode_image
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.evaluated_model import LoadedModel
from shapleycam.experiments.layer_evaluator import LayerEvaluator
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.rows import Row, to_table
from shapleycam.experiments.started_chunk import StartedChunk
from shapleycam.experiments.store import Store
from shapleycam.models.network import Transform


class DecodedChunk(NamedTuple):
    """A chunk (the positions of its images in the dataset), and the decoded images."""

    chunk: range
    images: list[DecodedImage]


@dataclass(frozen=True)
class ChunkDecoder:
    """The first step, which needs no model and may run in other processes."""

    dataset: Dataset
    preprocess: Transform
    snapshot: Snapshot | None = None

    def __call__(self, chunk: range) -> DecodedChunk:
        """Return the images of a chunk; an image that cannot be read has the reason instead."""
        return DecodedChunk(
            chunk, [decode_image(self.dataset, self.preprocess, index, self.snapshot) for index in chunk]
        )


@dataclass(frozen=True)
class BatchResult:
    """The result of one batch: its number of images, and their rows."""

    images: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class ChunkEvaluator:
    """The second step, which runs in the process with the model; `load_model` loads it once per process."""

    model: str
    load_model: Lazy[LoadedModel]
    protocol: Protocol
    store: Store
    batch_size: int
    strict: bool

    def __call__(self, decoded: DecodedChunk) -> Iterator[BatchResult]:
        """Yield the result of each batch; after the last one the chunk is written.

        Raises:
            ShapleyCamError: the model differs from the manifest's, no image of the first chunk could be measured, or
                the chunk cannot be written; with `strict` also any error of an image.
        """
        started = StartedChunk(self.store, self.model, decoded.chunk)
        evaluators = [
            replace(evaluator, kept_runs=started.of_layer(evaluator.layer)) for evaluator in self._evaluators()
        ]
        rows = _RowCollector(evaluators, strict=self.strict)
        for start in range(0, len(decoded.images), self.batch_size):
            batch = decoded.images[start : start + self.batch_size]
            with started.saved_when_stopped():
                batch_rows = rows.evaluate(batch)
            yield BatchResult(len(batch), batch_rows)
        if decoded.chunk.start == 0:
            rows.refuse_failing_model()
        table = to_table(_sorted(rows.rows, self.protocol), self.protocol.metrics)
        self.store.write(self.model, decoded.chunk, table)
        started.remove()

    def _evaluators(self) -> list[LayerEvaluator]:
        """Return the model's evaluators; refuse a model that differs from the manifest's."""
        # Other machines load the model themselves, and rows of another checkpoint must not be mixed in
        # (docs/decisions.md, "Machines of one run are compared by their model"). Only the origin may differ.
        loaded = self.load_model()
        if differences := list_differences(self.store.manifest["models"][self.model], loaded.record, {"origin"}):
            raise ModelError(
                f"model {self.model} is another one on this machine: {'; '.join(differences)}; give all machines the "
                "same weights and packages"
            )
        return loaded.evaluators


class _RowCollector:
    """Evaluates the batches of a chunk, and collects their rows."""

    def __init__(self, evaluators: Sequence[LayerEvaluator], *, strict: bool) -> None:
        self.rows: list[Row] = []
        self._evaluators, self._strict = evaluators, strict
        self._unreadable: set[int] = set()

    def evaluate(self, images: Sequence[DecodedImage]) -> list[Row]:
        """Return the rows of a batch at every layer, including rows for images that could not be read."""
        unreadable = [image for image in images if image.error is not None]
        readable = [image for image in images if image.error is None]
        if unreadable and self._strict:
            raise ImageError(str(unreadable[0].error))
        batch_rows = []
        for evaluator in self._evaluators:
            batch_rows += [evaluator.error_row(image, str(image.error)) for image in unreadable]
            rows = evaluator.evaluate(readable) if readable else []
            errors = [row["message"] for row in rows if row["status"] == "error"]
            if errors and self._strict:
                raise ModelError(errors[0])
            batch_rows += rows
        self._unreadable |= {image.index for image in unreadable}
        self.rows += batch_rows
        return batch_rows

    def refuse_failing_model(self) -> None:
        """Refuse the model if several images were read and none could be explained.

        Raises:
            ModelError: all of them failed.
        """
        tried = [row for row in self.rows if row["index"] not in self._unreadable and row["status"] != "left out"]
        if len({row["index"] for row in tried}) > 1 and all(row["status"] == "error" for row in tried):
            raise ModelError(f"none of the first images could be measured; the first says: {tried[0]['message']}")


def _sorted(rows: Sequence[Row], protocol: Protocol) -> list[Row]:
    """Return the rows sorted by image, layer, utility and method; the last three are in the protocol's order."""

    def sort_key(row: Row) -> tuple[int, ...]:
        method, utility = row.get("method"), row.get("utility")  # None for an error row, which has no method
        return (
            row["index"],
            protocol.layers.index(row["layer"]),
            protocol.utilities.index(utility) if utility else 0,
            protocol.methods.index(method) if method else 0,
        )

    return sorted(rows, key=sort_key)
