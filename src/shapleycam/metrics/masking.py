"""Images whose content is partly hidden by a mask."""

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
"""The replacement for hidden content: one for each image, or one for all."""
Maps = Float[Tensor, "b h w"]


def apply_mask(images: Images, mask: Maps, hidden: Content | float) -> Images:
    """Return x·M + hidden·(1 - M): the image where the mask is 1, `hidden` where it is 0."""
    weight = mask[:, None]
    visible = images * weight
    return visible if isinstance(hidden, float) and hidden == 0 else visible + hidden * (1 - weight)


def hidden_content(images: Images, options: MetricOptions, preprocess: Transform | None) -> Content | float:
    """Return the content of places where a mask is 0; in the published protocol 0.0, the training data's mean colour.

    Raises:
        OptionError: masks are in pixels and the normalisation is not known.
    """
    if options.baseline == "mean":
        return images.mean((2, 3), keepdim=True)
    if options.baseline == "blur":
        return blur_images(images, options)
    return zero_content(images, options, preprocess)


def zero_content(images: Images, options: MetricOptions, preprocess: Transform | None) -> Content | float:
    """Return the zero of the mask's space in normalised units (1, c, 1, 1): 0.0, or black if the mask is in pixels.

    Raises:
        OptionError: the mask is in pixels and the normalisation is not known.
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


def blur_images(images: Images, options: MetricOptions) -> Images:
    """Return the images after a Gaussian blur with a kernel of `blur_size` pixels and sigma `blur_sigma`.

    Raises:
        OptionError: the images are too small for this kernel.
    """
    if min(images.shape[2:]) <= options.blur_size // 2:
        size = " x ".join(map(str, images.shape[2:]))
        raise OptionError(f"images of {size} pixels, and a blur of {options.blur_size}; choose a smaller blur_size")
    smooth: Tensor = gaussian_blur(images, [options.blur_size] * 2, [options.blur_sigma] * 2)
    return smooth
