"""Convolutions, norms and activations for random networks: each from a table, all with maps (b, c, h, w)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torchvision.ops import FrozenBatchNorm2d

from draw import Draw


class Function(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class FunctionalConvolution(nn.Module):
    """A convolution written as a function, its weight standardised or not."""

    def __init__(self, inputs: int, outputs: int, *, standardised: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5))
        self.standardised = standardised

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.standardised:
            mean, deviation = weight.mean((1, 2, 3), keepdim=True), weight.std((1, 2, 3), keepdim=True)
            weight = (weight - mean) / (deviation + 1e-5)
        return F.conv2d(x, weight, padding=1)


class ConditionalConvolution(nn.Module):
    """A mixture of two kernels, in shares that depend on the image (Yang 2019, CondConv)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shape = (outputs, inputs, 3, 3)
        self.experts = nn.Parameter(torch.randn(2, outputs * inputs * 9) / (3 * inputs**0.5))
        self.routing = nn.Linear(inputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.routing(x.mean((2, 3))).sigmoid()
        weight = (shares @ self.experts).unflatten(1, self.shape).flatten(0, 1)
        return F.conv2d(x.reshape(1, -1, *x.shape[2:]), weight, padding=1, groups=len(x)).unflatten(1, (len(x), -1))[0]


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of a map, by permuting (ConvNeXt's LayerNorm2d)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RootMeanSquare(nn.Module):
    """The channels of each position divided by their root mean square."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + 1e-5).rsqrt() * self.weight[:, None, None]


class FlattenedBatchNorm(nn.Module):
    """Batch norm of tokens made of a map, whose gradient arrives with transposed strides (LeViT, CvT)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return self.norm(tokens.flatten(0, 1)).reshape_as(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


class _Swish(torch.autograd.Function):
    """x·σ(x) with a backward of its own, as timm's memory-efficient activations are written."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return gradient * (x.sigmoid() * (1 + x * (1 - x.sigmoid())))


class _SwishOnce(_Swish):
    """The same, but its backward leaves no graph."""

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        with torch.no_grad():
            return _Swish.backward(context, gradient)


def _same(inputs: int, outputs: int, kernel: Any, **options: Any) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, padding="same", **options)


CONVOLUTIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "1x1": lambda i, o: nn.Conv2d(i, o, 1),
    "3x3": lambda i, o: nn.Conv2d(i, o, 3, padding=1),
    "3x3 without bias": lambda i, o: nn.Conv2d(i, o, 3, padding=1, bias=False),
    "5x5": lambda i, o: nn.Conv2d(i, o, 5, padding=2),
    "1x3, padding same": lambda i, o: _same(i, o, (1, 3)),
    "dilated": lambda i, o: nn.Conv2d(i, o, 3, padding=2, dilation=2),
    "grouped": lambda i, o: nn.Conv2d(i, o, 3, padding=1, groups=2),
    "depthwise": lambda i, o: nn.Sequential(nn.Conv2d(i, i, 3, padding=1, groups=i), nn.Conv2d(i, o, 1)),
    "transposed": lambda i, o: nn.ConvTranspose2d(i, o, 3, padding=1),
    "transposed, grouped": lambda i, o: nn.ConvTranspose2d(i, o, 3, padding=1, groups=2),
    "circular": lambda i, o: nn.Conv2d(i, o, 3, padding=1, padding_mode="circular"),
    "reflecting": lambda i, o: nn.Conv2d(i, o, 3, padding=1, padding_mode="reflect"),
    "weight norm": lambda i, o: weight_norm(nn.Conv2d(i, o, 3, padding=1)),
    "spectral norm": lambda i, o: spectral_norm(nn.Conv2d(i, o, 3, padding=1)),
    "functional": lambda i, o: FunctionalConvolution(i, o, standardised=False),
    "standardised": lambda i, o: FunctionalConvolution(i, o, standardised=True),
    "conditional": ConditionalConvolution,
}
STRIDED: dict[str, Callable[[int, int], nn.Module]] = {
    "strided": lambda i, o: nn.Conv2d(i, o, 3, stride=2, padding=1),
    "patches": lambda i, o: nn.Conv2d(i, o, 2, stride=2),
    "maximum": lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.MaxPool2d(2)),
    "average": lambda i, o: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(i, o, 1)),
    "unshuffled": lambda i, o: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * i, o, 1)),
    "slices": lambda i, o: nn.Sequential(Function(lambda x: x[..., ::2, ::2]), nn.Conv2d(i, o, 1)),
}
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "batch, not affine": lambda c: nn.BatchNorm2d(c, affine=False),
    "batch, frozen": FrozenBatchNorm2d,
    "batch, of tokens": FlattenedBatchNorm,
    "group": lambda c: nn.GroupNorm(2, c),
    "layer": lambda c: nn.GroupNorm(1, c),
    "channel": ChannelNorm,
    "root mean square": RootMeanSquare,
    "instance": lambda c: nn.InstanceNorm2d(c, affine=True),
    "instance, running": lambda c: nn.InstanceNorm2d(c, track_running_stats=True),
    "local response": lambda _: nn.LocalResponseNorm(3),
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "relu_": lambda: Function(torch.relu_),
    "LeakyReLU in place": lambda: nn.LeakyReLU(0.1, inplace=True),
    "ReLU6": nn.ReLU6,
    "PReLU": nn.PReLU,
    "GELU": nn.GELU,
    "GELU by tanh": lambda: nn.GELU("tanh"),
    "SiLU": nn.SiLU,
    "SiLU in place": lambda: nn.SiLU(inplace=True),
    "Hardswish": nn.Hardswish,
    "Softplus": nn.Softplus,
    "ELU": nn.ELU,
    "Mish": nn.Mish,
    "tanh": nn.Tanh,
    "swish, own backward": lambda: Function(_Swish.apply),
}


def convolution(draw: Draw, inputs: int, outputs: int) -> nn.Module:
    """Draw a convolution that keeps the size."""
    return CONVOLUTIONS[draw.of("convolution", CONVOLUTIONS)](inputs, outputs)


def strided(draw: Draw, inputs: int, outputs: int) -> nn.Module:
    """Draw what halves the size."""
    return STRIDED[draw.of("halved by", STRIDED)](inputs, outputs)


def norm(draw: Draw, channels: int) -> nn.Module:
    """Draw a norm."""
    return NORMS[draw.of("norm", NORMS)](channels)


def activation(draw: Draw) -> nn.Module:
    """Draw an activation function; seldom one whose second derivative is missing, which can only be refused."""
    if draw.chance("swish, own backward without a graph", 0.01):
        return Function(_SwishOnce.apply)
    return ACTIVATIONS[draw.of("activation", ACTIVATIONS)]()
