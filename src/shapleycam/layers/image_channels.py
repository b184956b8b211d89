"""Find the axis of the images that holds their channels; for volumes and videos the model's first weight shows it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from shapleycam.errors import ImageError, OptionError
from shapleycam.layers.coordinates import CoordinateTracker
from shapleycam.layers.layout_proofs import proofs_of
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.running import run

ImageKind: TypeAlias = Literal["volume", "video"] | None
"""What images with five dimensions are: volumes (b, c, d, h, w), videos (b, t, c, h, w), or None, to run the model."""

_CHANNEL_AXES = {"volume": 1, "video": 2}


def check_image_kind(image_kind: Any) -> ImageKind:
    """Return the user's choice of what images with five dimensions are.

    Raises:
        OptionError: it is not "volume", "video" or None.

    Examples:
        >>> from shapleycam.layers import check_image_kind
        >>> check_image_kind("video")
        'video'
    """
    if image_kind not in {None, *_CHANNEL_AXES}:
        raise OptionError(f"images={image_kind!r}; expected 'volume', 'video' or None")
    return cast("ImageKind", image_kind)


def channel_axis(model: nn.Module, images: Tensor, image_kind: ImageKind = None, extra: ExtraInputs = NO_EXTRA) -> int:
    """Return the axis of images that holds their channels: 1, or 2 for videos (b, t, c, h, w).

    For images with five dimensions `image_kind` decides. If it is None, it is the axis that the model's first
    convolution or matrix product sums over (docs/decisions.md, "Channels of volumes and videos are what the first
    weight sums over"). `extra` are further inputs of the model.

    Raises:
        ImageError: `image_kind` is given for flat images, or the first weight sums over both axes or none.
        ModelError: the model raises.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import channel_axis
        >>> channel_axis(nn.Conv3d(3, 2, 3), torch.rand(1, 3, 8, 16, 16))
        1
    """
    if images.dim() != 5:
        if image_kind is not None:
            raise ImageError(
                f"images={image_kind!r}, and images of shape {tuple(images.shape)}; expected five dimensions, or no "
                "images="
            )
        return 1
    if image_kind is not None:
        return _CHANNEL_AXES[image_kind]
    axes_by_size = proofs_of(model).channel_axes
    size = images.shape[1:]
    axis = axes_by_size.get(size)
    if axis is None:
        axis = _first_summed_axis(model, images[:1], extra.rows(torch.zeros(1, dtype=torch.long, device="cpu")))
        axes_by_size.put(size, axis)
    return axis


def _first_summed_axis(model: nn.Module, image: Tensor, extra: ExtraInputs) -> int:
    """Return the axis, 1 or 2, that the model's first weight sums over.

    Raises:
        ImageError: it sums over both axes or none, or no weight reads the image.
    """
    image = image.detach().clone()
    with isolated_copy(model) as copied:
        tracker = CoordinateTracker(image)
        with tracker:
            run(copied, image, extra, own_images=True)
    axes = tracker.channels.axes
    if axes is not None and not axes:  # an axis of one element may be along any dimension
        axes = tuple(axis for axis in (1, 2) if image.shape[axis] == 1)[:1]
    if axes is not None and len(axes) == 1:
        return axes[0]
    summed = "no weight of it reads them" if axes is None else "it sums over both axes" if axes else "it sums over none"
    raise ImageError(
        f"images of shape {tuple(image.shape)} could be volumes (b, c, d, h, w) or videos (b, t, c, h, w), and the "
        f"model's first weight does not tell ({summed}); say which with images='volume' or images='video'"
    )
