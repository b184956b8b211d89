"""MaxBoxAcc in tables: one threshold for all images, by pencil, and in the table of a run."""

from __future__ import annotations

from math import nan

import pytest

from helpers.result_rows import frame, measured_rows, metrics_named
from helpers.small_evaluations import QUICK, run_evaluation
from shapleycam.experiments.datasets.annotations.opening import open_annotations
from shapleycam.experiments.merging import summarise_runs
from shapleycam.experiments.results import box_hits, columns_of, summarise
from shapleycam.metrics.boxes import THRESHOLDS


def curve(**at: float) -> list[float]:
    """Return a list of overlaps that are 0 but at some positions."""
    overlaps = [0.0] * THRESHOLDS
    for position, overlap in at.items():
        overlaps[int(position[1:])] = overlap
    return overlaps


def figures_of(*curves: list[float | None] | None) -> dict[str, tuple[float, int, int]]:
    """Return mean, n and undefined of each column, of images with these lists of both kinds."""
    best = [None if overlaps is None else max(overlaps) for overlaps in curves]
    columns = {"best_box_iou": best, "box_iou_curve": list(curves)}
    columns |= {"best_any_box_iou": best, "any_box_iou_curve": list(curves)}
    rows = frame(*measured_rows({"gradcam": columns}))
    summary = summarise(rows, metrics_named("best_box_iou", "best_any_box_iou"), resamples=10)
    return {cell.metric: (cell.mean, cell.n, cell.undefined) for cell in summary.cells}


def test_the_lists_have_the_length_that_the_metric_gives_them():
    assert len(box_hits.MAX_BOX_PARTS) == THRESHOLDS
    assert len(box_hits.MAX_BOX_V2_PARTS) == 3 * THRESHOLDS


def test_one_threshold_for_all_images():
    # Each has a threshold of its own at which it fits; two of three fit at the 7th, of which one by a half only.
    figures = figures_of(curve(p3=0.9, p7=0.4), curve(p7=0.5), curve(p7=0.8))
    assert figures["max_box_accuracy"] == (pytest.approx(2 / 3), 3, 0)
    assert figures["best_box_iou"] == (pytest.approx((0.9 + 0.5 + 0.8) / 3), 3, 0)
    # At 0.3 all fit at the 7th; at 0.5 two; at 0.7 one, there or at the 3rd.
    assert figures["max_box_accuracy_v2"] == (pytest.approx((1 + 2 / 3 + 1 / 3) / 3), 3, 0)


def test_images_without_objects_or_without_a_measurement_are_not_counted():
    figures = figures_of(curve(p3=0.9), [nan] * THRESHOLDS, None)
    assert figures["max_box_accuracy"] == (1, 1, 1)


def test_the_list_is_asked_for():
    columns = columns_of(metrics_named("best_box_iou"), ["best_box_iou", "complexity"])
    assert [column.name for column in columns] == ["best_box_iou"]


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
def test_in_the_table_of_a_run(shots, tmp_path):
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for photo in sorted(shots.glob("*.jpg"))[:2]:
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9999</xmax><ymax>9999</ymax></bndbox>"
        (boxes / f"{photo.stem}.xml").write_text(f"<annotation><object><name>x</name>{box}</object></annotation>")
    names = ("best_box_iou", "relevance_mass")
    protocol = type(QUICK)(layers=QUICK.layers, methods=("gradcam",), metrics=names, objects="any")
    annotations = open_annotations(boxes)
    store = run_evaluation(shots, tmp_path / "run", protocol=protocol, limit=2, annotations=annotations)
    for chosen in (None, ["max_box_accuracy", "relevance_mass"]):
        cells = {cell.metric: cell.mean for cell in summarise_runs([store], chosen).cells}
        assert cells["max_box_accuracy"] == 1  # the photograph is the object
        assert cells["relevance_mass"] == pytest.approx(1)
    assert store.rows()["box_iou_curve"].list.len().to_list() == [THRESHOLDS] * 2
