"""Scores of metrics by pencil: separation, reaction, resilience, agreement, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

from shapleycam.experiments.metric_check import MetricCheck
from shapleycam.experiments.metric_check.scores import score_metrics, share_better

RISING = np.array([[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5], [0.3, 0.4, 0.5, 0.6]] * 2)
"""Six images and four methods."""


def scores(figures=RISING, random=0.0, weights=0.0, noise=None):
    """One metric: its figures, those of random maps and of random weights, and those under noise."""
    shape = figures.shape
    changed = (np.full((shape[0], 1), random), np.full(shape, weights), RISING if noise is None else noise)
    trusts, _ = score_metrics({"adcc": figures}, *({"adcc": values} for values in changed))
    return trusts[0]


def test_a_share_counts_ties_as_half():
    figures, rival = np.array([[0.5, 0.6, 0.4, 0.5 + 1e-8]]), np.array([[0.5]])
    assert share_better(figures, rival) == pytest.approx((0.5 + 1 + 0 + 0.5) / 4)


def test_what_is_undefined_is_left_out():
    figures = np.array([[np.nan, 0.6, 0.4], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(share_better(figures, np.array([[0.5], [0.5]])), [0.5, np.nan])


def test_a_metric_without_fault():
    trust = scores()
    assert (trust.separation.mean, trust.reaction.mean, trust.resilience.mean) == (1, 1, 1)
    assert trust.is_trusted


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"random": 1.0}, "prefers random maps"),
        ({"figures": RISING * 0 + 0.3, "random": 0.3}, "does not tell methods from random maps by more than chance"),
        ({"weights": 1.0}, "prefers maps of random weights"),
        ({"figures": RISING * 0 + 0.3, "weights": 0.3}, "does not react to random weights by more than chance"),
        ({"noise": RISING[:, ::-1]}, "does not keep its order under noise by more than chance"),
        ({"figures": RISING * 0 + 0.3}, "tells the methods apart on 0 images only"),
        ({"figures": RISING[:5], "noise": RISING[:5]}, "could be compared with random maps on 5 images only"),
        ({"weights": np.nan}, "could be compared with maps of random weights on 0 images only"),
    ],
)
def test_each_fault(changes, fault):
    assert fault in scores(**changes).faults


def test_resilience_is_the_rank_correlation_with_noise():
    # Ranks 1 2 3 4 against 2 1 4 3 in every image: 1 - 6·4 / (4·15) = 0.6.
    assert scores(noise=RISING[:, [1, 0, 3, 2]]).resilience.mean == pytest.approx(0.6)


def test_agreement_is_the_mean_over_the_other_metrics():
    figures = {"adcc": RISING, "insertion": RISING**2, "deletion": RISING[:, ::-1]}
    random = {name: np.zeros((6, 1)) for name in figures}
    trusts, pairs = score_metrics(figures, random, figures, figures)
    assert [trust.agreement.mean for trust in trusts] == pytest.approx([0, 0, -1])
    assert {(pair.first, pair.second): pair.correlation.mean for pair in pairs} == pytest.approx(
        {("adcc", "insertion"): 1, ("adcc", "deletion"): -1, ("insertion", "deletion"): -1}
    )


def test_the_sentence_where_every_metric_has_a_fault():
    sentence = MetricCheck((scores(random=1.0),), (), ("a", "b", "c", "d"), 6).sentence
    assert sentence == "On 6 images and 4 methods something speaks against every metric; adcc prefers random maps."
