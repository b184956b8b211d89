"""`WindowSum`: the single sum over windows in a head, its place in the recording, and each window's contribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.axes import Axis
from shapleycam.game.windows.forms import OUTSIDE, numbers_along


class CallPlace(NamedTuple):
    """Identifies a call of a head: call `number` of the operation `name`, which the head calls `calls` times.

    Examples:
        >>> from shapleycam.game.windows import CallPlace
        >>> CallPlace("addmm", number=0, calls=2).name
        'addmm'
    """

    name: str
    number: int
    calls: int


@dataclass(frozen=True, eq=False)
class WindowSum:
    """The weighted sum over windows that a head's whole output is computed from; the weights are constant.

    The summands are rows of the tensor that is summed (the source); each row depends on one window of positions.

    Attributes:
        cells: (windows, width), the positions in each window, ascending, padded with `OUTSIDE`.
        rows: (windows,), the row of the source that belongs to each window.
        colours: (positions,), a colour for each position of the activation; no window has a colour twice.
        source: the call that takes the source, and the index of the source among its operands.
        result: the call that returns the sum.
        source_axes: the axes of the source.
        result_axes: the axes of the sum; its first dimension is the batch.
        weights: (parts, windows), the weight of each window in each part of the sum; None if each part is one window.
        matrix: (parts, channels, features), maps the parts to the sum; None if the parts are the sum.
        feature_shape: the shape of the sum without the batch.
        is_affine: whether the output is an affine function of the sum.

    Examples:
        >>> import torch
        >>> from shapleycam.game.head_recording import record_head
        >>> from shapleycam.game.windows import prove_window_sum
        >>> from shapleycam.models.layout import Layout
        >>> recording = record_head(lambda a: a.relu().mean((2, 3)).sigmoid(), torch.rand(2, 4, 1, 2))
        >>> proven = prove_window_sum(recording, Layout("NCHW", (1, 2)))
        >>> source = torch.rand(5, 4, 1, 2)
        >>> contributions = proven.contributions(source)
        >>> contributions.shape, torch.allclose(contributions.sum(0), source.mean((2, 3)))
        (torch.Size([2, 5, 4]), True)
    """

    cells: Int[Tensor, "windows width"]
    rows: Int[Tensor, " windows"]
    colours: Int[Tensor, " positions"]
    source: tuple[CallPlace, int]
    result: CallPlace
    source_axes: tuple[Axis, ...]
    result_axes: tuple[Axis, ...]
    weights: Float[Tensor, "parts windows"] | None
    matrix: Float[Tensor, "parts channels features"] | None
    feature_shape: tuple[int, ...]
    is_affine: bool

    @property
    def width(self) -> int:
        """Return the number of positions in the largest window."""
        return int((self.cells != OUTSIDE).sum(1).max())

    @property
    def features(self) -> int:
        """Return the number of elements of the sum, for one row of the batch."""
        return int(torch.Size(self.feature_shape).numel())

    def contributions(self, source: Float[Tensor, "*shape"]) -> Float[Tensor, "windows rows features"]:
        """Return what each window adds to the sum, for each row of a batch of the source.

        Constants that are added to the sum, such as a linear layer's bias, are not included.
        """
        content = _by_row(source, self.source_axes)[self.rows.to(source.device)]
        if self.matrix is not None:
            return torch.stack([self._through_matrix(window, rows) for window, rows in enumerate(content)])
        parts, channels = (_numbers(self.result_axes[1:], kind) for kind in ("position", "channel"))
        weights = (
            torch.ones(1, len(content), dtype=torch.float32, device="cpu") if self.weights is None else self.weights
        )
        by_window = weights.to(content)[parts.to(content.device)].mT  # (windows, features)
        return content[:, :, channels.to(content.device)] * by_window[:, None]

    def _through_matrix(self, window: int, content: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows features"]:
        """Return what one window adds, by the matrices of the parts that contain it; most windows are in one part.

        Windows are handled one at a time, because their matrices together would need as much memory as the matrices of
        all parts, once for each window.
        """
        if self.matrix is None:
            raise ValueError("the parts are not summed up by a matrix")
        if self.weights is None:
            return content @ self.matrix[window].to(content)
        weights = self.weights[:, window]
        parts = weights.nonzero()[:, 0].tolist()
        if len(parts) == 1:
            return (content * weights[parts[0]].to(content)) @ self.matrix[parts[0]].to(content)
        return content @ torch.einsum("p,pkf->kf", weights.to(self.matrix), self.matrix).to(content)


def _by_row(tensor: Float[Tensor, "*shape"], axes: Sequence[Axis]) -> Float[Tensor, "windows batch channels"]:
    """Return a tensor as one vector for each row and batch entry; its batch may have any size."""
    factors = [factor for axis in axes for factor in axis]
    known = torch.Size([factor.size for factor in factors if factor.content != "batch"]).numel()
    sizes = [tensor.numel() // known if factor.content == "batch" else factor.size for factor in factors]
    order = sorted(range(len(factors)), key=lambda place: (_ORDER[factors[place].content], -factors[place].step))
    apart = tensor.reshape(sizes).permute(order)
    rows = torch.Size([factor.size for factor in factors if factor.content == "position"]).numel()
    return apart.reshape(rows, tensor.numel() // known, -1)


_ORDER = {"position": 0, "batch": 1, "channel": 2}


def _numbers(axes: Sequence[Axis], content: str) -> Int[Tensor, " size"]:
    """Return the index of the part, or of the channel, of each number of the sum (without its batch)."""
    together = tuple(factor for axis in axes for factor in axis)
    return numbers_along(together, "position" if content == "position" else "channel")
