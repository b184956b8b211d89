"""How a tensor depends on the tokens, as far as the proof of a head with attention follows it, and parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

from shapleycam.game.axes import Axis, AxisContent

NO_TOKEN: Final = -1
"""Stands where the index of a token could: this row depends on no token."""
ROW: Final = "position"
"""What axes call the rows of a tensor: of tokens, or of the queries of an attention."""
RowChoice: TypeAlias = "tuple[int, ...] | None"
"""Indices of rows; None where all are meant, or where there are none to choose from."""


@dataclass(frozen=True)
class Rows:
    """A tensor whose rows, along its axis of positions, are computed each by itself; without that axis it is one row.

    `tokens`: for each row, in order, the token that it depends on alone. None: a row may depend on all tokens, since it
    was computed from the result of an attention.
    """

    axes: tuple[Axis, ...]
    tokens: tuple[int, ...] | None


@dataclass(frozen=True)
class Scores:
    """Attention's scores of keys for queries: an entry depends on the token of its key, and that of its query.

    `keys`: the token of each entry along the axis of keys. `is_normalized`: after the softmax over the keys.
    """

    axes: tuple[Axis, ...]
    keys: tuple[int, ...]
    is_normalized: bool = False


CONSTANT: Final = None
UNKNOWN: Final = "unknown"
"""The form of a tensor that may depend on several tokens in another way."""
Form: TypeAlias = "Rows | Scores | str | None"


def count_rows(axes: Sequence[Axis]) -> int:
    """Return how many rows a tensor has."""
    rows = 1
    for axis in axes:
        for factor in axis:
            rows *= factor.size if factor.content == ROW else 1
    return rows


def has(axes: Sequence[Axis], *contents: AxisContent) -> bool:
    """Return whether any of some contents lies along axes."""
    return any(factor.content in contents for axis in axes for factor in axis)


def is_row_axis(axis: Axis) -> bool:
    """Return whether all rows in their order, and nothing else, lie along an axis."""
    return len(axis) == 1 and axis[0].content == ROW and axis[0].step == 1


def without_rows(form: Rows, prefix: int) -> Rows | None:
    """Return a tensor's form when its rows are looked at together, None where these are of tokens of the grid.

    The rows are then channels like any other. `prefix` is the number of prefix tokens, which are one player.
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
    """Return the shape of a tensor with these axes, of another number of batch entries, and rows if not None."""
    shape = []
    for axis in axes:
        size = 1
        for factor in axis:
            is_chosen = rows is not None and factor.content == ROW
            size *= batch if factor.content == "batch" else rows if is_chosen and rows is not None else factor.size
        shape.append(size)
    return shape


def take(tensor: Tensor, axes: Sequence[Axis], content: AxisContent, indices: Tensor) -> Tensor:
    """Return the chosen entries of a tensor along the factor of its axes that has this content.

    The tensor may have fewer dimensions than axes, those at the end, and dimensions of size 1: it is broadcast.
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
