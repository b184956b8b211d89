"""From rows to cells: means, the two ADCCs, ranks, leads, and what is missing."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers.result_rows import failed_row, frame, measured_rows, metrics_named
from shapleycam.errors import OptionError
from shapleycam.experiments.results import (
    ADCC_OF_MEANS,
    OF_MEANS,
    ResultsSummary,
    columns_of,
    summarise,
    summarise_frames,
    tidy,
)
from shapleycam.experiments.results.statistics import lead

PARTS = ("coherency", "complexity", "average_drop")
KEY = ("resnet18", "before-pool", "rest")


def random_parts(seed: int, images: int, *methods: str) -> dict:
    generator = np.random.default_rng(seed)
    return {method: {part: generator.uniform(0.05, 0.95, images).tolist() for part in PARTS} for method in methods}


def cell(summary: ResultsSummary, method: str, metric: str):
    return summary.by_key[(*KEY, method, metric)]


def summary_of_metric(metric: str, **methods: list) -> ResultsSummary:
    """A summary of one metric, with names whose - is written _."""
    values = {name.replace("_", "-"): {metric: column} for name, column in methods.items()}
    return summarise(frame(*measured_rows(values)), metrics_named(metric))


def test_two_methods_by_hand():
    actual = summary_of_metric("average_drop", gradcam=[0.1, 0.2, 0.6], shapleycam=[0.1, 0.1, 0.1])
    first, second = cell(actual, "gradcam", "average_drop"), cell(actual, "shapleycam", "average_drop")
    assert (first.mean, second.mean) == pytest.approx((0.3, 0.1))
    assert (first.rank, second.rank) == (2, 1)  # a low drop is good
    assert (first.best, first.second, second.best, second.second) == (False, True, True, False)
    assert (first.n, first.undefined) == (3, 0)
    assert (first.low, first.high) == pytest.approx((0.1, 0.6))
    assert (second.low, second.high) == pytest.approx((0.1, 0.1))
    assert (first.lead_significant, first.p) == (None, None)
    assert second.lead_significant is False  # three images are too few
    assert actual.groups[0].images == 3


def test_the_adcc_of_means_is_another_number_than_the_mean_of_the_images():
    values = {
        "gradcam": {
            "coherency": [1.0, 0.5],
            "complexity": [0.25, 0.75],
            "average_drop": [0.0, 0.5],
            "adcc": [0.9, 1.2 / 3.2],
        }
    }
    actual = summarise(frame(*measured_rows(values)), metrics_named(*PARTS, "adcc"))
    assert cell(actual, "gradcam", "adcc").mean == pytest.approx((0.9 + 0.375) / 2)
    # the means are 0.75, 0.5 and 0.25: 3 / (1/0.75 + 1/0.5 + 1/0.75) = 3 / (14/3)
    assert cell(actual, "gradcam", ADCC_OF_MEANS).mean == pytest.approx(9 / 14)
    titles = {column.name: column.title for column in actual.columns}
    assert titles["adcc"] == "ADCC (mean of images)"
    assert titles[ADCC_OF_MEANS] == "ADCC (of means)"
    assert [column.name for column in actual.columns] == [*PARTS, "adcc", ADCC_OF_MEANS]


@pytest.mark.parametrize("part", PARTS)
def test_there_is_no_adcc_of_means_without_its_parts(part):
    rows = frame(*measured_rows(random_parts(0, 4, "gradcam")))
    names = [name for name in PARTS if name != part]
    assert [column.name for column in summarise(rows, metrics_named(*names)).columns] == names


def test_the_adcc_of_means_is_beside_that_of_images_where_its_parts_were_measured():
    values = random_parts(0, 4, "gradcam")
    values["gradcam"]["adcc"] = [0.1, 0.2, 0.3, 0.4]
    rows = frame(*measured_rows(values))
    actual = summarise(rows, metrics_named("adcc"))
    assert [column.name for column in actual.columns] == ["adcc", ADCC_OF_MEANS]
    whole = summarise(rows, metrics_named(*PARTS, "adcc"))
    for each in actual.cells:
        assert (each.mean, each.n) == (whole.by_key[each.key].mean, whole.by_key[each.key].n)
    assert [column.name for column in summarise(rows.drop("complexity"), metrics_named("adcc")).columns] == ["adcc"]


def test_the_adcc_of_means_alone():
    rows = frame(*measured_rows(random_parts(0, 4, "gradcam")))
    actual = summarise(rows, [OF_MEANS])
    assert [column.name for column in actual.columns] == [ADCC_OF_MEANS]
    assert actual.cells[0].mean == summarise(rows, metrics_named(*PARTS)).by_key[actual.cells[0].key].mean
    with pytest.raises(OptionError, match="no column 'complexity'"):
        summarise(rows.drop("complexity"), [OF_MEANS])


def adcc(coherency: float, complexity: float, drop: float, axis: int = 0) -> np.ndarray:
    """Return the ADCC of the means, by scipy's harmonic mean."""
    parts = [coherency.mean(axis), 1 - complexity.mean(axis), 1 - drop.mean(axis)]
    return stats.hmean(np.stack(parts), axis=0)


