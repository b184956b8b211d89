"""Ranks with ties, Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shapleycam.errors import OptionError
from shapleycam.experiments.results.ranks import cliques, critical_difference, rank_methods, rank_over_networks

NAN = math.nan


@pytest.mark.parametrize(
    ("figures", "better", "rank", "best", "second"),
    [
        ([0.1, 0.3, 0.2], "high", [3, 1, 2], [1], [2]),
        ([0.1, 0.3, 0.2], "low", [1, 3, 2], [0], [2]),
        ([0.5, 0.5, 0.2], "high", [1.5, 1.5, 3], [0, 1], [2]),
        ([0.5, 0.2, 0.2, 0.1], "high", [1, 2.5, 2.5, 4], [0], [1, 2]),
        ([0.5, 0.5 + 3e-8, 0.2], "high", [1.5, 1.5, 3], [0, 1], [2]),
        ([0.5, 0.5 + 9e-7, 0.2], "high", [1.5, 1.5, 3], [0, 1], [2]),
        ([0.5, 0.5 + 2e-6, 0.2], "high", [2, 1, 3], [1], [0]),
        ([50, 50 + 4e-5, 20], "high", [1.5, 1.5, 3], [0, 1], [2]),
        ([50, 50 + 1e-4, 20], "high", [2, 1, 3], [1], [0]),
        ([0.5, 0.5, 0.5], "low", [2, 2, 2], [0, 1, 2], []),
        ([NAN, 0.3, 0.2], "high", [NAN, 1, 2], [1], [2]),
        ([NAN, NAN], "high", [NAN, NAN], [], []),
        ([0.4], "low", [1], [0], []),
    ],
)
def test_standings_by_hand(figures, better, rank, best, second):
    actual = rank_methods(np.array(figures), better)
    assert actual.rank == pytest.approx(rank, nan_ok=True)
    assert np.flatnonzero(actual.best).tolist() == best
    assert np.flatnonzero(actual.second).tolist() == second


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.sampled_from(["high", "low"]))
def test_ranks_are_scipys_and_sum_to_those_without_ties(whole, better):
    figures = np.array(whole, dtype=float)
    actual = rank_methods(figures, better).rank
    assert actual == pytest.approx(stats.rankdata(-figures if better == "high" else figures))
    assert actual.sum() == pytest.approx(len(whole) * (len(whole) + 1) / 2)


# Demšar 2006, table 5(a): two-tailed Nemenyi test at 0.05
@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
@pytest.mark.parametrize("networks", [2, 12, 30])
def test_the_critical_difference_is_demsars(methods, q, networks):
    expected = q * math.sqrt(methods * (methods + 1) / (6 * networks))
    assert critical_difference(methods, networks) == pytest.approx(expected, rel=5e-4)


def test_demsars_example():
    # section 3.2.2: four classifiers on 14 data sets
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.10) == pytest.approx(1.12, abs=0.005)


def test_mean_ranks_by_hand_and_friedman_by_scipy():
    figures = np.array([[0.9, 0.5, 0.1], [0.8, 0.8, 0.2], [0.3, 0.6, 0.1], [0.7, 0.6, 0.5]])
    actual = rank_over_networks(figures, "high")
    assert actual.rank == pytest.approx([(1 + 1.5 + 2 + 1) / 4, (2 + 1.5 + 1 + 2) / 4, 3])
    assert actual.p == pytest.approx(stats.friedmanchisquare(*figures.T).pvalue)
    assert actual.critical == critical_difference(3, 4)
    reverse = rank_over_networks(figures, "low")
    assert reverse.rank == pytest.approx(4 - actual.rank)
    assert reverse.p == pytest.approx(actual.p)


def test_methods_that_are_all_the_same_are_not_told_apart():
    assert rank_over_networks(np.full((3, 4), 0.5), "high").p == 1


@pytest.mark.parametrize("shape", [(1, 5), (5, 2)])
def test_too_few_to_rank_is_said(shape):
    with pytest.raises(OptionError, match=f"{shape[0]} networks and {shape[1]} methods .* at least 2 networks and 3"):
        rank_over_networks(np.zeros(shape), "high")


@pytest.mark.parametrize(
    ("rank", "critical", "groups"),
    [
        ([1, 2, 3, 4], 1, [(1, 2), (2, 3), (3, 4)]),
        ([1, 2, 3, 4], 0.5, []),
        ([1, 1.2, 1.4, 4, 4.1], 0.5, [(1, 1.4), (4, 4.1)]),
        ([4, 1, 3, 2], 5, [(1, 4)]),
    ],
)
def test_groups_that_do_not_differ_by_hand(rank, critical, groups):
    assert cliques(np.array(rank, dtype=float), critical) == groups
