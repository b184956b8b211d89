"""The distance between estimated and true values, by pencil and against scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr

from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error

TRUE = torch.tensor([[3.0, 4.0, 0.0], [1.0, 2.0, 2.0]], dtype=torch.float64)


def test_relative_error_by_pencil():
    estimate = TRUE + torch.tensor([[0.0, 0.0, 2.5], [1.0, 2.0, 2.0]])
    torch.testing.assert_close(relative_error(estimate, TRUE), torch.tensor([0.5, 1.0]).double())
    assert relative_error(TRUE, TRUE).tolist() == [0, 0]
    torch.testing.assert_close(relative_error(0 * TRUE, TRUE), torch.ones(2).double())
    assert relative_error(TRUE, 0 * TRUE).isinf().all()


def test_efficiency_gap_by_pencil():
    assert efficiency_gap(TRUE, torch.tensor([14.0, -5.0]).double()).tolist() == [0.5, 2.0]
    assert efficiency_gap(TRUE, torch.tensor([7.0, 5.0]).double()).tolist() == [0, 0]


def test_rank_correlation_against_scipy_with_ties():
    generator = torch.Generator().manual_seed(0)
    estimates, true = (torch.randint(0, 6, (5, 30), generator=generator).double() for _ in range(2))
    expected = [
        spearmanr(estimated_row, true_row).statistic for estimated_row, true_row in zip(estimates, true, strict=True)
    ]
    assert rank_correlation(estimates, true).tolist() == pytest.approx(expected, abs=1e-12)
    assert min(map(abs, expected)) > 1e-3


def test_only_the_order_counts_for_ranks():
    assert rank_correlation(TRUE[:1].exp() * 7 - 3, TRUE[:1]).tolist() == pytest.approx([1])
    assert rank_correlation(-TRUE, TRUE).tolist() == pytest.approx([-1, -1])
    assert rank_correlation(torch.ones(2, 3).double(), TRUE).isnan().all()
