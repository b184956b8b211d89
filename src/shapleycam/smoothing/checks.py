"""Refuse smoothing "augment" for a question whose answer for the mirror image cannot be mirrored back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.players import Regions
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.nested import float_tensors_of

_REMEDY = "use smooth='noise' or smooth='eigen'"


def check_mirrors(removal: str | None, players: Regions, extra: ExtraInputs = NO_EXTRA) -> None:
    """Refuse a removal, players or inputs that have positions in the image and would have to be mirrored with it.

    Args:
        removal: the name of the removal; None for zero and the image's own mean, which are the same at all positions.
        players: the regions that are players, if any.
        extra: further inputs of the model.

    Raises:
        OptionError: another removal, players that are regions, or further inputs that may be images.
    """
    reason = None
    if removal is not None:
        reason = f"removal {removal!r} may differ from place to place"
    elif players is not None:
        reason = "the players are regions of the image"
    elif any(tensor.dim() > 2 for tensor in float_tensors_of([*extra.positional, *dict(extra.keywords).values()])):
        reason = "inputs= may hold images"
    if reason is not None:
        raise OptionError(f"smooth='augment' explains the mirror image too, and {reason}; {_REMEDY}")


def check_output_has_no_places(output: Any, utility: str) -> None:
    """Refuse an output with positions of its own, because a mask or box in it would have to be mirrored too.

    Raises:
        OptionError: the output is neither (b,) nor (b, classes).
    """
    if isinstance(output, Tensor) and output.dim() <= 2:
        return
    form = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else _type_of(output)
    raise OptionError(
        f"smooth='augment' explains the mirror image too, and utility {utility!r} is of an output with places of its "
        f"own ({form}; expected (b, classes)); {_REMEDY}"
    )


def _type_of(output: Any) -> str:
    return f"a {'mapping' if isinstance(output, Mapping) else type(output).__name__}"
