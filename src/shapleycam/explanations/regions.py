"""Values of image regions, if regions are the players, computed from the values of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.wording import number, percent, signed

UNSURE = 2.0
"""A value's sign is not certain if the value is nearer to zero than this number of its standard errors."""


def is_unsure(values: Float[Tensor, "*cells"], stderr: Float[Tensor, "*cells"]) -> Bool[Tensor, "*cells"]:
    """Return where values are nearer to zero than two of their standard errors, so that their sign is not certain.

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.regions import is_unsure
        >>> is_unsure(torch.tensor([1.5, -2.5]), torch.tensor([1.0, 1.0]))
        tensor([ True, False])
    """
    return values.abs() < UNSURE * stderr


@dataclass(frozen=True)
class RegionValue:
    """The value of one region in one image.

    Attributes:
        region: the region's number among the players.
        value: the region's value, in units of the utility if the method has these units.
        stderr: the standard error of the value; None if the method does not sample.
        area: the share of the image that the region covers.
        centre: the mean position of the region's cells, (down, across) from (0, 0) at the upper left to (1, 1); in 3-D
            with the depth first.
        name: the region's name; None if regions have no names.
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
    """Return the values of the regions that `labels` number, largest absolute value first.

    A region's value is divided evenly among its cells, so it is the sum over them.

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


@dataclass(frozen=True)
class RegionMap:
    """The values of one image's regions, ready for drawing.

    Attributes:
        labels: the number of each cell's region, counted from 0.
        values: the value of each cell's region.
        unsure: the cells of regions whose value is nearer to zero than two of its standard errors.
        largest: the largest absolute value of a region.
        count: the number of regions.
        count_unsure: the number of regions in `unsure`; None without standard errors.
        names: the regions' names, by their number in `labels`; empty if they have no names.
    """

    labels: Int[Tensor, "*grid"]
    values: Float[Tensor, "*grid"]
    unsure: Bool[Tensor, "*grid"]
    largest: float
    count: int
    count_unsure: int | None
    names: tuple[str, ...] = ()


def region_map(
    labels: Int[Tensor, "*grid"],
    values: Float[Tensor, "*grid"],
    stderr: Float[Tensor, "*grid"] | None = None,
    names: Sequence[str] = (),
) -> RegionMap | None:
    """Return the values of regions for drawing; None if cells of one region differ, as for methods from derivatives.

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.regions import region_map
        >>> labels, values = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0.5, 0.5, -2.0, -2.0]])
        >>> drawn = region_map(labels, values, torch.tensor([[0.3, 0.3, 0.3, 0.3]]))
        >>> drawn.values.tolist(), drawn.unsure.tolist(), drawn.largest
        ([[1.0, 1.0, -4.0, -4.0]], [[True, True, False, False]], 4.0)
        >>> region_map(labels, torch.tensor([[0.5, 0.4, -2.0, -2.0]])) is None
        True
    """
    numbers, member = labels.detach().cpu().flatten().unique(return_inverse=True)
    sizes = member.bincount()
    cells = values.detach().cpu().flatten().double()
    of_regions = torch.zeros(len(sizes), dtype=torch.float64, device="cpu").scatter(0, member, cells)
    if not torch.equal(of_regions[member], cells):
        return None
    totals = of_regions * sizes
    unsure = torch.zeros_like(totals, dtype=torch.bool)
    if stderr is not None:
        errors = torch.zeros_like(totals).scatter(0, member, stderr.detach().cpu().flatten().double()) * sizes
        unsure = is_unsure(totals, errors)
    return RegionMap(
        member.reshape(labels.shape),
        totals[member].reshape(labels.shape),
        unsure[member].reshape(labels.shape),
        float(totals.abs().max()),
        len(sizes),
        None if stderr is None else int(unsure.sum()),
        tuple(names[region] for region in numbers.tolist()) if names else (),
    )


def describe_value(region: RegionValue) -> str:
    """Return a text with a region's value and its standard error.

    Examples:
        >>> from shapleycam.explanations.regions import RegionValue, describe_value
        >>> describe_value(RegionValue(7, 1.25, 0.31, area=0.02, centre=(0.2, 0.625)))
        '+1.25 ± 0.31'
    """
    error = "" if region.stderr is None else f" ± {number(region.stderr, 2)}"
    return f"{signed(region.value)}{error}"


def describe_region(region: RegionValue) -> str:
    """Return a text with a region's value, name and position.

    Examples:
        >>> from shapleycam.explanations.regions import RegionValue, describe_region
        >>> describe_region(RegionValue(7, 1.25, 0.31, area=0.02, centre=(0.2, 0.625)))
        '+1.25 ± 0.31 at 62% across and 20% down'
    """
    *_, down, across = region.centre
    name = "" if region.name is None else f" {region.name}"
    return f"{describe_value(region)}{name} at {percent(across)} across and {percent(down)} down"
