"""The forms of a head's tensors: their dependence on tokens, as the proof of a head with attention tracks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

from shapleycam.game.axes import Axis, AxisContent

NO_TOKEN: Final = -1
"""Takes the place of a token's index for a row that depends on no token."""
ROW: Final = "position"
"""The content of an axis of rows; each row belongs to a token, or to a query of an attention."""
RowChoice: TypeAlias = "tuple[int, ...] | None"
"""Indices of rows; None for all rows, and for a tensor without an axis of rows."""


@dataclass(frozen=True)
class Rows:
    """A tensor whose rows, along its axis of positions, are computed separately; without this axis it is one row.

    Attributes:
        axes: the axes of the tensor.
        tokens: the only token that each row depends on, in the order of the rows; `NO_TOKEN` for none. None if a row
            may depend on all tokens, because it was computed from the result of an attention.
    """

    axes: tuple[Axis, ...]
    tokens: tuple[int, ...] | None


@dataclass(frozen=True)
class Scores:
    """Attention scores of queries and keys: an entry depends only on the token of its key and that of its query.

    Attributes:
        axes: the axes of the scores.
        keys: the token of each entry along the axis of keys.
        is_normalized: whether the softmax over the keys was applied; an entry then depends on all keys.
    """

    axes: tuple[Axis, ...]
    keys: tuple[int, ...]
    is_normalized: bool = False


CONSTANT: Final = None
UNKNOWN: Final = "unknown"
"""The form of a tensor that may depend on several tokens in any other way."""
Form: TypeAlias = "Rows | Scores | str | None"


def count_rows(axes: Sequence[Axis]) -> int:
    """Return the number of rows of a tensor."""
    rows = 1
    for axis in axes:
        for factor in axis:
            rows *= factor.size if factor.content == ROW else 1
    return rows


def has(axes: Sequence[Axis], *contents: AxisContent) -> bool:
    """Return whether the axes have a factor with one of these contents."""
    return any(factor.content in contents for axis in axes for factor in axis)


def is_row_axis(axis: Axis) -> bool:
    """Return whether an axis consists of rows only, in their order."""
    return len(axis) == 1 and axis[0].content == ROW and axis[0].step == 1


def without_rows(form: Rows, prefix: int) -> Rows | None:
    """Return a tensor's form with its rows as channels; None if a row depends on a single token of the grid.

    An operation that combines rows reads them like channels. Rows of the `prefix` prefix tokens may be combined, since
    these tokens are one player.
    """
    if not has(form.axes, ROW):
        return form
    if form.tokens is not None and not all(token < prefix for token in form.tokens):
        return None
    axes = tuple(
        tuple(factor._replace(content="channel", step=0) if factor.content == ROW else factor for factor in axis)
        for axis in form.axes
    )
    return Rows(axes, form.tokens and (max(form.tokens),))


def sizes_of(axes: Sequence[Axis], batch: int, rows: int | None) -> list[int]:
    """Return the shape of a tensor with these axes, `batch` batch entries, and `rows` rows (None: all its rows)."""
    shape = []
    for axis in axes:
        size = 1
        for factor in axis:
            is_chosen = rows is not None and factor.content == ROW
            size *= batch if factor.content == "batch" else rows if is_chosen and rows is not None else factor.size
        shape.append(size)
    return shape


def take(tensor: Tensor, axes: Sequence[Axis], content: AxisContent, indices: Tensor) -> Tensor:
    """Select entries of a tensor along the factor of its axes that has this content.

    The tensor may be one that is broadcast to the axes: the first dimensions may be missing, and others have size 1.
    """
    aligned = axes[len(axes) - tensor.dim() :]
    for dim, axis in enumerate(aligned):
        places = [place for place, factor in enumerate(axis) if factor.content == content]
        if not places or tensor.shape[dim] == 1:
            continue
        (place,) = places
        sizes = [factor.size for factor in axis]
        taken = tensor.unflatten(dim, sizes).index_select(dim + place, indices.to(tensor.device))
        tensor = taken.flatten(dim, dim + len(sizes) - 1)
    return tensor


def indices_of(rows: Sequence[int]) -> Tensor:
    """Return indices as a tensor."""
    return torch.tensor(rows, dtype=torch.long, device="cpu")
