"""`ClassRule`: which images of a dataset are explained, and which class of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.experiments.decoding import DecodedImage
from shapleycam.experiments.image_metadata import ImageMetadata
from shapleycam.experiments.protocol import Protocol
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.tracing.soundness import check_output
from shapleycam.utilities import resolve_utility


@dataclass(frozen=True)
class ClassRule:
    """The class rule of a protocol for one model: "prediction", "label", or "correct".

    Attributes:
        model: the model's name in the results.
        explainer: the explainer of the model.
        protocol: the protocol.
        metadata: names and classes of the images.
    """

    model: str
    explainer: Explainer
    protocol: Protocol
    metadata: ImageMetadata

    def exclusion_reasons(self, images: Sequence[DecodedImage], batch: Batch) -> list[str | None]:
        """Return for each image why the class rule excludes it; None if it is included."""
        rule = self.protocol.class_rule
        if rule == "prediction":
            return [None] * len(images)
        labels = [self.metadata.classes[image.index] for image in images]
        reasons = [
            self.metadata.missing_class_reason(image.index, self.model) if label is None else None
            for image, label in zip(images, labels, strict=True)
        ]
        if rule == "label":
            return reasons
        utility = resolve_utility(self.protocol.utilities[0])
        scores = self.explainer.scores(batch, utility)
        if scores is None:
            raise OptionError(f"class rule 'correct': utility {utility.name!r} has no classes; use 'prediction'")
        check_output(scores, self.explainer.model)
        return [
            reason or (None if label == prediction else f"predicted {prediction}, labelled {label}")
            for reason, label, prediction in zip(reasons, labels, scores.argmax(1).tolist(), strict=True)
        ]

    def labelled_classes(self, images: Sequence[DecodedImage], batch: Batch) -> Int[Tensor, " b"] | None:
        """Return the labelled class of each image; None if predicted classes are explained."""
        if self.protocol.class_rule == "prediction":
            return None
        classes = [self.metadata.classes[image.index] for image in images]
        return torch.tensor(classes, device=batch.images.device)
