"""How long an evaluation will take, from a short trial."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from shapleycam.errors import ShapleyCamWarning
from shapleycam.experiments.decoding import decode
from shapleycam.experiments.evaluated_model import EvaluatedModel
from shapleycam.experiments.runner import Evaluation


@dataclass(frozen=True)
class Trial:
    """What a model took in the trial, and for how many images it will be asked (those not measured yet)."""

    model: str
    seconds_per_image: float
    images: int

    @property
    def seconds(self) -> float:
        """For all its images at the trial's pace; larger batches, and decoding ahead, may go faster."""
        return self.seconds_per_image * self.images


def run_trials(evaluation: Evaluation, images: int = 2) -> Iterator[Trial]:
    """Time each model that is not done over the dataset's first readable images, from file to rows; nothing is kept.

    A dataset without a readable image has no trial.
    """
    for evaluated_model in evaluation.evaluated_models:
        left = evaluation.pending(evaluated_model.name)
        seconds = _timed(evaluation, evaluated_model, images) if left else 0.0
        if seconds is not None:
            yield Trial(evaluated_model.name, seconds, left)


def _timed(evaluation: Evaluation, evaluated_model: EvaluatedModel, images: int) -> float | None:
    """Seconds an image."""
    ready, dataset = evaluated_model.ready(), evaluation.dataset
    start = time.perf_counter()
    every = (decode(dataset, ready.preprocess, index) for index in range(len(dataset)))
    batch = list(islice((image for image in every if image.error is None), images))
    if not batch:
        return None
    decoding = time.perf_counter() - start
    ready.layer_evaluators[0].explainer.output(torch.stack([image.image for image in batch]))  # the first pass is slow
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShapleyCamWarning)  # the run itself will say so
        for evaluator in ready.layer_evaluators:
            evaluator.rows(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (decoding + time.perf_counter() - start) / len(batch)
