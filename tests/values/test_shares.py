"""Uncertainty and confidence interval of sampled values."""

from __future__ import annotations

from math import pi, sqrt, tan

import pytest
import torch

from helpers.games import random_table, table_game
from shapleycam import values
from shapleycam.errors import OptionError
from shapleycam.values import ShapleyValues


def make_shapley_values(values, stderr=None, samples=None):
    tensor = torch.tensor(values, dtype=torch.float64)
    evaluations = torch.ones(len(tensor), dtype=torch.long)
    return ShapleyValues(
        tensor,
        None if stderr is None else torch.tensor(stderr, dtype=torch.float64),
        evaluations,
        None if samples is None else torch.tensor(samples),
    )


def test_uncertainty_is_a_ratio_of_lengths():
    shapley_values = make_shapley_values([[6, -8], [0, 2], [0, 0]], [[3, 4], [0, 0], [0, 0]], [9, 9, 9])
    assert shapley_values.uncertainty.tolist() == pytest.approx([0.5, 0, 0])


def test_zeros_that_are_not_sure_are_not_certain():
    shapley_values = make_shapley_values([[0, 0], [0, 0]], [[0, 1], [float("inf"), 0]], [9, 9])
    assert shapley_values.uncertainty.tolist() == [float("inf")] * 2


def test_there_is_no_uncertainty_without_a_standard_error():
    assert make_shapley_values([[1, 2], [3, 4]]).uncertainty.tolist() == [0, 0]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_intervals_are_students(confidence):
    """By pencil for one and two degrees of freedom; of many, the normal distribution's."""
    shapley_values = make_shapley_values([[1, -2], [1, -2], [1, -2]], [[0.5, 2], [0.5, 2], [0.5, 2]], [2, 3, 10**6])
    low, high = shapley_values.interval(confidence)
    normal = float(torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(0.5 + confidence / 2, dtype=torch.float64)))
    quantiles = [tan(pi * confidence / 2), confidence * sqrt(2 / (1 - confidence**2)), normal]
    for image, quantile in enumerate(quantiles):
        torch.testing.assert_close(
            high[image], shapley_values.values[image] + quantile * shapley_values.stderr[image], rtol=1e-4, atol=1e-9
        )
        torch.testing.assert_close(
            low[image], shapley_values.values[image] - quantile * shapley_values.stderr[image], rtol=1e-4, atol=1e-9
        )


def test_the_interval_is_of_95_percent_unless_asked():
    shapley_values = make_shapley_values([[0.0]], [[1.0]], [2])
    assert float(shapley_values.interval()[1]) == pytest.approx(12.706, abs=1e-3)


def test_one_sample_has_no_interval():
    low, high = values.permutation(table_game(random_table(4)), orders=4).interval()
    assert bool(low.isnan().all())
    assert bool(high.isnan().all())


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 95.0, float("nan")])
def test_a_confidence_lies_between_0_and_1(confidence):
    message = f"confidence is {confidence}; expected a number between 0 and 1, such as 0.95"
    with pytest.raises(OptionError, match=message):
        make_shapley_values([[1.0]], [[1.0]], [5]).interval(confidence)


@pytest.mark.parametrize(
    "estimate", [values.exact, values.kernel, values.path, values.taylor], ids=["exact", "kernel", "path", "taylor"]
)
def test_values_that_were_not_sampled_have_no_interval(estimate):
    with pytest.raises(OptionError, match=r"values have no standard error; use values\.permutation for an interval"):
        estimate(table_game(random_table(4))).interval()
