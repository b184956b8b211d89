"""Where the evidence lies: shares worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from shapleycam.explanations.evidence import describe_evidence

NOTHING, SEEN = "no evidence for this class anywhere", "what the network sees"


def grid(size: int, *cells: tuple[int, int, float]) -> Tensor:
    """Return a grid of zeros except for some (row, column, value)."""
    values = torch.zeros(size, size)
    for row, column, value in cells:
        values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("row", "column", "name"),
    [(0, 0, "upper left"), (0, 3, "upper right"), (3, 0, "lower left"), (3, 3, "lower right")],
)
def test_one_cell_in_a_corner(row, column, name):
    # 1 of 16 cells is 6.25 %
    expected = f"100% of the evidence is in the {name} quarter; half of it lies on 6% of {SEEN}"
    assert describe_evidence(grid(4, (row, column, 2.5))) == expected


def test_share_of_a_quarter():
    values = grid(4, (0, 0, 2), (1, 1, 1), (3, 3, 1))
    assert (
        describe_evidence(values)
        == f"75% of the evidence is in the upper left quarter; half of it lies on 6% of {SEEN}"
    )


def test_uniform():
    assert describe_evidence(torch.ones(4, 4)) == f"the evidence is in all parts; half of it lies on 50% of {SEEN}"


def test_uniform_where_the_borders_cut_cells():
    # 25 of 49 cells hold half of it
    assert describe_evidence(torch.ones(7, 7)) == f"the evidence is in all parts; half of it lies on 51% of {SEEN}"


@pytest.mark.parametrize("values", [-torch.ones(3, 3), torch.zeros(3, 3)])
def test_nothing_positive(values):
    assert describe_evidence(values) == NOTHING


def test_what_speaks_against_the_class_is_left_out():
    values = torch.full((4, 4), -5.0)
    values[3, 0] = 0.1
    assert describe_evidence(values).startswith("100% of the evidence is in the lower left quarter")


def test_cell_on_the_middle_line_counts_half_on_each_side():
    # Of 7 columns the middle one is cut: 1 + 1/2 of 2 in the upper left, 1/2 of 2 in the upper right.
    values = grid(7, (0, 0, 1), (0, 3, 1))
    assert (
        describe_evidence(values)
        == f"75% of the evidence is in the upper left quarter; half of it lies on 2% of {SEEN}"
    )


@pytest.mark.parametrize(
    ("side", "name"),
    [
        ((0, slice(None)), "upper half"),
        ((6, slice(None)), "lower half"),
        ((slice(None), 0), "left half"),
        ((slice(None), 6), "right half"),
    ],
)
def test_one_side_of_the_picture_is_a_half_not_one_of_its_quarters(side, name):
    values = torch.zeros(7, 7)
    values[side] = 1.0
    # 4 of 49 cells are 8.2 %
    assert describe_evidence(values) == f"100% of the evidence is in the {name}; half of it lies on 8% of {SEEN}"


def test_centre_is_the_middle_half_of_rows_and_columns():
    # Of 7 rows it covers 1.75 to 5.25, so a quarter of row 1: 3 + 1/4 of 4.
    values = grid(7, (3, 3, 3), (1, 3, 1))
    assert (
        describe_evidence(values) == f"81% of the evidence is in the central quarter; half of it lies on 2% of {SEEN}"
    )


def test_rows_and_columns_are_counted_apart():
    # 2 of 3 in the left half, 1 in the right, top and bottom alike: of each quarter less than half.
    values = torch.zeros(2, 6)
    values[:, 0] = 2.0
    values[:, 5] = 1.0
    # the two cells of value 2 hold 4 of 6; one alone 2 of 6
    phrase = describe_evidence(values)
    assert phrase == f"67% of the evidence is in the left half; half of it lies on 17% of {SEEN}"


def test_values_may_require_a_gradient_and_be_of_half_precision():
    assert describe_evidence(grid(4, (0, 0, 1)).half().requires_grad_()).startswith(
        "100% of the evidence is in the upper left"
    )
