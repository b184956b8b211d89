"""How long an evaluation will take, estimated from a short trial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from shapleycam.errors import ignore_warnings
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.evaluated_model import EvaluatedModel
from shapleycam.experiments.runner import Evaluation


@dataclass(frozen=True)
class Trial:
    """Result of a trial of one model: seconds an image, and how many images are not measured yet."""

    model: str
    seconds_per_image: float
    images: int

    @property
    def seconds(self) -> float:
        """Return the seconds for all images at the trial's pace; larger batches, and decoding ahead, may be faster."""
        return self.seconds_per_image * self.images


def run_trials(evaluation: Evaluation, images: int = 2) -> Iterator[Trial]:
    """Yield the trial of each model, from file to rows over the dataset's first readable images; nothing is written.

    A model that is done is not loaded. There is no trial where the dataset has no readable image.
    """
    for evaluated_model in evaluation.evaluated_models:
        pending = evaluation.count_pending(evaluated_model.name)
        seconds = _measure_seconds(evaluation, evaluated_model, images) if pending else 0.0
        if seconds is not None:
            yield Trial(evaluated_model.name, seconds, pending)


def _measure_seconds(evaluation: Evaluation, evaluated_model: EvaluatedModel, images: int) -> float | None:
    """Return the seconds that a model takes an image, None where no image can be read."""
    loaded, dataset = evaluated_model.load(), evaluation.dataset
    start = time.perf_counter()
    decoded = (decode_image(dataset, loaded.preprocess, index) for index in range(len(dataset)))
    batch = list(islice((image for image in decoded if image.error is None), images))
    if not batch:
        return None
    decoding = time.perf_counter() - start
    # A first pass, untimed: it chooses kernels and allocates memory, which a long run does once.
    loaded.evaluators[0].explainer.output(torch.stack([image.image for image in batch]))
    start = time.perf_counter()
    with ignore_warnings():  # the run itself will say so
        for evaluator in loaded.evaluators:
            evaluator.evaluate(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (decoding + time.perf_counter() - start) / len(batch)
