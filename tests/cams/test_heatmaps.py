"""From signed values to heatmaps: by pencil, and against a second implementation in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn.functional import interpolate

from shapleycam.cams.heatmaps import heatmap, is_blank, min_max, resize

SIDES = st.integers(1, 6)
VALUES = arrays(np.float32, st.tuples(SIDES, SIDES), elements=st.floats(-100, 100, width=32))
SIZES = st.tuples(st.integers(1, 17), st.integers(1, 17))
quick = settings(max_examples=60, deadline=None)


def scale(x: np.ndarray) -> np.ndarray:
    """Return min-max by the paper's formula, of values whose unit is their own size."""
    unit = np.abs(x).max() or 1
    return (x - x.min()) / unit / (1e-7 + (x - x.min()).max() / unit)


def stretch(x: np.ndarray, count: int) -> np.ndarray:
    """Rows resampled linearly at the centres of `count` equal cells, constant beyond the outer centres."""
    places = (np.arange(count) + 0.5) * len(x) / count - 0.5
    return np.stack([np.interp(places, np.arange(len(x)), column) for column in x.T], 1)


def heatmap_by_numpy(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The paper's scaling in float64: ReLU, min-max, bilinear by two passes of np.interp, min-max."""
    positive = scale(np.maximum(values.astype(np.float64), 0))
    return scale(stretch(stretch(positive, size[0]).T, size[1]).T)


def heatmap_of(values: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    return heatmap(torch.from_numpy(values)[None], size)[0]


# Against PyTorch's interpolation


@pytest.mark.parametrize(
    ("grid", "size"),
    [((7, 7), (224, 224)), ((5, 9), (64, 30)), ((14, 14), (7, 5)), ((1, 1), (4, 3)), ((3, 4, 5), (8, 20, 33))],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resizing_is_linear_interpolation(grid, size, dtype):
    values = torch.randn(3, *grid, generator=torch.Generator().manual_seed(0), dtype=dtype)
    mode = "trilinear" if len(size) == 3 else "bilinear"
    expected = interpolate(values[:, None].double(), size=size, mode=mode, align_corners=False)[:, 0]
    resized = resize(values, size)
    assert resized.dtype == dtype
    assert resized.is_contiguous()
    limit = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(resized.double(), expected, rtol=0, atol=limit)


def test_resizing_keeps_its_digits_whatever_matrix_products_are_allowed():
    values = torch.randn(2, 7, 7, generator=torch.Generator().manual_seed(0))
    expected, before = resize(values, (32, 32)), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(resize(values, (32, 32)), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


# By pencil


def test_two_by_two_values_on_four_by_four_pixels():
    values = np.array([[-7, 1], [-3, 2]], np.float32)  # without the negative ones and scaled: 0 1/2, 0 1
    along = np.array([0, 0.25, 0.75, 1])  # half a cell inside the outer pixels
    expected = np.outer(0.5 + 0.5 * along, along)
    assert np.allclose(heatmap_of(values, (4, 4)), expected, atol=1e-6)


def test_at_its_own_size_a_map_is_only_scaled():
    values = np.array([[4, -1, 1], [0, 2, 3]], np.float32)
    assert np.allclose(heatmap_of(values, (2, 3)), np.array([[1, 0, 0.25], [0, 0.5, 0.75]]), atol=1e-6)


def test_a_map_of_positive_values_begins_at_its_smallest():
    assert np.allclose(heatmap_of(np.array([[2, 4], [3, 4]], np.float32), (2, 2)), [[0, 1], [0.5, 1]], atol=1e-6)


def test_height_comes_before_width():
    assert heatmap(torch.rand(2, 3, 5), (8, 13)).shape == (2, 8, 13)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_a_map_without_differences_is_blank(value):
    maps = heatmap(torch.full((1, 3, 3), value), (6, 6))
    assert torch.equal(maps, torch.zeros(1, 6, 6))
    assert is_blank(maps).tolist() == [True]


def test_blank_maps_are_told_one_by_one():
    values = torch.stack([torch.zeros(2, 2), torch.tensor([[0.0, 1], [0, 0]]), -torch.ones(2, 2)])
    assert is_blank(heatmap(values, (4, 4))).tolist() == [True, False, True]


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e-7, 1e12])
def test_the_unit_of_the_values_makes_no_difference(unit):
    values = torch.tensor([[[-8.0, 0.0, 1.0], [2.0, 4.0, 3.0]]])
    expected = torch.tensor([[[0.0, 0.0, 0.25], [0.5, 1.0, 0.75]]])
    torch.testing.assert_close(heatmap(unit * values, (2, 3)), expected, rtol=0, atol=1e-6)
    signed = (values + 8) / 12
    torch.testing.assert_close(min_max(unit * values), signed, rtol=0, atol=1e-6)


# Against the second implementation


@quick
@given(VALUES, SIZES)
def test_agrees_with_numpy(values, size):
    positive = scale(np.maximum(values.astype(np.float64), 0))
    resized = stretch(stretch(positive, size[0]).T, size[1]).T
    # A range of float32's rounding errors (two columns averaged to one, say) is stretched to [0, 1] as any other.
    assume(np.ptp(resized) > 1e-2)
    assert np.allclose(heatmap_of(values, size), heatmap_by_numpy(values, size), atol=2e-5)


@quick
@given(VALUES)
def test_min_max_agrees_with_numpy(values):
    assert np.allclose(min_max(torch.from_numpy(values)[None])[0], scale(values.astype(np.float64)), atol=1e-5)


# What holds for every map


@quick
@given(VALUES, SIZES)
def test_lies_in_the_unit_interval(values, size):
    heat = heatmap_of(values, size)
    assert float(heat.min()) >= 0
    assert float(heat.max()) <= 1


@quick
@given(VALUES, SIZES)
def test_negative_values_do_not_show(values, size):
    assert torch.equal(heatmap_of(values, size), heatmap_of(np.maximum(values, 0), size))


@quick
@given(VALUES, SIZES)
def test_the_mirror_image_of_the_values_gives_that_of_the_map(values, size):
    positive = scale(np.maximum(values.astype(np.float64), 0))
    assume(np.ptp(stretch(stretch(positive, size[0]).T, size[1])) > 1e-2)  # as above: no range of rounding errors
    assert torch.allclose(heatmap_of(values[:, ::-1].copy(), size), heatmap_of(values, size).flip(1), atol=1e-5)
    assert torch.allclose(heatmap_of(values.T.copy(), size[::-1]), heatmap_of(values, size).T, atol=1e-5)


@quick
@given(VALUES, VALUES, SIZES)
def test_batch_mates_do_not_show(values, other_values, size):
    mate = np.resize(other_values, values.shape)
    both = heatmap(torch.from_numpy(np.stack([values, mate])), size)
    assert torch.equal(both[0], heatmap_of(values, size))


@quick
@given(VALUES, st.floats(1, 1000))
def test_the_unit_of_the_utility_does_not_show(values, factor):
    values[0, 0] = 10  # so that the constant of the scaling is small beside the range
    values[-1, -1] = 0
    assert np.allclose(heatmap_of(values * np.float32(factor), (9, 9)), heatmap_of(values, (9, 9)), atol=1e-5)
