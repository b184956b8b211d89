"""The CRG game of a batch of images: its utility, and the utility's derivatives by the activation.

The players are the positions of the layer; a coalition keeps the content of its positions and zeroes the rest
(content reserved game, arXiv:2501.06261). The derivatives are what Taylor and path values are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import grad

from shapleycam.errors import DerivativeError, OptionError, ReplayError
from shapleycam.models.layout import Layout
from shapleycam.trace import Trace
from shapleycam.trace.graph import not_differentiable
from shapleycam.utilities import Utility


class Game:
    """The game of each image of a traced batch.

    `activation` is A (b, ...), `layout` says which of its dimensions are positions, `target` (b,) the classes.
    """

    def __init__(self, trace: Trace, layout: Layout, utility: Utility, target: Int[Tensor, " b"]) -> None:
        self.activation = trace.activation.detach()
        self.layout = layout
        self.utility = utility
        self.target = target
        self._trace = trace
        with _differentiable():
            self._utility_at_activation = utility(trace.output, target)
        if not self._utility_at_activation.requires_grad:
            raise OptionError(
                f"utility {utility.name!r} does not depend on the model's output, or detaches it; expected a "
                "differentiable function of it"
            )
        if not bool(torch.isfinite(self._utility_at_activation).all()):
            found = self._utility_at_activation.tolist()
            raise OptionError(f"utility {utility.name!r} is not finite ({found}); expected a finite number an image")
        self._gradient_at_activation: Tensor | None = None

    @property
    def n_players(self) -> int:
        """How many positions there are, prefix tokens included."""
        return self.layout.positions(self.activation).shape[1]

    @property
    def full(self) -> Float[Tensor, " b"]:
        """U(head(A)), the utility with every position in its place."""
        return self._utility_at_activation.detach()

    def at(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """U(head(activation)), differentiable where the activation requires a gradient.

        Raises:
            ReplayError: the pass was not recorded for replay.
        """
        return self.utility(self._trace.head(activation), self.target)

    def gradient(self, activation: Float[Tensor, "b *shape"] | None = None) -> Float[Tensor, "b *shape"]:
        """∂U/∂A at an activation; at the image's own without an argument, which needs no further head pass."""
        if activation is None:
            return self._own_gradient().detach()
        with _differentiable():
            leaf = (activation.clone() if activation.is_inference() else activation).detach().requires_grad_()
            value = self.at(leaf).sum()
            return _derivative(value, leaf)

    def hvp(self, vector: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """H·vector, H = ∂²U/∂A² at the image's own activation, each image by itself.

        Raises:
            ReplayError: the pass was not made twice differentiable.
            DerivativeError: something after the layer has no second derivative.
        """
        if not self._trace.twice_differentiable:
            raise ReplayError("this pass has first derivatives only; trace the model with twice_differentiable=True")
        gradient = self._own_gradient()
        if not gradient.requires_grad:  # the utility is linear in the activation
            return torch.zeros_like(gradient)
        if not_differentiable(gradient):
            raise _no_derivative("an operation in it is marked once_differentiable")
        with _differentiable():
            along = (gradient * vector.clone()).sum()
            return _derivative(along, self._trace.activation)

    def _own_gradient(self) -> Tensor:
        if self._gradient_at_activation is None:
            with _differentiable():
                total = self._utility_at_activation.sum()
                self._gradient_at_activation = _derivative(
                    total, self._trace.activation, again=self._trace.twice_differentiable
                )
        return self._gradient_at_activation


@contextmanager
def _differentiable() -> Iterator[None]:
    """Gradients on, also inside the caller's no_grad or inference_mode."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield


def _derivative(value: Tensor, activation: Tensor, *, again: bool = False) -> Tensor:
    """The gradient, zero where there is none; `again` keeps it differentiable."""
    try:
        (found,) = grad(value, activation, create_graph=again, retain_graph=True, materialize_grads=True)
    except RuntimeError as error:
        if "not implemented" in str(error) or "not differentiable" in str(error):
            raise _no_derivative(str(error).splitlines()[0]) from error
        raise
    return found


def _no_derivative(reason: str) -> DerivativeError:
    return DerivativeError(
        f"what comes after the layer has no derivative of the order that is needed ({reason}); use a first-order "
        "method (gradcam, hirescam) or a path method, or a later layer"
    )
