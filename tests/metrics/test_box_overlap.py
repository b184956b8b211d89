"""Boxes around the strong parts of a map, by pencil and against an own search for connected parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shapleycam.metrics.boxes import THRESHOLDS, iou_curves


def map_of(*rows: str) -> torch.Tensor:
    """Return a map (1, h, w) of digits, in tenths."""
    return torch.tensor([[[int(digit) / 10 for digit in row] for row in rows]])


def objects_of(*pictures: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([[[[pixel == "#" for pixel in row] for row in rows] for rows in pictures]])


def at(curve: torch.Tensor, threshold: float) -> float:
    """Return the value at the first cut that is not below a threshold."""
    return float(curve[0, round(threshold * THRESHOLDS)])


TWO_PARTS = map_of("99000", "99008", "99008", "00000")


def test_the_largest_part_is_not_the_strongest_nor_the_one_that_fits():
    on_the_right = objects_of(("-----", "----#", "----#", "----#"))
    curves = iou_curves(TWO_PARTS, on_the_right)
    assert at(curves.largest, 0.5) == 0  # the six pixels on the left
    assert at(curves.best, 0.5) == pytest.approx(2 / 3)  # two of three rows
    assert at(curves.best, 0.98) == 0  # of 0.9: only the left is above


def test_of_several_objects_the_one_that_fits_best_counts():
    left, all_of_it = ("##---", "##---", "##---", "-----"), ("#####",) * 4
    assert at(iou_curves(TWO_PARTS, objects_of(left, all_of_it)).largest, 0.5) == 1
    assert at(iou_curves(TWO_PARTS, objects_of(all_of_it)).largest, 0.5) == pytest.approx(6 / 20)


def test_an_object_mask_counts_by_its_box():
    corner_to_corner = objects_of(("#----", "-#---", "-----", "-----"))
    assert at(iou_curves(TWO_PARTS, corner_to_corner).largest, 0.5) == pytest.approx(4 / 6)


def test_pixels_that_touch_at_a_corner_are_one_part():
    diagonal = map_of("900", "090", "009")
    assert at(iou_curves(diagonal, objects_of(("###",) * 3)).largest, 0.5) == 1


def test_a_blank_map_has_no_box_and_an_image_without_object_no_overlap():
    blank = torch.zeros(1, 4, 5)
    assert (iou_curves(blank, objects_of(("#----",) * 4)).largest == 0).all()
    for masks in (objects_of(("-----",) * 4), torch.zeros(1, 0, 4, 5, dtype=torch.bool)):
        assert iou_curves(TWO_PARTS, masks).largest.isnan().all()
        assert iou_curves(TWO_PARTS, masks).best.isnan().all()


def parts_of(above: np.ndarray) -> list[set[tuple[int, int]]]:
    """Return the connected parts by walking from pixel to pixel."""
    left, parts = {tuple(place) for place in np.argwhere(above).tolist()}, []
    while left:
        part, frontier = set(), [left.pop()]
        while frontier:
            row, column = frontier.pop()
            part.add((row, column))
            near = {(row + down, column + along) for down in (-1, 0, 1) for along in (-1, 0, 1)} & left
            left -= near
            frontier += near
        parts.append(part)
    return parts


def filled(part: set[tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    """Return the box of a part as a picture."""
    rows, columns = ([place[axis] for place in part] for axis in (0, 1))
    picture = np.zeros(shape, dtype=bool)
    picture[min(rows) : max(rows) + 1, min(columns) : max(columns) + 1] = True
    return picture


@pytest.mark.parametrize("seed", range(4))
def test_against_boxes_that_are_drawn_and_counted(seed):
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.nn.functional.interpolate(
        torch.rand(1, 1, 5, 6, generator=generator), (15, 18), mode="bilinear"
    ).double()[0]
    masks = torch.zeros(1, 2, 15, 18, dtype=torch.bool)
    masks[0, 0, 2:9, 3:8], masks[0, 1, 7:14, 6:16] = True, True
    curves = iou_curves(heatmap, masks)
    for step in range(0, THRESHOLDS, 5):
        parts = parts_of(heatmap[0].numpy() > step / THRESHOLDS * float(heatmap.max()))
        overlaps = [
            max((box & mask).sum() / (box | mask).sum() for mask in masks[0].numpy())
            for box in (filled(part, (15, 18)) for part in parts)
        ]
        assert float(curves.best[0, step]) == pytest.approx(max(overlaps))
        sizes = [len(part) for part in parts]
        largest = [fit for fit, size in zip(overlaps, sizes, strict=True) if size == max(sizes)]
        assert float(curves.largest[0, step]) == pytest.approx(largest[0] if len(largest) == 1 else max(largest))