def test_the_interval_of_the_adcc_of_means_is_scipys():
    values = random_parts(1, 60, "gradcam")
    actual = cell(
        summarise(frame(*measured_rows(values)), metrics_named(*PARTS), resamples=9999), "gradcam", ADCC_OF_MEANS
    )
    data = [np.array(values["gradcam"][part]) for part in PARTS]
    theirs = stats.bootstrap(
        data,
        lambda *each, axis: adcc(*each, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=9999,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert actual.mean == pytest.approx(adcc(*data))
    assert (actual.low, actual.high) == pytest.approx(tuple(theirs), abs=0.004)


def test_the_lead_in_adcc_of_means_is_that_of_resampled_images():
    values = random_parts(2, 80, "gradcam", "shapleycam")
    values["shapleycam"] = {
        part: (0.8 * np.array(values["gradcam"][part]) + 0.2 * np.array(values["shapleycam"][part])).tolist()
        for part in PARTS
    }
    actual = summarise(frame(*measured_rows(values)), metrics_named(*PARTS), resamples=4999)
    gradcam_parts, shapleycam_parts = (
        [np.array(values[method][part]) for part in PARTS] for method in ("gradcam", "shapleycam")
    )
    draws = np.random.default_rng(5).integers(80, size=(4999, 80))
    differences = adcc(*(part[draws] for part in gradcam_parts), axis=1) - adcc(
        *(part[draws] for part in shapleycam_parts), axis=1
    )
    p = 2 * min((differences <= 0).mean(), (differences >= 0).mean())
    best = max((cell(actual, method, ADCC_OF_MEANS) for method in values), key=lambda each: each.mean)
    assert best.best
    assert best.p == pytest.approx(p, abs=0.03)
    assert 0.05 < p < 1  # so that the agreement says something


@pytest.mark.parametrize("gaps", [(), (3, 20)])
def test_the_lead_of_a_metric_is_that_of_its_two_methods_alone(gaps):
    generator = np.random.default_rng(11)
    worse = generator.normal(0.5, 0.1, 60)
    better = worse + generator.normal(0.01, 0.04, 60)
    better[list(gaps[:1])], worse[list(gaps[1:])] = math.nan, math.nan
    actual = summary_of_metric("coherency", gradcam=better.tolist(), layercam=worse.tolist())
    expected = lead(better, worse)
    best = cell(actual, "gradcam", "coherency")
    assert (best.p, best.lead_significant) == (pytest.approx(expected.p), expected.significant)
    assert 2 / 1001 < expected.p < 1  # so that the agreement says something


def test_the_cost_of_a_zero_part_is_a_zero_adcc():
    values = {"gradcam": {"coherency": [0.5, 0.5], "complexity": [0.5, 0.5], "average_drop": [1.0, 1.0]}}
    actual = cell(summarise(frame(*measured_rows(values)), metrics_named(*PARTS)), "gradcam", ADCC_OF_MEANS)
    assert (actual.mean, actual.low, actual.high) == (0, 0, 0)


def test_undefined_values_are_out_of_the_mean_and_counted():
    actual = summary_of_metric("average_drop", gradcam=[0.2, math.nan, math.nan, 0.4], hirescam=[0.1, 0.1, 0.1, 0.1])
    gradcam = cell(actual, "gradcam", "average_drop")
    assert (gradcam.mean, gradcam.n, gradcam.undefined) == (pytest.approx(0.3), 2, 2)
    assert cell(actual, "hirescam", "average_drop").undefined == 0


def test_what_was_not_measured_is_out_of_the_mean_and_not_counted_as_undefined():
    actual = summary_of_metric("average_drop", gradcam=[0.2, None, math.nan, 0.4], hirescam=[None] * 4)
    gradcam, hirescam = cell(actual, "gradcam", "average_drop"), cell(actual, "hirescam", "average_drop")
    assert (gradcam.mean, gradcam.n, gradcam.undefined) == (pytest.approx(0.3), 2, 1)
    assert math.isnan(hirescam.mean)
    assert (hirescam.n, hirescam.undefined, hirescam.measured) == (0, 0, False)


def test_the_adcc_of_means_is_not_measured_where_one_of_its_parts_is_not():
    values = random_parts(3, 6, "gradcam", "hirescam")
    values["hirescam"]["complexity"] = [None] * 6
    values["gradcam"]["average_drop"][2:4] = [math.nan, None]
    actual = summarise(frame(*measured_rows(values)), metrics_named(*PARTS))
    gradcam_cell, hirescam_cell = cell(actual, "gradcam", ADCC_OF_MEANS), cell(actual, "hirescam", ADCC_OF_MEANS)
    assert (gradcam_cell.n, gradcam_cell.undefined) == (4, 1)
    assert (hirescam_cell.n, hirescam_cell.undefined, hirescam_cell.measured) == (0, 0, False)
    assert math.isnan(hirescam_cell.mean)


def test_an_image_without_drop_is_undefined_for_the_adcc_of_means_and_in_the_other_means():
    values = random_parts(3, 10, "gradcam")
    values["gradcam"]["average_drop"][4] = math.nan
    actual = cell(summarise(frame(*measured_rows(values)), metrics_named(*PARTS)), "gradcam", ADCC_OF_MEANS)
    part_values = [np.array(values["gradcam"][part]) for part in PARTS]
    assert (actual.n, actual.undefined) == (9, 1)
    assert actual.mean == pytest.approx(
        stats.hmean([part_values[0].mean(), 1 - part_values[1].mean(), 1 - np.nanmean(part_values[2])])
    )


def test_a_metric_without_any_value_has_no_mean_no_rank_and_no_lead():
    actual = summary_of_metric("shapley_error", gradcam=[0.5, 0.7], gradcampp=[math.nan, math.nan])
    undefined_cell, defined_cell = cell(actual, "gradcampp", "shapley_error"), cell(actual, "gradcam", "shapley_error")
    assert math.isnan(undefined_cell.mean)
    assert math.isnan(undefined_cell.rank)
    assert (undefined_cell.n, undefined_cell.undefined, undefined_cell.best) == (0, 2, False)
    assert (defined_cell.rank, defined_cell.best, defined_cell.lead_significant) == (1, True, None)


def test_a_row_that_is_not_there_is_not_counted_as_undefined():
    rows = frame(*measured_rows({"gradcam": {"coherency": [0.1, 0.2, 0.6]}, "hirescam": {"coherency": [0.3, 0.4]}}))
    actual = cell(summarise(rows, metrics_named("coherency")), "hirescam", "coherency")
    assert (actual.mean, actual.n, actual.undefined) == (pytest.approx(0.35), 2, 0)


def test_methods_that_are_one_share_the_first_place_and_lead_the_next():
    generator = np.random.default_rng(4)
    base = generator.uniform(0.4, 0.6, 50)
    actual = summary_of_metric(
        "coherency", gradcam=(base + 0.2).tolist(), hirescam=(base + 0.2).tolist(), layercam=base.tolist()
    )
    first, same, next_ = (cell(actual, method, "coherency") for method in ("gradcam", "hirescam", "layercam"))
    assert (first.best, same.best, next_.second) == (True, True, True)
    assert (first.rank, same.rank, next_.rank) == (1.5, 1.5, 3)
    assert (first.lead_significant, same.lead_significant, next_.lead_significant) == (True, True, None)


def test_where_all_are_one_nobody_leads():
    column = np.random.default_rng(5).uniform(size=100).tolist()
    actual = summary_of_metric("coherency", gradcam=column, hirescam=column)
    assert [(each.best, each.second, each.lead_significant, each.p) for each in actual.cells] == [
        (True, False, False, 1.0)
    ] * 2


@pytest.mark.parametrize(("metric", "best"), [("coherency", "gradcam"), ("average_drop", "layercam")])
def test_a_clear_lead_is_significant_in_the_metrics_direction(metric, best):
    base = np.random.default_rng(6).uniform(0.2, 0.8, 100)
    actual = summary_of_metric(metric, gradcam=(base + 0.1).tolist(), layercam=base.tolist())
    assert cell(actual, best, metric).lead_significant
    assert cell(actual, best, metric).p < 0.01


def test_the_order_of_rows_changes_nothing():
    rows = [
        row
        for model in ("vgg16", "own")
        for row in measured_rows(random_parts(7, 25, "gradcam", "layercam", "mine"), model)
    ]
    rows += [
        failed_row(30, "error", "broken"),
        failed_row(31, "left out", "no label"),
        failed_row(30, "error", "broken", "own"),
    ]
    rows[3]["average_drop"] = None
    expected = summarise(frame(*rows), metrics_named(*PARTS))
    for seed in range(3):
        shuffled = summarise(frame(*rows).sample(fraction=1, shuffle=True, seed=seed), metrics_named(*PARTS))
        assert repr(shuffled) == repr(expected)


def test_the_same_rows_give_the_same_figures_and_the_seed_decides():
    rows = frame(*measured_rows(random_parts(8, 30, "gradcam", "layercam")))
    expected = tidy(summarise(rows, metrics_named(*PARTS)))
    assert tidy(summarise(rows, metrics_named(*PARTS))) == expected
    assert tidy(summarise(rows, metrics_named(*PARTS), seed=1)) != expected


def test_each_model_layer_and_utility_is_by_itself():
    parts = [random_parts(seed, 12, "gradcam", "layercam") for seed in range(4)]
    places = [
        ("vgg16", "before-pool", "rest"),
        ("vgg16", "bn2", "rest"),
        ("vgg16", "bn2", "logit"),
        ("a", "bn2", "rest"),
    ]
    rows = [measured_rows(values, *place) for values, place in zip(parts, places, strict=True)]
    whole = summarise(frame(*(row for each in rows for row in each)), metrics_named(*PARTS))
    assert len(whole.cells) == 4 * 2 * 4
    for each in rows:
        for alone in summarise(frame(*each), metrics_named(*PARTS)).cells:
            together = whole.by_key[alone.key]
            assert (together.mean, together.low, together.high) == pytest.approx((alone.mean, alone.low, alone.high))
            assert (together.rank, together.best) == (alone.rank, alone.best)


def test_errors_and_left_out_images_are_kept_with_their_reasons():
    rows = measured_rows(random_parts(9, 3, "gradcam"))
    rows += [
        failed_row(7, "error", "cannot\n  read it"),
        failed_row(8, "left out", "it has no label"),
        failed_row(9, "error", None, "other"),
    ]
    actual = summarise(frame(*rows), metrics_named(*PARTS))
    assert [(failed_image.model, failed_image.image, failed_image.message) for failed_image in actual.errors] == [
        ("other", "9.jpg", ""),
        ("resnet18", "7.jpg", "cannot read it"),
    ]
    assert [(failed_image.index, failed_image.image, failed_image.message) for failed_image in actual.left_out] == [
        (8, "8.jpg", "it has no label")
    ]
    assert actual.groups[0].images == 3


def test_tables_are_in_the_order_of_the_tables_of_methods_and_networks():
    rows = [
        row
        for model in ("zoo", "vgg16", "resnet18")
        for row in measured_rows(random_parts(0, 2, "mine", "layercam", "gradcam"), model)
    ]
    actual = summarise(frame(*rows), metrics_named(*PARTS))
    assert list(dict.fromkeys(each.model for each in actual.cells)) == ["resnet18", "vgg16", "zoo"]
    assert list(dict.fromkeys(each.method for each in actual.cells)) == ["gradcam", "layercam", "mine"]


def test_a_result_that_is_there_twice_is_refused():
    rows = measured_rows(random_parts(0, 3, "gradcam"))
    with pytest.raises(OptionError, match=r"4 results of resnet18 at before-pool are of 3 images and methods.*once"):
        summarise(frame(*rows, rows[0]), metrics_named(*PARTS))


def test_a_column_that_is_missing_is_named():
    with pytest.raises(OptionError, match="no column 'insertion'"):
        summarise(frame(*measured_rows(random_parts(0, 3, "gradcam"))), metrics_named("insertion"))


@pytest.mark.parametrize(
    ("rows", "expected_message"),
    [
        (
            [
                failed_row(0, "error", "no such file"),
                failed_row(1, "error", "x"),
                failed_row(1, "error", "x", layer="last-conv"),
            ],
            r"2 could not be measured \(the first, 0.jpg: no such file\); expected one",
        ),
        (
            [failed_row(4, "left out", "it has no label")],
            r"1 left out by the class rule \(the first, 4.jpg: it has no",
        ),
        (
            [failed_row(0, "error", "x"), failed_row(1, "left out", "y")],
            r"1 could not be measured .* 1 left out .*into another",
        ),
    ],
)
def test_images_without_any_result_are_counted_and_the_reason_said(rows, expected_message):
    with pytest.raises(OptionError, match=f"^no image has a result: {expected_message}"):
        summarise(frame(*rows).with_columns(coherency=pl.lit(None)), metrics_named("coherency"))


def test_no_rows_at_all_are_a_run_that_has_not_begun():
    with pytest.raises(OptionError, match=r"^no image was measured yet.*evaluate first"):
        summarise(
            frame(failed_row(0, "error", "x")).with_columns(coherency=pl.lit(None)).clear(), metrics_named("coherency")
        )


def test_rows_in_frames_by_model_give_the_same_to_the_last_bit():
    rows = [
        row
        for layer in ("last-conv", "before-pool")
        for model in ("own", "vgg16", "resnet18")
        for row in measured_rows(random_parts(7, 25, "gradcam", "layercam"), model, layer)
    ]
    rows += [failed_row(30, "error", "broken", model) for model in ("vgg16", "own")]
    whole = frame(*rows)
    text = pl.col(pl.String).cast(pl.Categorical)
    frames = [part.with_columns(text) for part in whole.partition_by("model", maintain_order=True)]
    assert repr(summarise_frames(frames, columns_of(metrics_named(*PARTS), PARTS))) == repr(
        summarise(whole, metrics_named(*PARTS))
    )


def test_results_without_metrics_are_refused():
    with pytest.raises(OptionError, match="no metrics"):
        summarise(frame(*measured_rows(random_parts(0, 3, "gradcam"))), [])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(0.001, 0.5), better=st.sampled_from(["coherency", "average_drop"]))
@pytest.mark.slow
def test_a_method_that_gets_better_everywhere_does_not_rank_worse(seed, shift, better):
    values = np.random.default_rng(seed).uniform(size=(3, 8))
    sign = 1 if better == "coherency" else -1
    before, after = (
        cell(
            summary_of_metric(
                better, gradcam=(values[0] + moved).tolist(), layercam=values[1].tolist(), hirescam=values[2].tolist()
            ),
            "gradcam",
            better,
        )
        for moved in (0, sign * shift)
    )
    assert after.mean - before.mean == pytest.approx(sign * shift)
    assert after.low - before.low == pytest.approx(sign * shift)
    assert after.rank <= before.rank
    assert after.best or not before.best
