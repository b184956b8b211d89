"""Convolutions that are differentiable by their input only: the same numbers as PyTorch's own."""

from __future__ import annotations

import threading

import pytest
import torch
from torch.nn import functional as F

from shapleycam.tracing.differentiation import Differentiation

SETTINGS = [
    (F.conv1d, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (F.conv2d, (2, 4, 6, 5), (8, 4, 3, 2), {}),
    (F.conv2d, (2, 4, 7, 7), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    (F.conv2d, (1, 3, 9, 8), (2, 3, 3, 3), {"stride": (2, 1), "padding": (2, 0), "dilation": 2}),
    (F.conv2d, (1, 3, 6, 6), (2, 3, 3, 3), {"padding": "same"}),
    (F.conv3d, (1, 2, 4, 5, 4), (3, 2, 2, 3, 1), {"stride": (1, 2, 1)}),
]


@pytest.mark.parametrize(("convolve", "shape", "weight", "settings"), SETTINGS)
def test_all_derivatives_by_the_input(convolve, shape, weight, settings):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    kernel = torch.randn(weight, dtype=torch.float64, generator=generator, requires_grad=True)
    bias = torch.randn(weight[0], dtype=torch.float64, generator=generator)

    def derivatives():
        output = convolve(values, kernel, bias, **settings)
        (first,) = torch.autograd.grad(output.tanh().sum(), values, create_graph=True)
        (second,) = torch.autograd.grad((first * values).sum(), values, create_graph=True)
        (third,) = torch.autograd.grad(second.square().sum(), values)
        return output, first, second, third

    expected = derivatives()
    with Differentiation(twice=True):
        actual = derivatives()
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert expected[3].abs().max() > 0


def test_only_this_thread_and_only_inside():
    kernel, seen = torch.randn(2, 3, 3, 3), []

    def output():
        values = torch.randn(1, 3, 5, 5, requires_grad=True)
        seen.append(type(F.conv2d(values, kernel).grad_fn).__name__)

    with Differentiation(twice=True):
        thread = threading.Thread(target=output)
        thread.start()
        thread.join()
        output()
    output()
    assert seen == ["ConvolutionBackward0", "_ConvolutionBackward", "ConvolutionBackward0"]
