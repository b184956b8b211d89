"""The images on which methods differ most, by hand."""

from __future__ import annotations

import math

import polars as pl
import pytest

from helpers.result_rows import failed_row, frame, measured_rows
from shapleycam.errors import OptionError
from shapleycam.experiments.results import Disagreement, find_disagreements

HERE = {"model": "resnet18", "layer": "before-pool", "utility": "rest"}


def frame_of_metric(metric: str, **methods: list) -> pl.DataFrame:
    return frame(*measured_rows({name.replace("_", "-"): {metric: column} for name, column in methods.items()}))


def images_and_methods(actual: list[Disagreement]) -> list[tuple[int, str, str]]:
    return [(disagreement.index, disagreement.best, disagreement.worst) for disagreement in actual]


def test_by_hand_where_high_is_good():
    rows = frame_of_metric(
        "coherency", gradcam=[0.5, 0.75, 0.5], layercam=[0.25, 0.25, 0.5], shapleycam=[0.375, 0.0, 0.625]
    )
    assert find_disagreements(rows, "coherency", **HERE) == [
        Disagreement(1, "1.jpg", "resnet18", "gradcam", 0.75, "shapleycam", 0.0, 0.75),
        Disagreement(0, "0.jpg", "resnet18", "gradcam", 0.5, "layercam", 0.25, 0.25),
        Disagreement(2, "2.jpg", "resnet18", "shapleycam", 0.625, "gradcam", 0.5, 0.125),
    ]


def test_where_low_is_good_best_is_the_lowest():
    rows = frame_of_metric("average_drop", gradcam=[0.5], shapleycam=[0.25])
    assert find_disagreements(rows, "average_drop", **HERE) == [
        Disagreement(0, "0.jpg", "resnet18", "shapleycam", 0.25, "gradcam", 0.5, 0.25)
    ]


def test_the_first_so_many_and_of_equal_spreads_the_first_image():
    rows = frame_of_metric("coherency", gradcam=[0.5, 0.5, 1.0, 0.25], layercam=[0.25, 0.25, 0.25, 0.25])
    assert [disagreement.index for disagreement in find_disagreements(rows, "coherency", **HERE, count=2)] == [2, 0]


def test_random_weights_are_compared_only_where_they_are_asked_for():
    rows = frame_of_metric("coherency", gradcam=[0.5], layercam=[0.75], randomcam=[0.0])
    assert images_and_methods(find_disagreements(rows, "coherency", **HERE)) == [(0, "layercam", "gradcam")]
    requested = find_disagreements(rows, "coherency", **HERE, methods=["gradcam", "randomcam"])
    assert images_and_methods(requested) == [(0, "gradcam", "randomcam")]


def test_a_method_of_ones_own_is_compared():
    rows = frame_of_metric("coherency", gradcam=[0.5], mycam=[0.75])
    assert images_and_methods(find_disagreements(rows, "coherency", **HERE)) == [(0, "mycam", "gradcam")]


def test_images_with_fewer_than_two_values_or_all_the_same_are_left_out():
    rows = frame_of_metric("coherency", gradcam=[0.5, None, math.nan, 0.5], layercam=[0.25, 0.5, 0.5, 0.5])
    rows = pl.concat([rows, frame(failed_row(9, "error", "damaged"))], how="diagonal")
    assert images_and_methods(find_disagreements(rows, "coherency", **HERE)) == [(0, "gradcam", "layercam")]


def test_methods_that_share_a_value_are_named_in_the_order_of_tables():
    rows = frame_of_metric("coherency", shapleycam=[0.5], layercam=[0.25], gradcam=[0.5], gradcam_e=[0.25])
    assert images_and_methods(find_disagreements(rows, "coherency", **HERE)) == [(0, "gradcam", "gradcam-e")]


def test_other_models_layers_and_utilities_are_not_looked_at():
    first_values, other_values = {"gradcam": {"coherency": [0.5]}}, {"layercam": {"coherency": [0.0]}}
    elsewhere = [
        measured_rows(other_values, **change)
        for change in ({"model": "vgg16"}, {"layer": "last-conv"}, {"utility": "logit"})
    ]
    rows = frame(*measured_rows(first_values), *(row for rows in elsewhere for row in rows))
    assert find_disagreements(rows, "coherency", **HERE) == []


def test_categorical_text_as_a_store_gives_it():
    rows = frame_of_metric("coherency", gradcam=[0.5], layercam=[0.25]).with_columns(
        pl.col(pl.String).cast(pl.Categorical)
    )
    assert images_and_methods(find_disagreements(rows, "coherency", **HERE)) == [(0, "gradcam", "layercam")]


@pytest.mark.parametrize(
    ("change", "expected_message"),
    [
        ({"metric": "coherence"}, "did you mean 'coherency'"),
        ({"metric": "complexity"}, "no column 'complexity'"),
        ({"layer": "last-conv"}, "expected one of: resnet18, before-pool, rest"),
        ({"methods": ["gradcan"]}, "did you mean 'gradcam'"),
    ],
)
def test_what_is_not_there_is_refused(change, expected_message):
    rows = frame_of_metric("coherency", gradcam=[0.5], layercam=[0.25])
    with pytest.raises(OptionError, match=expected_message):
        find_disagreements(rows, **{"metric": "coherency", **HERE, **change})
