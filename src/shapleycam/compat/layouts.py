"""Finding the layout that a `reshape_transform` implies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.models.layout import Layout


def layout_of_layers(
    shapes: Sequence[tuple[int, ...]], reshape_transform: Callable[[Any], Tensor] | None
) -> Layout | str | None:
    """Return the common layout of layers with activations of these shapes (b, ...); None if it must be proven later.

    With a `reshape_transform` it is the layout that the transform implies for all layers. Without one the layout must
    be proven, except for activations with a single row or column, where a proof is impossible: they are channels-first,
    as pytorch-grad-cam assumes.

    Raises:
        OptionError: the transform does more than reorder positions and channels, or implies different layouts for
            different layers.

    Examples:
        >>> from shapleycam.compat.layouts import layout_of_layers
        >>> layout_of_layers([(1, 8, 7, 7)], None), layout_of_layers([(1, 8, 1, 1)], None)
        (None, 'NCHW')
    """
    if reshape_transform is not None:
        layouts = list(dict.fromkeys(layout_of(reshape_transform, shape) for shape in shapes))
        if len(layouts) > 1:
            raise OptionError(
                f"by reshape_transform the layers have layouts {' and '.join(map(repr, map(str, layouts)))}; expected "
                "one: leave reshape_transform out, as layouts are found, or explain each layer by itself"
            )
        return layouts[0]
    cannot_be_proven = any(1 in shape[2:] for shape in shapes if len(shape) >= 4)
    return {4: "NCHW", 5: "NCDHW"}.get(len(shapes[0])) if cannot_be_proven else None


def layout_of(reshape_transform: Callable[[Any], Tensor], shape: tuple[int, ...]) -> Layout:
    """Return the layout of an activation of `shape` (b, ...) that a function reshapes to (b, c, h, w).

    The function is called with random numbers. It must not change them, only reorder them to match a known layout.

    Raises:
        OptionError: the function raises an error, or its result matches no layout.

    Examples:
        >>> from shapleycam.compat.layouts import layout_of
        >>> from shapleycam.compat.grad_cam.utils.reshape_transforms import vit_reshape_transform
        >>> str(layout_of(vit_reshape_transform, (1, 197, 192)))
        'tokens 14 x 14 after 1 prefix'
    """
    numbers = torch.randn(1, *shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
    with convert_errors_of_function(
        lambda error: OptionError(
            f"reshape_transform raised {type(error).__name__} for the layer's activation of shape {shape}; expected "
            "(b, c, h, w) of it: give the height and width that it has, or leave reshape_transform out"
        )
    ):
        reshaped = reshape_transform(numbers.clone())
    if isinstance(reshaped, Tensor) and reshaped.dim() >= 4:
        for layout in _candidates(shape, tuple(reshaped.shape[2:])):
            cells = layout.positions(numbers)[:, layout.prefix :].transpose(1, 2).unflatten(2, layout.grid)
            if cells.shape == reshaped.shape and torch.equal(cells, reshaped):
                return layout
    form = f"shape {tuple(reshaped.shape)}" if isinstance(reshaped, Tensor) else type(reshaped).__name__
    raise OptionError(
        f"reshape_transform makes {form} of the layer's activation of shape {shape}, not its numbers as they are in "
        "reading order; expected (b, c, h, w) of tokens or channels that are last: leave reshape_transform out where "
        "the layout is found without it, or choose another layer"
    )


def _candidates(shape: tuple[int, ...], grid: tuple[int, ...]) -> Iterator[Layout]:
    """Yield the possible layouts of an activation of this shape with this grid."""
    tokens = Layout("tokens", grid)
    layouts = [Layout(kind, grid) for kind in ("NCHW", "NHWC", "NCDHW", "NDHWC")]
    if len(shape) == 3 and shape[1] >= tokens.count:
        layouts.append(Layout("tokens", grid, shape[1] - tokens.count))
    yield from (layout for layout in layouts if layout.fits((1, *shape[1:])))
