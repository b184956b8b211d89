"""A head's one sum over windows: where it is taken, and what each window adds to it."""

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
    """Which call of a head: of so many `calls` of an operation the one with this number.

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
    """The sum that all a head's output is computed from: of what windows of positions become, by constant weights.

    Attributes:
        cells: (windows, width), the positions in each window, ascending; `OUTSIDE` at the end where there are fewer.
        rows: (windows,), which row of the tensor that is summed up each window is of.
        colours: of each position of the activation, so that no window has a colour twice.
        source: the call that takes the tensor that is summed up, and the place of that tensor among its operands.
        result: the call that returns the sum.
        source_axes: of the tensor that is summed up.
        result_axes: of the sum; its first dimension is the batch.
        weights: (parts, windows), of each window in each part of the sum; None where these are the same.
        matrix: (parts, channels, features), sums up the parts; None where the parts are the sum.
        feature_shape: the shape of the sum, without the batch.
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
        """Return how many positions the largest window has."""
        return int((self.cells != OUTSIDE).sum(1).max())

    @property
    def features(self) -> int:
        """Return of how many numbers the sum consists."""
        return int(torch.Size(self.feature_shape).numel())

    def contributions(self, source: Float[Tensor, "*shape"]) -> Float[Tensor, "windows rows features"]:
        """Return what each window adds to the sum, for each row of a batch of the tensor that is summed up.

        A constant that is added to the sum, as a linear layer's bias, is left out.
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
        """Return what one window adds, through the matrices of the parts that have it: of most windows one.

        The matrices of all windows at once would be as large as those of all parts, once for each window.
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
    """Return a tensor, whose batch may have any size, as one vector for each row and entry of the batch."""
    factors = [factor for axis in axes for factor in axis]
    known = torch.Size([factor.size for factor in factors if factor.content != "batch"]).numel()
    sizes = [tensor.numel() // known if factor.content == "batch" else factor.size for factor in factors]
    order = sorted(range(len(factors)), key=lambda place: (_ORDER[factors[place].content], -factors[place].step))
    apart = tensor.reshape(sizes).permute(order)
    rows = torch.Size([factor.size for factor in factors if factor.content == "position"]).numel()
    return apart.reshape(rows, tensor.numel() // known, -1)


_ORDER = {"position": 0, "batch": 1, "channel": 2}


def _numbers(axes: Sequence[Axis], content: str) -> Int[Tensor, " size"]:
    """Return for each number of a row of the batch which part, or which channel, it is of."""
    together = tuple(factor for axis in axes for factor in axis)
    return numbers_along(together, "position" if content == "position" else "channel")
