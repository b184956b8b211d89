"""The layout of the layer "input": the pixels of images, or the cells of volumes."""

from __future__ import annotations

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, parse_layout, spatial_size
from shapleycam.tracing.input_layer import INPUT


def input_layout(shape: tuple[int, ...], channels: int = 1, layout: str | Layout | None = None) -> Layout:
    """Return the layout of images of `shape` (b, c, h, w), or volumes (b, c, d, h, w), as the activation of a layer.

    Args:
        shape: of the images.
        channels: the axis of the images that holds their channels.
        layout: as the user gave it; it must be the images' own.

    Raises:
        LayerError: a video (b, t, c, h, w), an image of one pixel, or another layout than the images'.

    Examples:
        >>> from shapleycam.layers.input_layout import input_layout
        >>> str(input_layout((1, 3, 224, 320)))
        'NCHW 224 x 320'
    """
    if channels != 1 or len(shape) not in {4, 5}:
        raise LayerError(
            f"layer {INPUT!r}: images of shape {shape}, whose channels are not the second dimension; expected images "
            "(b, c, h, w) or volumes (b, c, d, h, w): choose a layer inside the model"
        )
    of_images = Layout("NCHW" if len(shape) == 4 else "NCDHW", spatial_size(shape))
    if of_images.count == 1:
        raise LayerError(f"layer {INPUT!r}: images of shape {shape} have one pixel; expected several places")
    if layout is not None and parse_layout(layout, shape, INPUT) != of_images:
        raise LayerError(
            f"layout {str(layout)!r} was given for layer {INPUT!r}, whose images are {str(of_images)!r}; leave it out"
        )
    return of_images
