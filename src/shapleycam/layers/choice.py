"""Find the layer to explain at if the user names none: the layer before pooling, or the last convolution."""

from __future__ import annotations

from collections.abc import Container, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.layers._audit import Audit, Candidate, audit
from shapleycam.layers.image_channels import ImageKind
from shapleycam.layers.locality import is_local
from shapleycam.models.outputs import find_logits
from shapleycam.names import canonical_name
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.output_reading import OutputSelector

BEFORE_POOL, LAST_CONV = "before-pool", "last-conv"
RULES = (BEFORE_POOL, LAST_CONV)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def parse_layer_rule(layer: object, modules: Container[str] | None) -> str | None:
    """Return the rule that a name means, in any spelling of it; None if it does not mean a rule.

    If the model has a module of this name ("last_conv"), the name means the module. If the model is not known
    (`modules` is None), any Python identifier may be the name of a module.

    Examples:
        >>> from shapleycam.layers import parse_layer_rule
        >>> parse_layer_rule("Before Pool", {"features"}), parse_layer_rule("last_conv", {"last_conv"})
        ('before-pool', None)
    """
    rule = canonical_name(layer, RULES)
    if rule is None or layer == rule:
        return rule
    is_module = str(layer).isidentifier() if modules is None else layer in modules
    return None if is_module else rule


def find_layer(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    rule: str,
    select: OutputSelector = find_logits,
    image_kind: ImageKind = None,
    extra: ExtraInputs = NO_EXTRA,
) -> str:
    """Return the name of the layer that a rule finds in this model; it runs the model once.

    Args:
        model: the user's model.
        image: one image (1, ...).
        rule: "before-pool" or "last-conv".
        select: takes the explained output from the model's output.
        image_kind: what images with five dimensions are.
        extra: the model's further inputs.

    Raises:
        LayerError: no layer fits the rule.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import find_layer
        >>> _ = torch.manual_seed(0)
        >>> block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus())
        >>> model = nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> image = torch.rand(1, 3, 8, 8)
        >>> find_layer(model, image, "before-pool"), find_layer(model, image, "last-conv")
        ('0', '0.0')
    """
    audited = audit(model, image, select, image_kind, extra)
    return find_last_conv(audited, model) if rule == LAST_CONV else find_before_pool(audited, model, image, extra).name


def find_before_pool(
    audited: Audit, model: nn.Module, image: Float[Tensor, "1 *image"], extra: ExtraInputs = NO_EXTRA
) -> Candidate:
    """Return the layer before pooling: the last layer whose output affects the model's output at several positions.

    A dense output is not pooled. For such an output it is the last layer before the part of the model that makes the
    output (docs/decisions.md, "The layer of a dense output is before the branch that makes it").

    Raises:
        LayerError: there is no such layer.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import audit, find_before_pool
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> image = torch.rand(1, 3, 8, 8)
        >>> find_before_pool(audit(model, image), model, image).name
        '0'
    """
    live = [candidate for candidate in audited.candidates if candidate.live_cells > 1]
    for candidate in reversed(_before_output_branch(live, audited.last) if audited.dense else live):
        if candidate.proven or is_local(model, image, candidate.name, candidate.layout, extra):
            return candidate
    raise LayerError(
        "no layer of this model has an output with a grid of positions that its output depends on"
        f"{_last_shapes(audited)}{_obstacle(audited)}; name one with layer=, and its layout with "
        "layout='tokens 14x14 after 1', say"
    )


def find_last_conv(audited: Audit, model: nn.Module) -> str:
    """Return the name of the last convolution whose output affects the model's output at several positions.

    For a convolution that PEFT wraps, it is the wrapped convolution and not the adapter.

    Raises:
        LayerError: there is no such convolution.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import audit, find_last_conv
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> find_last_conv(audit(model, torch.rand(1, 3, 8, 8)), model)
        '0'
    """
    for candidate in reversed(audited.candidates):
        is_convolution = isinstance(model.get_submodule(candidate.maker), _CONVOLUTIONS)
        is_proven = candidate.live_cells > 1 and candidate.proven
        if is_proven and is_convolution and not _is_adapter(candidate.maker, model):
            return candidate.maker
    remedy = "name a layer with layer=" if audited.obstacle else f"use {BEFORE_POOL!r}"
    raise LayerError(
        f"layer {LAST_CONV!r}: no convolution of this model leads to its output{_obstacle(audited)}; {remedy}"
    )


def _is_adapter(name: str, model: nn.Module) -> bool:
    """Return whether a module is inside a wrapper with a `base_layer`, but not inside this `base_layer`."""
    parts = name.split(".")
    steps = ((model.get_submodule(".".join(parts[:end])), parts[end]) for end in range(len(parts)))
    return any(hasattr(outer, "base_layer") and child != "base_layer" for outer, child in steps)


def _before_output_branch(candidates: Sequence[Candidate], last: str) -> Sequence[Candidate]:
    """Return the candidates outside the branch of the module tree with the last layer; all if there are none."""
    names, last_parts = [candidate.name.split(".") for candidate in candidates], last.split(".")
    for depth in range(1, max(map(len, names), default=0) + 1):
        branch = last_parts[:depth]
        outside = [c for c, name in zip(candidates, names, strict=True) if name[:depth] != branch]
        if outside:
            return outside
    return candidates


def _obstacle(audited: Audit) -> str:
    return f" ({audited.obstacle})" if audited.obstacle else ""


def _last_shapes(audited: Audit) -> str:
    """Return a phrase with the last shapes that have no grid, and the reason for the last one."""
    if not audited.without_grid:
        return ""
    shapes = ", ".join(f"{shape} at {name!r}" for name, shape, _ in audited.without_grid[-3:])
    return f" (the last shapes are {shapes}; of the last one {audited.without_grid[-1][2]})"
