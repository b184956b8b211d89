"""Operations that compute each number from those at its place, by PyTorch's own marks."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam.game.attention.pointwise import is_pointwise
from shapleycam.tracing.elementwise import is_marked_elementwise

ACTIVATIONS = [
    *(nn.ReLU, nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
    nn.LeakyReLU,
]


class Recorder(TorchDispatchMode):
    """Notes the operations that run."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.functions = [*getattr(self, "functions", []), function]
        return function(*args, **(kwargs or {}))


def operations(module):
    images = torch.randn(2, 3, 4, 4)
    with Recorder() as recorder:
        module(images)
    return recorder.functions


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("inplace", [False, True])
def test_activation_functions_are(activation, inplace):
    """In place as well, in any version of PyTorch."""
    assert all(is_pointwise(function) for function in operations(activation(inplace=inplace).eval()))


def test_what_is_drawn_at_random_is_not():
    for module in (nn.RReLU(inplace=True), nn.RReLU(), nn.Dropout(inplace=True)):
        assert not all(is_pointwise(function) for function in operations(module.train()))


def test_sums_along_a_row_are_not_in_place_either():
    assert not is_marked_elementwise(torch.ops.aten.cumsum_.default)
    assert not is_marked_elementwise(torch.ops.aten.cumsum.default)
