"""`audit`: find the layers of a model that can be explained, by one run and the gradients of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.layers.image_channels import ImageKind, channel_axis
from shapleycam.layers.input_layout import input_layout
from shapleycam.layers.layout import guess_layout_at, layout_result_in
from shapleycam.layers.layout_proofs import ModelLayouts, prove_layouts
from shapleycam.layers.output_gradients import ModuleOutput, output_gradients
from shapleycam.models.layout import Layout, spatial_size
from shapleycam.models.outputs import find_logits
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.input_layer import is_input
from shapleycam.tracing.output_reading import OutputSelector

_ATTENTION_NAMES = {"attn", "attention", "self_attn", "self_attention"}


@dataclass(frozen=True)
class Candidate:
    """A layer that can be explained.

    Attributes:
        name: its dotted name.
        shape: the shape of its activation, without the batch.
        layout: the layout of its activation.
        gradient_norm: the Euclidean norm of the gradient of the predicted class's logit by the activation.
        live_cells: the number of grid cells with a nonzero gradient.
        maker: the innermost module that first returned this tensor.
        proven: whether the layout is proven; otherwise it is only guessed from the shape.

    Examples:
        >>> from shapleycam.layers import Candidate
        >>> from shapleycam.models.layout import Layout
        >>> Candidate("features.0", (4, 6, 6), Layout("NCHW", (6, 6)), gradient_norm=0.5, live_cells=36).proven
        True
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    gradient_norm: float
    live_cells: int
    maker: str = ""
    proven: bool = True


@dataclass(frozen=True)
class Audit:
    """The layers of a model that can be explained.

    Attributes:
        candidates: these layers, in running order.
        dense: whether the model returns a row of numbers for each pixel, or detections, and not a row for each image.
        without_grid: the layers without a grid: (name, shape, reason).
        last: the last layer in `candidates` and `without_grid`.
        obstacle: why other layers were left out: they run several times, their rows are not the images, or the output
            has no derivative.
        image: the image itself as the layer "input"; None if a module has this name, or the output does not depend on
            the image.

    Examples:
        >>> from shapleycam.layers import Audit
        >>> Audit(candidates=(), dense=False, without_grid=(("fc", (1, 10), "there is but one cell"),)).last
        ''
    """

    candidates: tuple[Candidate, ...]
    dense: bool
    without_grid: tuple[tuple[str, tuple[int, ...], str], ...]
    last: str = ""
    obstacle: str = ""
    image: Candidate | None = None


def audit(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    select: OutputSelector = find_logits,
    image_kind: ImageKind = None,
    extra: ExtraInputs = NO_EXTRA,
) -> Audit:
    """Return all layers, in running order, that run once, have a grid of positions, and affect the output.

    If several layers return the same tensor (a block and its last module, for example), the outermost one around the
    first of them is returned.

    Args:
        model: the user's model.
        image: one image.
        select: takes the explained output from the model's output.
        image_kind: what images with five dimensions are.
        extra: the model's further inputs.

    Raises:
        ImageError: it is not known what images with five dimensions are.
        LayerError: the output's gradient is 0 everywhere.
        ModelError: the output has no numbers to explain, or they are not finite.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import audit
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> [(c.name, str(c.layout), c.live_cells) for c in audit(model, torch.rand(1, 3, 8, 8)).candidates]
        [('0', 'NCHW 6 x 6', 36)]
    """
    by_output = output_gradients(model, image, select, extra)
    obstacle = by_output.obstacle
    if by_output.outputs and not any(bool(output.gradient.any()) for output in by_output.outputs):
        raise LayerError(
            "the gradient of the model's output is 0 at all of its layers (its last weights are zeros, as some "
            "untrained models' are, its last activations are dead, or it is rounded); expected an output "
            "that depends on the image: load trained weights"
        )
    modules = dict(model.named_modules())
    channels = channel_axis(model, image, image_kind, extra)
    layouts = prove_layouts(model, image, channels, extra)
    candidates, without_grid, last = [], [], ""
    for output in by_output.outputs:
        if len(output.value) != len(image):
            obstacle = f"layer {output.name!r} returns {len(output.value)} rows for {len(image)} image"
            continue
        if _is_inside_attention(output.name, modules):
            continue
        last = output.name
        layout, reason = _layout_or_reason(model, output, image, channels, layouts)
        if layout is None:  # not a candidate; it is refused with this reason if a user names it
            without_grid.append((output.name, tuple(output.value.shape), reason))
            continue
        candidate = _candidate(output, layout, proven=not reason)
        if candidate.live_cells:
            candidates.append(candidate)
    of_image = _image_candidate(model, by_output.image, channels)
    return Audit(tuple(candidates), by_output.dense, tuple(without_grid), last, obstacle, of_image)


def _candidate(output: ModuleOutput, layout: Layout, *, proven: bool) -> Candidate:
    cells = layout.cells(layout.positions(output.gradient).abs().amax(2))
    norm, live_cells = float(output.gradient.norm()), int((cells > 0).sum())
    return Candidate(output.name, tuple(output.value.shape[1:]), layout, norm, live_cells, output.maker, proven)


def _image_candidate(model: nn.Module, output: ModuleOutput | None, channels: int) -> Candidate | None:
    """Return the image as the layer "input"; None if it cannot be explained."""
    if output is None or not is_input(model, output.name):
        return None
    try:
        layout = input_layout(tuple(output.value.shape), channels)
    except LayerError:
        return None
    candidate = _candidate(output, layout, proven=True)
    return candidate if candidate.live_cells else None


def _layout_or_reason(
    model: nn.Module, output: ModuleOutput, image: Tensor, channels: int, layouts: ModelLayouts
) -> tuple[Layout | None, str]:
    """Return a proven or guessed layout with more than one cell, or None; and the reason why none is proven."""
    result = layout_result_in(layouts, output.name)
    layout = result.layout
    if result.unknown:
        size = spatial_size(tuple(image.shape), channels)
        layout = guess_layout_at(model, output.name, tuple(output.value.shape), size)
    if layout is None or layout.count == 1:
        return None, result.reason or "there is but one cell"
    return layout, result.reason if result.unknown else ""


def _is_inside_attention(name: str, modules: Mapping[str, nn.Module]) -> bool:
    """Return whether a module is strictly inside an attention module, where tensors are queries, keys and values.

    Blocks that contain attention and other modules (open_clip's ResidualAttentionBlock) do not count as attention.
    """
    enclosing = [name[:end] for end, letter in enumerate(name) if letter == "."]
    classes = [type(modules[outer]).__name__.lower() for outer in enclosing]
    by_class = any(("attn" in kind or "attention" in kind) and "block" not in kind for kind in classes)
    return by_class or any(outer.rsplit(".", maxsplit=1)[-1] in _ATTENTION_NAMES for outer in enclosing)
