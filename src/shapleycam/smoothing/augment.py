"""Smoothing "augment": the mean heatmap over an image and its mirror image, each at three intensities.

The six images are those of pytorch-grad-cam's `aug_smooth`: with or without a horizontal flip, times 0.9, 1 or 1.1. The
factor multiplies the preprocessed values. The mean is not scaled to [0, 1] again, so its maximum may be below 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.explanations.explanation import Explanation


@dataclass(frozen=True)
class Augmentation:
    """A changed image: mirrored left to right or not, and multiplied by a factor."""

    mirrored: bool
    factor: float

    @property
    def is_identity(self) -> bool:
        """Return whether the image is not changed."""
        return not self.mirrored and self.factor == 1

    def apply(self, images: Float[Tensor, "b *image"]) -> Float[Tensor, "b *image"]:
        """Return the changed images; the last axis is the width."""
        return self.undo(images) * self.factor

    def undo(self, maps: Float[Tensor, "b *grid"]) -> Float[Tensor, "b *grid"]:
        """Return maps of the changed images, mirrored back to be maps of the original images."""
        return maps.flip(-1) if self.mirrored else maps


AUGMENTATIONS = tuple(Augmentation(mirrored, factor) for mirrored in (False, True) for factor in (0.9, 1.0, 1.1))
"""The changes whose heatmaps are averaged; the unchanged image is one of them."""


def average_augmented(clean: Explanation, augmented: Sequence[Explanation]) -> Explanation:
    """Return the mean of the explanations of the changed images.

    Args:
        clean: the explanation of the unchanged image; everything except heatmap, values and standard error is taken
            from it.
        augmented: the explanations of the changed images, in the order of `AUGMENTATIONS`.
    """
    pairs = list(zip(AUGMENTATIONS, augmented, strict=True))
    return replace(
        clean,
        heatmap=torch.stack([change.undo(e.heatmap) for change, e in pairs]).mean(0),
        values=torch.stack([change.undo(e.values) for change, e in pairs]).mean(0),
        stderr=mean_error([None if e.stderr is None else change.undo(e.stderr) for change, e in pairs]),
    )


def mean_error(errors: Sequence[Tensor | None]) -> Tensor | None:
    """Return the standard error of the mean of independent values, from their standard errors; None without any."""
    known = [error for error in errors if error is not None]
    return torch.stack(known).square().sum(0).sqrt() / len(errors) if known else None
