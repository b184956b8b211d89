"""The work on one part of a run: its photographs decoded, measured by batches, and its rows written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.errors import ImageError, ModelError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.decoding import Decoded, decode
from shapleycam.experiments.evaluated_model import LoadedModel
from shapleycam.experiments.layer_evaluator import LayerEvaluator
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.protocol import Protocol, differences
from shapleycam.experiments.rows import Row, to_table
from shapleycam.experiments.store import Store
from shapleycam.models.network import Transform

Photographs: TypeAlias = "tuple[range, list[Decoded]]"
"""A part, and its images."""


@dataclass(frozen=True)
class Decoding:
    """The first step, which needs no model."""

    dataset: Dataset
    preprocess: Transform

    def __call__(self, part: range) -> Photographs:
        """The images of a part, or why there are none."""
        return part, [decode(self.dataset, self.preprocess, index) for index in part]


@dataclass(frozen=True)
class Measured:
    """What a batch came to."""

    images: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class Measuring:
    """The second step, by the model that `ready` makes."""

    name: str
    load_model: Lazy[LoadedModel]
    protocol: Protocol
    store: Store
    batch_size: int
    strict: bool

    def __call__(self, photographs: Photographs) -> Iterator[Measured]:
        """The rows of each batch; after the last the part is written.

        Raises:
            ShapleyCamError: the model is another one here, the first part has no result, the place cannot be written;
                with `strict` also what is wrong with an image.
        """
        part, images = photographs
        made = _Rows(self._layer_evaluators(), strict=self.strict)
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            yield Measured(len(batch), made.add(batch))
        if part.start == 0:
            made.refuse_no_result()
        self.store.write(self.name, part, to_table(_ordered(made.rows, self.protocol), self.protocol.metrics))

    def _layer_evaluators(self) -> list[LayerEvaluator]:
        """The model at each layer, if it is the one that the run is of."""
        ready = self.load_model()
        if changed := differences(self.store.manifest["models"][self.name], ready.facts, {"origin"}):
            raise ModelError(
                f"model {self.name} is another one on this machine: {'; '.join(changed)}; give all machines the same "
                "weights and packages"
            )
        return ready.layer_evaluators


class _Rows:
    """The rows of a part, as they come."""

    def __init__(self, layer_evaluators: Sequence[LayerEvaluator], *, strict: bool) -> None:
        self.rows: list[Row] = []
        self._layer_evaluators, self._strict = layer_evaluators, strict
        self._unread: set[int] = set()

    def add(self, images: Sequence[Decoded]) -> list[Row]:
        """The rows of a batch at every layer, those of images that could not be read among them."""
        unread = [image for image in images if image.error is not None]
        good = [image for image in images if image.error is None]
        if unread and self._strict:
            raise ImageError(str(unread[0].error))
        made = []
        for evaluator in self._layer_evaluators:
            made += [evaluator.failed(image, str(image.error)) for image in unread]
            rows = evaluator.rows(good) if good else []
            errors = [row["message"] for row in rows if row["status"] == "error"]
            if errors and self._strict:
                raise ModelError(errors[0])
            made += rows
        self._unread |= {image.index for image in unread}
        self.rows += made
        return made

    def refuse_no_result(self) -> None:
        """Stop where several images were read and none could be explained: that is not the images' fault."""
        tried = [row for row in self.rows if row["index"] not in self._unread and row["status"] != "left out"]
        if len({row["index"] for row in tried}) > 1 and all(row["status"] == "error" for row in tried):
            raise ModelError(f"none of the first images could be measured; the first says: {tried[0]['message']}")


def _ordered(rows: Sequence[Row], protocol: Protocol) -> list[Row]:
    """By image, layer, utility and method, in the order asked."""

    def place(row: Row) -> tuple[int, ...]:
        method, utility = row.get("method"), row.get("utility")
        return (
            row["index"],
            protocol.layers.index(row["layer"]),
            protocol.utilities.index(utility) if utility else 0,
            protocol.methods.index(method) if method else 0,
        )

    return sorted(rows, key=place)
