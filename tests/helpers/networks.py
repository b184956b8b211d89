"""Small networks whose explanations can be worked out by hand; activations are 'features', layout (b, k, h, w)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Toy(nn.Module):
    """The features are the image itself; `head` makes logits (b, classes) of them."""

    def __init__(self, head: Callable[[Tensor], Tensor]):
        super().__init__()
        self.features = nn.MaxPool2d(1)  # changes nothing, and says where its channels are
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def logits(score: Tensor) -> Tensor:
    """A score (b,) as the first of two logits, the other being 0."""
    return torch.stack([score, torch.zeros_like(score)], 1)


def linear(weight: Tensor) -> Toy:
    """The score is Σ w·a."""
    return Toy(lambda a: logits((a * weight).flatten(1).sum(1)))


def power(exponent: int) -> Toy:
    """The score is (Σ a)^exponent."""
    return Toy(lambda a: logits(a.flatten(1).sum(1) ** exponent))


def quadratic(weight: Tensor, matrix: Tensor, constant: float = 0.7) -> Toy:
    """The score is c + w·a + a·M·a, M symmetric."""

    def head(a: Tensor) -> Tensor:
        a = a.flatten(1)
        return logits(constant + a @ weight + torch.einsum("bi,ij,bj->b", a, matrix, a))

    return Toy(head)


class Smooth(nn.Module):
    """A real, smooth head: convolution, GELU, another, pooling, linear; float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.features = nn.Conv2d(3, 4, 2, stride=2)
        self.after = nn.Sequential(nn.GELU(), nn.Conv2d(4, 6, 3, padding=1), nn.Softplus())
        self.fc = nn.Linear(6, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.after(self.features(x)).mean((2, 3)))


class Once(torch.autograd.Function):
    """Doubles, and has a first derivative only."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient: Tensor) -> Tensor:
        return gradient * 2
