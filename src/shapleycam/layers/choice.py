"""Which layer to explain at, where the user names none: the one before pooling, or the last convolution."""

from __future__ import annotations

from collections.abc import Container, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.layers._audit import Audit, Candidate, audit
from shapleycam.layers.locality import is_local
from shapleycam.layers.proof import Solid
from shapleycam.models.outputs import find_logits
from shapleycam.names import canonical_name
from shapleycam.tracing._trace import Select
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs

BEFORE_POOL, LAST_CONV = "before-pool", "last-conv"
RULES = (BEFORE_POOL, LAST_CONV)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def rule_of(layer: object, modules: Container[str] | None) -> str | None:
    """Return the rule that a layer's name means, in any spelling of it, or None.

    A module that is called so ("last_conv") is meant itself; where the model is not known (None) its name may be any
    word of Python.
    """
    rule = canonical_name(layer, RULES)
    if rule is None or layer == rule:
        return rule
    taken = str(layer).isidentifier() if modules is None else layer in modules
    return None if taken else rule


def chosen(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    rule: str,
    select: Select = find_logits,
    solid: Solid = None,
    extra: ExtraInputs = NO_EXTRA,
) -> str:
    """The layer that a rule, "before-pool" or "last-conv", names for this model; `solid` and `extra` as for `audit`.

    Raises:
        LayerError: there is none.
    """
    found = audit(model, image, select, solid, extra)
    return last_conv(found, model) if rule == LAST_CONV else before_pool(found, model, image, extra).name


def before_pool(
    found: Audit, model: nn.Module, image: Float[Tensor, "1 *image"], extra: ExtraInputs = NO_EXTRA
) -> Candidate:
    """The last candidate of which more than one position matters to the output: the one before pooling. For a dense
    output, which nothing pools, the last one before the part that makes it.

    Raises:
        LayerError: there is none.
    """
    live = [candidate for candidate in found.candidates if candidate.live_cells > 1]
    for candidate in reversed(_before_head(live, found.last) if found.dense else live):
        if candidate.proven or is_local(model, image, candidate.name, candidate.layout, extra):
            return candidate
    raise LayerError(
        "no layer of this model has an output with a grid of positions that its output depends on"
        f"{_shapes(found)}{_obstacle(found)}; name one with layer=, and its layout with "
        "layout='tokens 14x14 after 1', say"
    )


def last_conv(found: Audit, model: nn.Module) -> str:
    """The last convolution on the way to the output of which more than one position matters; of one that PEFT wrapped
    the wrapped one, not the adapter beside it.

    Raises:
        LayerError: there is none.
    """
    for candidate in reversed(found.candidates):
        is_convolution = isinstance(model.get_submodule(candidate.maker), _CONVOLUTIONS)
        if candidate.live_cells > 1 and candidate.proven and is_convolution and not _adapts(candidate.maker, model):
            return candidate.maker
    remedy = "name a layer with layer=" if found.obstacle else f"use {BEFORE_POOL!r}"
    raise LayerError(
        f"layer {LAST_CONV!r}: no convolution of this model leads to its output{_obstacle(found)}; {remedy}"
    )


def _adapts(name: str, model: nn.Module) -> bool:
    """Whether a module belongs to an adapter: inside one that wraps another as `base_layer`, and beside that."""
    parts = name.split(".")
    beside = ((model.get_submodule(".".join(parts[:end])), parts[end]) for end in range(len(parts)))
    return any(hasattr(outer, "base_layer") and inner != "base_layer" for outer, inner in beside)


def _before_head(found: Sequence[Candidate], last: str) -> Sequence[Candidate]:
    """Without the branch of the module tree that the last layer is on, where there are others."""
    names, ends = [candidate.name.split(".") for candidate in found], last.split(".")
    for depth in range(1, max(map(len, names), default=0) + 1):
        branch = ends[:depth]
        rest = [c for c, name in zip(found, names, strict=True) if name[:depth] != branch]
        if rest:
            return rest
    return found


def _obstacle(found: Audit) -> str:
    return f" ({found.obstacle})" if found.obstacle else ""


def _shapes(found: Audit) -> str:
    """The last shapes in which there was none, and why there was none in the last."""
    if not found.without_grid:
        return ""
    shapes = ", ".join(f"{shape} at {name!r}" for name, shape, _ in found.without_grid[-3:])
    return f" (the last shapes are {shapes}; of the last one {found.without_grid[-1][2]})"
