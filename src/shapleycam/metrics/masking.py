"""Images with some of their content hidden."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from shapleycam.errors import OptionError
from shapleycam.metrics.options import MetricOptions
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess

Images = Float[Tensor, "b c h w"]
Content = Float[Tensor, "#b c #h #w"]
"""What is put in the place of an image's, or of all images'."""
Maps = Float[Tensor, "b h w"]


def masked(images: Images, mask: Maps, hidden: Content | float) -> Images:
    """x·M + hidden·(1 - M): what the mask keeps, and `hidden` where it hides."""
    weight = mask[:, None]
    kept = images * weight
    return kept if isinstance(hidden, float) and hidden == 0 else kept + hidden * (1 - weight)


def hidden_content(images: Images, options: MetricOptions, preprocess: Transform | None) -> Content | float:
    """What is seen where a mask hides all; 0.0 in the published protocol: the mean colour of the training data.

    Raises:
        OptionError: masks in pixels, where the normalisation is not known.
    """
    if options.baseline == "mean":
        return images.mean((2, 3), keepdim=True)
    if options.baseline == "blur":
        return blurred(images, options)
    return zero(images, options, preprocess)


def zero(images: Images, options: MetricOptions, preprocess: Transform | None) -> Content | float:
    """The zero of the mask's space, in normalised units (1, c, 1, 1): 0.0, or black where the mask is in pixels.

    Raises:
        OptionError: masks in pixels, where the normalisation is not known.
    """
    if options.mask_space == "normalised":
        return 0.0
    if not isinstance(preprocess, Preprocess):
        raise OptionError(
            "mask_space is 'pixels', and how this model's images are normalised is not known; give the explainer "
            "preprocess=shapleycam.Preprocess(...), or choose mask_space 'normalised'"
        )
    black = [-mean / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)]
    return torch.tensor(black, device=images.device, dtype=images.dtype).view(1, -1, 1, 1)


def blurred(images: Images, options: MetricOptions) -> Images:
    """The images behind a Gaussian blur.

    Raises:
        OptionError: they are too small for it.
    """
    if min(images.shape[2:]) <= options.blur_size // 2:
        size = " x ".join(map(str, images.shape[2:]))
        raise OptionError(f"images of {size} pixels, and a blur of {options.blur_size}; choose a smaller blur_size")
    found: Tensor = gaussian_blur(images, [options.blur_size] * 2, [options.blur_sigma] * 2)
    return found
