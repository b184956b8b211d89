"""Correlations without what sampling noise takes from them: by pencil, and on values whose noise is known."""

from __future__ import annotations

import math

import pytest
import torch

from shapleycam.fidelity import SplitValues
from shapleycam.fidelity.input_distance import MeasuredValues, distances_to_input
from shapleycam.fidelity.noise import corrected_correlation, reliability
from shapleycam.values.distance import best_scale, linear_correlation, rank_correlation

IMAGES, REGIONS = 300, 49


def normal(seed):
    return torch.randn(IMAGES, REGIONS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def split(values, noise=0.0, seed=0):
    first, second = (values + noise * normal(seed + half) for half in (100, 200))
    return SplitValues(first, second, torch.full((len(values),), 96), "sampled")


def test_reliability_by_pencil():
    """Halves (1, -1, ½, -½) and (1, -1, -½, ½): their product is 1.5, their squares are 2.5, so r = 0.6."""
    halves = torch.tensor([[1.0, -1.0, 0.5, -0.5]]), torch.tensor([[1.0, -1.0, -0.5, 0.5]])
    noisy = SplitValues(*halves, runs=torch.tensor([96]), origin="sampled")
    assert reliability(noisy, linear_correlation).item() == pytest.approx(2 * 0.6 / 1.6)
    exact = SplitValues.exact(halves[0], torch.tensor([16]), "exact")
    observed = 2 / math.sqrt(2.5 * 2)  # of (1, -1, ½, -½) and (1, -1, 0, 0)
    corrected = corrected_correlation(exact, noisy, linear_correlation).item()
    assert corrected == pytest.approx(observed / math.sqrt(0.75))
    assert corrected > 1  # and is not clamped


@pytest.mark.parametrize(("correlation", "close"), [(linear_correlation, 0.01), (rank_correlation, 0.03)])
@pytest.mark.parametrize("both", [False, True])
def test_the_correlation_without_noise_is_found_again(correlation, close, both):
    true = normal(0)
    values = 0.8 * true + 0.6 * normal(1)
    noisy, measured = split(true, 0.8), split(values, 0.8 if both else 0.0, seed=1000)
    expected = correlation(values, true).mean()
    observed = correlation(measured.values, noisy.values).mean()
    corrected = corrected_correlation(measured, noisy, correlation)
    assert observed < expected - 0.06
    assert float(corrected.nanmean()) == pytest.approx(float(expected), abs=close)


def test_halves_that_do_not_agree_are_not_resolved():
    noise = split(torch.zeros(IMAGES, REGIONS, dtype=torch.float64), 1.0)
    assert corrected_correlation(split(normal(0)), noise, linear_correlation).isnan().all()


def distance_of(values, true, *, in_units=True):
    measured = MeasuredValues("bn2", "hirescam", values, in_units, 1.0)
    return next(distances_to_input([str(i) for i in range(len(true.values))], "rest", measured, true))


def exact(*values):
    return SplitValues.exact(torch.tensor([values]), torch.tensor([8]), "exact")


def test_the_scale_does_not_count_and_the_sign_does():
    true = exact(1.0, -2.0, 4.0)
    assert distance_of(exact(3.0, -6.0, 12.0), true).error == pytest.approx(0, abs=1e-7)
    inverted = distance_of(exact(-1.0, 2.0, -4.0), true)
    assert (inverted.error, inverted.pearson, inverted.spearman) == (1.0, pytest.approx(-1), pytest.approx(-1))


def test_constant_values_have_no_correlation():
    flat = distance_of(exact(0.1, 0.1, 0.1), exact(1.0, -2.0, 4.0))
    assert (flat.pearson, flat.pearson_corrected, flat.spearman, flat.spearman_corrected) == (None,) * 4
    assert flat.error == pytest.approx(math.sqrt(1 - 9 / (3 * 21)))  # cos² = (Σφ)² / (n Σφ²)


def test_methods_that_divide_no_score_have_ranks_alone():
    distance = distance_of(exact(3.0, -6.0, 12.0), exact(1.0, -2.0, 4.0), in_units=False)
    assert (distance.error, distance.noise_share, distance.pearson, distance.pearson_corrected) == (None,) * 4
    assert [distance.spearman, distance.spearman_corrected] == pytest.approx([1, 1])


def test_the_noise_is_the_whole_error_of_values_without_any():
    true = normal(0)
    noisy, clean = split(true, 0.5), split(true)
    measured = MeasuredValues("bn2", "hirescam", clean, True, 1.0)
    distances = list(distances_to_input([str(i) for i in range(IMAGES)], "rest", measured, noisy))
    assert sum(d.noise_share for d in distances) / IMAGES == pytest.approx(1, abs=0.05)
    error = sum(d.error for d in distances) / IMAGES
    assert error == pytest.approx(math.sqrt(0.5**2 / 2 / (1 + 0.5**2 / 2)), abs=0.01)


def test_values_of_zero_have_scale_zero():
    assert best_scale(torch.zeros(1, 3), torch.ones(1, 3)).tolist() == [0.0]
