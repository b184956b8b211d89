"""Estimate the time, passes and bytes on disk of an evaluation, from a short trial of each model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from shapleycam.errors import ShapleyCamError, ignore_warnings
from shapleycam.experiments.chunk_identity import ChunkIdentity, encode_chunk
from shapleycam.experiments.decoding import DecodedImage, decode_image
from shapleycam.experiments.evaluated_model import EvaluatedModel, LoadedModel
from shapleycam.experiments.layer_evaluator import LayerEvaluator
from shapleycam.experiments.passes import Passes, passes_of_image, shared_passes
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.rows import Row, to_table
from shapleycam.experiments.runner import Evaluation
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.metrics.evaluator import group_by_map
from shapleycam.tracing.isolation import device_of
from shapleycam.utilities import resolve_utility


@dataclass(frozen=True)
class Trial:
    """Result of a trial of one model.

    Attributes:
        model: the model's name.
        images: the number of images that are not measured yet.
        seconds_per_image: the time of one image at all layers, from file to rows.
        passes: the passes for one image at all layers, with as many distinct maps as in the trial; None if no image
            could be explained.
        most_passes: the same if each method had a distinct map.
        chunk_bytes: the bytes of a chunk's file without its images.
        image_bytes: the bytes that each image adds to the file.
        gpu: the name of the GPU of the trial; None for the CPU.
    """

    model: str
    images: int
    seconds_per_image: float = 0.0
    passes: Passes | None = None
    most_passes: Passes | None = None
    chunk_bytes: float = 0.0
    image_bytes: float = 0.0
    gpu: str | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds for all images at the trial's speed; larger batches and decoding ahead may be faster."""
        return self.seconds_per_image * self.images


def run_trials(evaluation: Evaluation, images: int = 2) -> Iterator[Trial]:
    """Yield the trial of each model, from file to rows over the dataset's first readable images; nothing is written.

    A model without images left to measure is not loaded. There is no trial if the dataset has no readable image.
    """
    for evaluated_model in evaluation.evaluated_models:
        pending = evaluation.count_pending(evaluated_model.name)
        done = Trial(evaluated_model.name, 0, passes=Passes(), most_passes=Passes())
        trial = _try_model(evaluation, evaluated_model, pending, images) if pending else done
        if trial is not None:
            yield trial


def _try_model(evaluation: Evaluation, evaluated_model: EvaluatedModel, pending: int, images: int) -> Trial | None:
    """Return the trial of a model; None if no image can be read."""
    loaded, protocol = evaluated_model.load(), evaluation.protocol
    start = time.perf_counter()
    batch = _first_readable(evaluation, loaded, images)
    decoding = time.perf_counter() - start
    if not batch:
        return None
    with ignore_warnings():  # the run itself will issue them
        # Not timed, since a run does this only once: it learns replay plans, chooses kernels and allocates memory.
        passes, most_passes = _count_passes(loaded, batch)
        _evaluate(loaded, batch)
        start = time.perf_counter()
        rows = _evaluate(loaded, batch)
        seconds = decoding + time.perf_counter() - start
    chunk_bytes, image_bytes = _measure_bytes(rows, protocol)
    return Trial(
        evaluated_model.name,
        pending,
        seconds / len(batch),
        passes,
        most_passes,
        chunk_bytes,
        image_bytes,
        _gpu_of(loaded),
    )


def _gpu_of(loaded: LoadedModel) -> str | None:
    device = device_of(loaded.evaluators[0].explainer.model)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return None if device.type == "cpu" else str(device)


def _first_readable(evaluation: Evaluation, loaded: LoadedModel, images: int) -> list[DecodedImage]:
    dataset = evaluation.dataset
    decoded = (decode_image(dataset, loaded.preprocess, index) for index in range(len(dataset)))
    return list(islice((image for image in decoded if image.error is None), images))


def _evaluate(loaded: LoadedModel, batch: Sequence[DecodedImage]) -> list[Row]:
    rows = [row for evaluator in loaded.evaluators for row in evaluator.evaluate(batch)]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return rows


def _count_passes(loaded: LoadedModel, batch: Sequence[DecodedImage]) -> tuple[Passes | None, Passes | None]:
    """Return the passes for one image at all layers, counted on the batch, or on one image that can be explained."""
    for images in (batch, *([image] for image in batch)):
        try:
            counts = [_count_passes_at(evaluator, images) for evaluator in loaded.evaluators]
        except (ShapleyCamError, RuntimeError) as error:
            if not isinstance(error, ShapleyCamError) and not is_out_of_memory(error):
                raise
            continue  # the run itself will report it
        return sum((passes for passes, _ in counts), Passes()), sum((most for _, most in counts), Passes())
    return None, None


def _count_passes_at(evaluator: LayerEvaluator, batch: Sequence[DecodedImage]) -> tuple[Passes, Passes]:
    protocol = evaluator.protocol
    utilities = [resolve_utility(name) for name in protocol.utilities]
    images = evaluator.to_batch(batch)
    traced_batch = evaluator.trace(images)
    passes = most = shared_passes(protocol)
    own_maps = [[method] for method in protocol.methods]
    classes = [evaluator.metadata.classes[image.index] for image in batch]
    labels = [label for label in classes if label is not None]
    target = labels if protocol.class_rule == "label" and len(labels) == len(batch) else None
    for utility in utilities:
        explanations = evaluator.explain(images, traced_batch, target, utility)
        game = traced_batch().game(target, utility, protocol.players)
        size = game.n_players, game.n_channels
        maps: dict[str, list[str]] = {}
        for method, leader in group_by_map(explanations).items():
            maps.setdefault(leader, []).append(method)
        passes += passes_of_image(protocol, list(maps.values()), *size)
        most += passes_of_image(protocol, own_maps, *size)
    return passes, most


def _measure_bytes(rows: Sequence[Row], protocol: Protocol) -> tuple[float, float]:
    """Return the bytes of a chunk's file without its images, and the bytes that each image adds, by encoding rows."""
    images = list(dict.fromkeys(row["index"] for row in rows))
    sizes = [
        _size_of_file([row for row in rows if row["index"] in images[:count]], protocol) for count in (1, len(images))
    ]
    if len(images) == 1:
        return 0.0, float(sizes[0])
    image_bytes = (sizes[1] - sizes[0]) / (len(images) - 1)
    return sizes[0] - image_bytes, image_bytes


def _size_of_file(rows: Sequence[Row], protocol: Protocol) -> int:
    """Return the size of the Parquet file of a chunk that consists of these rows."""
    images = list(dict.fromkeys(row["index"] for row in rows))
    numbered = [{**row, "index": images.index(row["index"])} for row in rows]
    identity = ChunkIdentity("0" * 64, rows[0]["model"], range(len(images)))
    return len(encode_chunk(to_table(numbered, protocol.metrics), identity))
