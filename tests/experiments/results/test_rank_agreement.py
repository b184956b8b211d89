"""Agreement of two metrics on the order of methods: by pencil, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shapleycam.errors import OptionError
from shapleycam.experiments.results.rank_agreement import rank_agreement, rank_correlation


def test_correlation_by_pencil():
    # Ranks 1 2 3 4 against 2 1 4 3: differences ±1, 1 - 6·4 / (4·15) = 0.6.
    assert rank_correlation(np.array([0.1, 0.2, 0.3, 0.4]), np.array([5.0, 1.0, 9.0, 7.0])) == pytest.approx(0.6)


def test_ties_share_their_rank_as_scipy_has_it():
    first, second = np.array([[1.0, 1.0, 2.0, 3.0]]), np.array([[4.0, 2.0, 2.0, 9.0]])
    assert rank_correlation(first, second)[0] == pytest.approx(stats.spearmanr(first[0], second[0]).statistic)
    rounding = np.array([[0.0, 4e-8, 0.0, -4e-8]])
    np.testing.assert_allclose(rank_correlation(first + rounding, second), rank_correlation(first, second))


def test_what_has_no_order_has_no_correlation():
    assert np.isnan(rank_correlation(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])))
    assert np.isnan(rank_correlation(np.array([1.0, np.nan, 1.5]), np.array([1.0, 2.0, 3.0])))


def test_of_means_and_of_images_are_different_questions():
    # Of two images the metrics agree on one and are opposed on the other; of the means they agree.
    first = np.array([[1.0, 2.0, 3.0], [0.3, 0.2, 0.1]])
    second = np.array([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]])
    agreement = rank_agreement(first, second)
    assert agreement.of_means.mean == pytest.approx(1)
    assert agreement.of_images.mean == pytest.approx(0)
    assert (agreement.of_images.low, agreement.of_images.high) == pytest.approx((-1, 1))


def test_methods_with_the_same_figures_count_once_and_those_without_are_left_out():
    first = np.array([[1.0, 1.0, 2.0, 3.0, np.nan], [1.0, 1.0, 3.0, 2.0, np.nan]])
    second = np.array([[1.0, 1.0, 3.0, 2.0, 5.0], [1.0, 1.0, 2.0, 3.0, 5.0]])
    agreement = rank_agreement(first, second)
    assert agreement.methods == 3
    assert agreement.of_images.mean == pytest.approx(0.5)  # of ranks 1 2 3 and 1 3 2, twice


def test_images_with_an_undefined_figure_are_counted():
    first = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1.0, 1.0, 1.0]])
    second = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    agreement = rank_agreement(first, second)
    assert (agreement.of_means.n, agreement.of_means.undefined) == (2, 1)
    assert (agreement.of_images.n, agreement.of_images.undefined) == (1, 2)


def test_two_methods_have_no_agreement():
    agreement = rank_agreement(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]]))
    assert np.isnan(agreement.of_means.mean)
    assert np.isnan(agreement.of_images.mean)


def test_refuses_figures_of_different_methods():
    with pytest.raises(OptionError, match=r"figures are \(1, 3\) and \(1, 2\); expected the same"):
        rank_agreement(np.zeros((1, 3)), np.zeros((1, 2)))
