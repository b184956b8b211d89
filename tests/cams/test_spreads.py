"""Each spread by pencil, on two positions and two channels: A = [[1, 2], [3, -1]], D = [[2, -1], [0, 4]]."""

from __future__ import annotations

from math import tanh

import pytest
import torch

from shapleycam.cams.spreads import SPREADS

A = torch.tensor([[[1.0, 2.0], [3.0, -1.0]]])
D = torch.tensor([[[2.0, -1.0], [0.0, 4.0]]])

# Channel means of D are 1 and 1.5; channel sums of A are 4 and 1, of A·D they are 2 and -6.
# GradCAM++: a = g² / (2g² + g³ ΣA): channel 0: 4/(8+32) and 0; channel 1: 1/(2-1) and 16/(32+64); times ReLU(g):
# weights 2·0.1 = 0.2 and 0·1 + 4/6 = 2/3.
BY_PENCIL = {
    "mean": [1 + 3, 3 - 1.5],
    "elementwise": [2 - 2, 0 - 4],
    "elementwise + ReLU": [2 + 0, 0 + 0],
    "activation-weighted": [0.5 - 12, 1.5 + 6],
    "positive gradient": [2 + 0, 0 - 4],
    # A·D varies by (1, 1) and (-1, -1) around its mean, A·|D| by (1, 3) and (-1, -3); sums over channels are 0 and -4.
    "first component": [2**0.5, -(2**0.5)],
    "first component, |D|": [10**0.5, -(10**0.5)],
    # x·y / 2 + 1 is 2 on the diagonal and 0 beside it: tanh 2 times the unit matrix.
    "kernel component": [(tanh(2) / 2) ** 0.5, -((tanh(2) / 2) ** 0.5)],
    "large activations": [0, 0],  # of two values none is two deviations above the mean
    "plus plus": [0.2 + 4 / 3, 0.6 - 2 / 3],
}


@pytest.mark.parametrize("name", SPREADS)
def test_by_pencil(name):
    torch.testing.assert_close(
        SPREADS[name](A, D), torch.tensor([BY_PENCIL[name]], dtype=torch.float32), rtol=1e-5, atol=1e-5
    )


def test_gradcam_plus_plus_is_zero_where_the_gradient_is():
    weights = SPREADS["plus plus"](A, torch.zeros_like(D))
    assert weights.tolist() == [[0, 0]]


@pytest.mark.parametrize("name", ["mean", "elementwise", "activation-weighted"])
def test_linear_in_the_derivative(name):
    spread = SPREADS[name]
    torch.testing.assert_close(spread(A, 3 * D - 1), 3 * spread(A, D) - spread(A, torch.ones_like(D)))
