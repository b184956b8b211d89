"""A batch of images as a model takes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.images import Source
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.isolation import device_of


@dataclass(frozen=True)
class Batch:
    """Preprocessed images on the model's device.

    Attributes:
        images: images (b, c, h, w), volumes (b, c, d, h, w) or videos (b, t, c, h, w).
        sources: where each image came from.
        extra: further inputs of the model.
    """

    images: Float[Tensor, "b *image"]
    sources: tuple[Source, ...]
    extra: ExtraInputs = NO_EXTRA

    @property
    def first(self) -> Batch:
        """Return a batch of the first image only."""
        return self.rows(torch.zeros(1, dtype=torch.long, device="cpu"))

    def rows(self, indices: Int[Tensor, " rows"]) -> Batch:
        """Return some of the images, by their indices, with their further inputs."""
        sources = tuple(self.sources[index] for index in indices.tolist()) if self.sources else ()
        return Batch(self.images[indices.to(self.images.device)], sources, self.extra.rows(indices))


def move_to_model(images: Tensor, model: nn.Module) -> Tensor:
    """Return images on the model's device and in its precision, but at least in float32.

    Images of half precision become float32, because the model's private copy is widened to float32 too.
    """
    weights = (weight for weight in model.parameters() if weight.is_floating_point() and not weight.is_meta)
    weight = next(weights, None)
    if weight is None:
        return images.to(device_of(model), torch.promote_types(images.dtype, torch.float32))
    return images.to(weight.device, torch.float64 if weight.dtype == torch.float64 else torch.float32)
