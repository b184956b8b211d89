"""Smoothing "noise": the mean of the values over images with noise, as in SmoothGrad (arXiv:1706.03825).

The noise is normal; its standard deviation is 15% of the range of the preprocessed image (the paper suggests 10 to
20%). Its seed is computed from the image's content and the user's seed, so it does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import heatmap
from shapleycam.explanations.explanation import Explanation
from shapleycam.images.seeds import Seed, content_seeds, further_seed
from shapleycam.smoothing.augment import mean_error

SAMPLES = 10
"""The number of noisy images that are averaged."""
DEVIATION = 0.15
"""The standard deviation of the noise, as a share of each image's range."""


def noisy_images(images: Float[Tensor, "b *image"], seed: Seed) -> Iterator[Float[Tensor, "b *image"]]:
    """Yield the images with noise, `SAMPLES` times."""
    # A further seed, so that these are not the random numbers of methods that use the image's seed, such as randomcam.
    generators = [torch.Generator().manual_seed(further_seed(each)) for each in content_seeds(images, seed)]
    deviation = torch.stack([DEVIATION * (image.amax() - image.amin()) for image in images])
    scale = deviation.view(-1, *[1] * (images.dim() - 1))
    for _ in range(SAMPLES):
        drawn = [
            torch.randn(images.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
            for generator in generators
        ]
        yield images + torch.stack(drawn).to(images) * scale


def average_noisy(clean: Explanation, noisy: Sequence[Explanation]) -> Explanation:
    """Return the mean values of the explanations of noisy images, with the heatmap of this mean.

    Everything except heatmap, values and standard error is taken from `clean`, the explanation of the image without
    noise, whose values are not part of the mean.
    """
    values = torch.stack([e.values for e in noisy]).mean(0)
    return replace(
        clean,
        heatmap=heatmap(values, tuple(clean.heatmap.shape[1:])),
        values=values,
        stderr=mean_error([e.stderr for e in noisy]),
    )
