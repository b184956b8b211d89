"""Values of regions of the image, where regions are the players: read off the values of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.wording import number, percent, signed


@dataclass(frozen=True)
class RegionValue:
    """The value of a region of one image.

    Attributes:
        region: its number among the players.
        value: its value, in units of the utility where the method is.
        stderr: the standard error of the value; None where it is not sampled.
        area: which share of the image it covers.
        centre: the mean place of its cells, from (0, 0) at the upper left to (1, 1); in 3-D with the depth first.
        name: what it is called; None where regions have no names.
    """

    region: int
    value: float
    stderr: float | None
    area: float
    centre: tuple[float, ...]
    name: str | None = None


def region_values(
    labels: Int[Tensor, "*grid"],
    values: Float[Tensor, "*grid"],
    stderr: Float[Tensor, "*grid"] | None = None,
    names: Sequence[str] = (),
) -> list[RegionValue]:
    """Return the values of the regions that `labels` name, the largest in size first.

    A region's value is shared evenly by its cells, so that it is the sum over them.

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.regions import region_values
        >>> labels, values = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0.5, 0.5, -2.0, -2.0]])
        >>> [(each.region, each.value, each.area, each.centre) for each in region_values(labels, values)]
        [(1, -4.0, 0.5, (0.5, 0.75)), (0, 1.0, 0.5, (0.5, 0.25))]
    """
    flat = labels.flatten().cpu()
    count = int(flat.max()) + 1

    def total(cells: Tensor) -> Tensor:
        return torch.zeros(count, dtype=torch.float64, device="cpu").index_add(0, flat, cells.flatten().cpu().double())

    sizes = total(torch.ones_like(flat))
    axes = [(torch.arange(side, device="cpu") + 0.5) / side for side in labels.shape]
    centres = torch.stack([total(axis) / sizes for axis in torch.meshgrid(*axes, indexing="ij")], 1)
    sums, errors = total(values), None if stderr is None else total(stderr)
    order = [region for region in sums.abs().argsort(descending=True, stable=True).tolist() if sizes[region] > 0]
    return [
        RegionValue(
            region,
            float(sums[region]),
            None if errors is None else float(errors[region]),
            float(sizes[region] / len(flat)),
            tuple(centres[region].tolist()),
            names[region] if names else None,
        )
        for region in order
    ]


def describe_region(region: RegionValue) -> str:
    """Return a region's value, and where it is, in words.

    Examples:
        >>> from shapleycam.explanations.regions import RegionValue, describe_region
        >>> describe_region(RegionValue(7, 1.25, 0.31, area=0.02, centre=(0.2, 0.625)))
        '+1.25 ± 0.31 at 62% across and 20% down'
    """
    error = "" if region.stderr is None else f" ± {number(region.stderr, 2)}"
    *_, down, across = region.centre
    name = "" if region.name is None else f" {region.name}"
    return f"{signed(region.value)}{error}{name} at {percent(across)} across and {percent(down)} down"
