"""The layout of the layer "input": its positions are the pixels of images, or the voxels of volumes."""

from __future__ import annotations

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, parse_layout, spatial_size
from shapleycam.tracing.input_layer import INPUT


def input_layout(shape: tuple[int, ...], channels: int = 1, layout: str | Layout | None = None) -> Layout:
    """Return the layout of images (b, c, h, w) or volumes (b, c, d, h, w) as the activation of the layer "input".

    Args:
        shape: the shape of the images.
        channels: the axis of the images' channels.
        layout: the layout that the user gave, if any; it must be the layout of the images.

    Raises:
        LayerError: the images are a video (b, t, c, h, w) or have one pixel, or the user's layout is not the images'.

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
