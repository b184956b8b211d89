"""A description in words of where in the image the evidence lies."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.wording import percent

_QUARTER, _HALF = 0.5, 0.6
"""A quarter (or a half) of the image is named if it has more than this share of the evidence."""


def describe_evidence(values: Float[Tensor, "h w"]) -> str:
    """Return a phrase that says where the positive values are, and how much of the network's input has half of them.

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.evidence import describe_evidence
        >>> describe_evidence(torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
        '75% of the evidence is in the upper left quarter; half of it lies on 25% of what the network sees'
    """
    positive = values.detach().cpu().double().clamp(min=0)
    total = float(positive.sum())
    if total <= 0:
        return "no evidence for this class anywhere"
    shares = {name: float((positive * weight).sum()) / total for name, weight in _regions(*values.shape).items()}
    return (
        f"{_smallest_region(shares)}; half of it lies on {percent(_half_mass_area(positive))} of what the network sees"
    )


def _smallest_region(shares: dict[str, float]) -> str:
    """Return a phrase with the quarter, or else the half, that holds most of the evidence."""
    for size, enough in (("quarter", _QUARTER), ("half", _HALF)):
        name = max((name for name in shares if size in name), key=lambda n: shares[n])
        if shares[name] > enough:
            return f"{percent(shares[name])} of the evidence is in the {name}"
    return "the evidence is in all parts"


def _regions(height: int, width: int) -> dict[str, Tensor]:
    """Return each region's cells as weights in [0, 1]; a cell that a border cuts has a weight below 1."""
    upper, middle_rows = _overlap(height, 0, 0.5), _overlap(height, 0.25, 0.75)
    left, middle_columns = _overlap(width, 0, 0.5), _overlap(width, 0.25, 0.75)
    every_row, every_column = (torch.ones(side, dtype=torch.float64, device="cpu") for side in (height, width))
    pairs = {
        "upper left quarter": (upper, left),
        "upper right quarter": (upper, 1 - left),
        "lower left quarter": (1 - upper, left),
        "lower right quarter": (1 - upper, 1 - left),
        "central quarter": (middle_rows, middle_columns),
        "upper half": (upper, every_column),
        "lower half": (1 - upper, every_column),
        "left half": (every_row, left),
        "right half": (every_row, 1 - left),
    }
    return {name: torch.outer(rows, columns) for name, (rows, columns) in pairs.items()}


def _overlap(cells: int, start: float, end: float) -> Tensor:
    """Return for each of `cells` equal cells on [0, 1] which fraction of it lies in [start, end]."""
    edges = torch.arange(cells + 1, device="cpu").double() / cells
    return (edges[1:].clamp(max=end) - edges[:-1].clamp(min=start)).clamp(min=0) * cells


def _half_mass_area(positive: Tensor) -> float:
    """Return the smallest share of the cells that has half of the sum of all."""
    ranked = positive.flatten().sort(descending=True).values.cumsum(0)
    needed = int((ranked < 0.5 * ranked[-1]).sum()) + 1
    return needed / ranked.numel()
