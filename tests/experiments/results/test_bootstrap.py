"""Means, intervals and leads: by hand, by scipy, and by how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shapleycam.experiments.results import Cell, Column, ResultGroup, ResultsSummary, resampling
from shapleycam.experiments.results.notes import notes_of
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.results.statistics import (
    column_means,
    estimates,
    harmonic_mean,
    lead,
    lead_from_resamples,
    pair_values,
    single_mean,
)
from shapleycam.metrics import METRICS


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_three_images_by_hand():
    (actual,) = estimates(np.array([[0.0], [0.0], [3.0]]), resamples=20_000)
    assert actual.mean == 1
    assert (actual.n, actual.undefined) == (3, 0)
    # the resampled mean is the number of draws of the third image: 0 with (2/3)³ = 0.30, 3 with (1/3)³ = 0.037 > 2.5%
    assert (actual.low, actual.high) == (0, 3)


def test_each_draw_of_three_images_is_as_likely_as_it_should_be():
    drawn = Resampler(resamples=20_000).means(np.array([[0.0], [0.0], [3.0]]))[:, 0]
    share = [np.isclose(drawn, value).mean() for value in (0, 1, 2, 3)]
    assert share == pytest.approx([8 / 27, 12 / 27, 6 / 27, 1 / 27], abs=0.015)


def test_the_interval_is_scipys():
    values = np.random.default_rng(1).exponential(size=(80, 1))
    (actual,) = estimates(values, resamples=9999)
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert (actual.low, actual.high) == pytest.approx(tuple(theirs), abs=0.02)
    assert actual.high - actual.low > 0.2  # so that 0.02 tells intervals apart


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator, trials, held = np.random.default_rng(3), 300, 0
    for seed in range(trials):
        (actual,) = estimates(generator.exponential(size=(150, 1)), resamples=500, seed=seed)
        held += actual.low <= 1 <= actual.high
    assert stats.binomtest(held, trials, 0.94).pvalue > 0.001  # the percentile interval of a skewed mean is a bit short


def test_undefined_values_are_out_of_the_mean_and_counted():
    actual = estimates(np.array([[1.0, math.nan], [math.nan, math.nan], [3.0, 5.0], [math.inf, math.nan]]))
    assert [(estimate.mean, estimate.n, estimate.undefined) for estimate in actual] == [(2, 2, 2), (5, 1, 3)]
    assert 1 <= actual[0].low <= 2 <= actual[0].high <= 3
    assert math.isnan(actual[1].low)
    assert math.isnan(actual[1].high)


def test_what_is_undefined_everywhere_has_no_mean():
    (actual,) = estimates(np.full((3, 1), math.nan))
    assert math.isnan(actual.mean)
    assert math.isnan(actual.low)
    assert (actual.n, actual.undefined) == (0, 3)


def test_undefined_images_are_as_if_they_were_not_there():
    values = normal(4, 60)
    with_gaps = np.concatenate([values, np.full(20, math.nan)])
    (short,), (long,) = estimates(values[:, None], 9999), estimates(with_gaps[:, None], 9999, seed=1)
    assert long.mean == pytest.approx(short.mean, abs=1e-12)
    assert (long.low, long.high) == pytest.approx((short.low, short.high), abs=0.03)


def test_all_columns_see_the_same_draws():
    values = normal(5, 40, 1)
    drawn = Resampler().means(np.hstack([values, 2 * values + 1, values]))
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0] + 1, abs=1e-12)
    assert drawn[:, 2] == pytest.approx(drawn[:, 0], abs=1e-12)


def test_tables_together_are_as_each_alone():
    tables = [normal(6, 30, 2, 3), normal(7, 30, 4)]
    tables[1][3, 2] = math.nan
    for actual, table in zip(Resampler(50, 9).means_of_tables(tables), tables, strict=True):
        assert actual.shape == (50, *table.shape[1:])
        assert actual == pytest.approx(Resampler(50, 9).means(table), abs=1e-12)


def test_the_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    values = normal(8, 37, 2)
    whole = Resampler(100).means(values)
    monkeypatch.setattr(resampling, "_BLOCK_BYTES", 8 * 37 * 7)
    assert Resampler(100).means(values) == pytest.approx(whole, abs=1e-13)


def test_draws_that_are_kept_are_those_that_would_be_drawn():
    resampler = Resampler(50)
    for images in (30, 40, 40, 30):
        values = normal(images, images, 2)
        assert resampler.means(values).tolist() == Resampler(50).means(values).tolist()


def test_draws_that_are_too_many_to_keep_are_drawn_anew(monkeypatch):
    values = normal(9, 30, 2)
    expected = Resampler(50).means(values).tolist()
    monkeypatch.setattr(resampling, "_CACHED_BYTES", 30 * 50 - 1)
    resampler = Resampler(50)
    assert [resampler.means(values).tolist() for _ in range(2)] == [expected, expected]


def test_an_image_may_be_drawn_more_often_than_a_byte_counts():
    class First:
        """Draws the first image always, from the second resample on."""

        def __init__(self):
            self.rows = 0

        def integers(self, images, size):
            self.rows += 1
            return np.arange(size) if self.rows == 1 else np.zeros(size, int)

    counts = resampling._draw_counts(First(), 300, 3)
    assert counts[0].tolist() == [1] * 300
    assert counts[1:].tolist() == [[300] + [0] * 299] * 2


def test_means_are_those_of_gathered_images():
    """The same draws, by indexing in place of counting."""
    values = normal(20, 25, 2)
    values[3, 1] = math.nan
    generator = np.random.default_rng(0)
    expected = [np.nanmean(values[generator.integers(25, size=25)], axis=0) for _ in range(200)]
    assert Resampler(200).means(values) == pytest.approx(np.array(expected), abs=1e-12)


def test_the_same_seed_gives_the_same_figures_and_another_does_not():
    values = normal(9, 50, 3)
    assert estimates(values) == estimates(values)
    assert estimates(values, seed=1) != estimates(values)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25, 0.5, -0.3])
def test_the_lead_agrees_with_the_paired_t_test(shift):
    second = normal(10, 200)
    first = second + shift + 0.8 * normal(11, 200)
    actual, theirs = lead(first, second, resamples=4999), stats.ttest_rel(first, second)
    assert actual.mean == pytest.approx((first - second).mean())
    assert actual.p == pytest.approx(theirs.pvalue, abs=0.02)
    low, high = theirs.confidence_interval()
    assert (actual.low, actual.high) == pytest.approx((low, high), abs=0.02)
    assert actual.significant == (theirs.pvalue < 0.05 and shift > 0)


def test_what_pairs_have_in_common_does_not_hide_a_lead():
    hard = 10 * normal(12, 50)  # how hard an image is for both
    assert lead(hard + 0.1, hard + 0.01 * normal(13, 50)).significant
    assert not lead(hard + 0.1, 10 * normal(14, 50)).significant


def test_a_method_does_not_lead_itself():
    values = normal(15, 500)
    actual = lead(values, values.copy())
    assert (actual.mean, actual.low, actual.high, actual.p, actual.significant) == (0, 0, 0, 1, False)


def test_rounding_is_no_lead():
    values = normal(15, 50, 1)
    pair = pair_values(values, values)
    drawn = Resampler(100).means(pair)
    drawn[:, 0] += 1e-15  # as another order of summation may leave
    assert lead_from_resamples(pair, drawn, single_mean) == lead(values[:, 0], values[:, 0], 100)
    assert not lead_from_resamples(pair, drawn, single_mean).significant


def test_methods_that_differ_only_in_what_is_undefined_do_not_lead_each_other():
    complete = normal(16, 300)
    incomplete = complete.copy()
    incomplete[complete.argmin()] = math.nan
    actual = lead(incomplete, complete)
    assert (actual.n, actual.p, actual.significant) == (299, 1, False)


def test_a_lead_is_over_images_where_both_are_defined():
    actual = lead(np.array([5.0, math.nan, 4, 9]), np.array([1.0, 100, 2, math.nan]))
    assert (actual.mean, actual.n) == (3, 2)


def test_there_is_no_lead_on_a_single_image():
    actual = lead(np.array([1.0]), np.array([0.0]))
    assert math.isnan(actual.p)
    assert not actual.significant


@pytest.mark.parametrize(("images", "significant"), [(2, False), (5, False), (6, True), (9, True)])
def test_few_images_cannot_say_more_than_the_sign_test(images, significant):
    actual = lead(np.arange(1.0, images + 1), np.zeros(images))
    assert actual.p >= stats.binomtest(images, images).pvalue
    assert actual.significant == significant


@pytest.mark.slow
def test_alike_methods_are_told_apart_about_as_seldom_as_one_in_twenty():
    generator, trials = np.random.default_rng(17), 300
    wrong = sum(lead(*generator.normal(size=(2, 100)), resamples=400, seed=seed).p <= 0.05 for seed in range(trials))
    assert stats.binomtest(int(wrong), trials, 0.06).pvalue > 0.001


def test_the_harmonic_mean_by_hand():
    assert harmonic_mean(np.array([1.0, 0.5, 0.25])) == pytest.approx(3 / 7)
    assert harmonic_mean(np.array([[0.5, 0.0, 1.0], [0.5, -0.1, 1.0]])) == pytest.approx([0, 0])
    assert np.isnan(harmonic_mean(np.array([[0.5, math.nan, 1.0], [0.0, math.nan, 1.0]]))).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_an_interval_lies_within_the_values(values):
    (actual,) = estimates(np.array(values)[:, None], resamples=200)
    assert min(values) - 1e-12 <= actual.low <= actual.high <= max(values) + 1e-12
    assert actual.mean == pytest.approx(math.fsum(values) / len(values))
    assert column_means(np.array(values)) == pytest.approx(actual.mean)


@pytest.mark.parametrize(("images", "is_noted"), [(1, False), (3, True), (9, True), (10, False)])
def test_intervals_of_few_images_are_said_to_be_too_narrow(images, is_noted):
    cell = Cell("net", "layer", "rest", "gradcam", "average_drop", 0.3, 0.2, 0.4, images, 0, rank=1)
    columns = (Column.of(METRICS["average_drop"]),)
    summary = ResultsSummary(columns, (ResultGroup("net", "layer", "rest", images),), (cell,))
    notes = list(notes_of(summary, None, intervals=True))
    assert any(note.startswith("± of few images is too small") for note in notes) == is_noted


def test_a_bootstrap_interval_of_three_holds_the_mean_in_some_seventy_per_cent():
    """What the note says, of exponential and of normal figures around 0."""
    generator = np.random.default_rng(0)
    for figures in (generator.normal(size=(3, 2000)), generator.exponential(size=(3, 2000)) - 1):
        held = [each.low <= 0 <= each.high for each in estimates(figures)]
        assert 0.65 < np.mean(held) < 0.78
