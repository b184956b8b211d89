"""Derivatives of the utility with respect to the activation: gradients and Hessian-vector products.

They are compared with finite differences, once for each model, layer, shape, type, device and utility.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ReplayError
from shapleycam.game.coalition_batches import check_utilities_finite
from shapleycam.game.contents import Contents
from shapleycam.game.finite_differences import (
    CurvatureCase,
    FunctionOfActivation,
    GradientCase,
    check_curvature,
    check_gradient,
)
from shapleycam.game.grad_modes import with_gradients, without_gradients
from shapleycam.tracing import Trace
from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.graph import (
    gradients,
    has_foreign_functions,
    has_once_differentiable,
    no_derivative_error,
    no_gradient_error,
    operation_without_derivative,
)
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.utilities import Utility


class UtilityDerivatives:
    """The utility of a traced batch, and its derivatives with respect to the layer's activation.

    `at_activation` (b,) is the utility at the images' own activation. It is part of the graph of the traced pass, so
    that its gradient needs no further run of the head. The gradient is computed once and cached.

    Raises:
        OptionError: the utility is not finite, or does not depend on the model's output.
    """

    def __init__(self, trace: Trace, contents: Contents, utility: Utility, target: Int[Tensor, " b"]) -> None:
        self._trace, self._contents, self._utility, self._target = trace, contents, utility, target
        self._activation = contents.activation
        with with_gradients():
            self.at_activation = self._utility_of(trace.output)
        if trace.is_differentiable and not self.at_activation.requires_grad:
            raise OptionError(
                f"utility {utility.name!r} does not depend on the model's output, or detaches it; expected a "
                "differentiable function of it"
            )
        check_utilities_finite(self.at_activation, utility)
        self._gradient_at_activation: Tensor | None = None

    def utility_at(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """Return U(head(activation)); it is differentiable if the activation requires a gradient."""
        return self._utility_of(self._trace.head(activation))

    def gradient(self, activation: Float[Tensor, "b *shape"] | None = None) -> Float[Tensor, "b *shape"]:
        """Return ∂U/∂A at an activation; None for the images' own activation."""
        if activation is None:
            return self._checked_gradient().detach()
        with with_gradients():
            leaf = (activation.clone() if activation.is_inference() else activation).detach().requires_grad_()
            return gradient_of(self.utility_at(leaf).sum(), leaf)

    def hvp(self, vector: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """Return the Hessian-vector product H·vector, with H = ∂²U/∂A² at the images' own activation.

        The second derivative of a custom autograd function may be wrong. If the head has such a function, H·A is
        compared once with finite differences of gradients (docs/decisions.md, "A second derivative behind a custom
        autograd function is compared with differences of gradients").
        """
        trace = self._trace
        if not trace.twice_differentiable:
            raise ReplayError("this pass has first derivatives only; trace the model with twice_differentiable=True")
        gradient = self._checked_gradient()
        product = self._hessian_product(gradient, vector)
        key = ("curvature", trace.layer, self._activation.shape, self._activation.dtype, self._utility_key)
        if has_foreign_functions(self.at_activation) and needs_check(trace.owner, key):
            along_activation = (
                product if vector is self._activation else self._hessian_product(gradient, self._activation)
            )
            case = CurvatureCase(
                self._activation,
                gradient.detach(),
                along_activation,
                partial(self._gradient_of_run, trace.rerun),
                partial(self._gradient_of_run, trace.rerun_in_float64),
            )
            check_curvature(case, trace.layer)
            mark_checked(trace.owner, key)
        return product

    def _hessian_product(self, gradient: Tensor, vector: Tensor) -> Tensor:
        if has_once_differentiable(self.at_activation) or has_once_differentiable(gradient):
            raise no_derivative_error("an operation in it is marked once_differentiable")
        if not gradient.requires_grad:  # the utility is linear in the activation
            return torch.zeros_like(gradient)
        with with_gradients():
            along = (gradient * vector.clone()).sum()
            (product,) = gradients(along, [self._trace.activation])
            # None: the gradient does not depend on the activation, since the utility is linear in it.
            return torch.zeros_like(gradient) if product is None else product

    @property
    def _utility_key(self) -> Hashable:
        """Return the utility's part of the key of a check; it has the code, since two functions may have one name."""
        return self._utility.name, getattr(self._utility.function, "__code__", None)

    def _gradient_of_run(self, run: Callable[[Tensor], Any], activation: Tensor) -> Tensor:
        """Return the gradient at an activation, with the function `run` as the head; this needs no replay."""
        with with_gradients():
            leaf = activation.detach().requires_grad_()
            return gradient_of(self._utility_of_run(run, leaf).sum(), leaf)

    def _utility_of_run(self, run: Callable[[Tensor], Any], activation: Tensor) -> Tensor:
        return self._utility_of(run(activation))

    def _utility_of(self, output: Any) -> Tensor:
        """Return the utility on the activation's device; a model may return its output on another device."""
        return self._utility(output, self._target).to(self._activation.device)

    def _checked_gradient(self) -> Tensor:
        """Return the checked gradient at the images' own activation; differentiable if the pass is twice so."""
        if self._gradient_at_activation is None:
            with with_gradients():
                self._gradient_at_activation = gradient_of(
                    self.at_activation.sum(), self._trace.activation, create_graph=self._trace.twice_differentiable
                )
            self._check_gradient(self._gradient_at_activation.detach())
        return self._gradient_at_activation

    def _check_gradient(self, gradient: Tensor) -> None:
        """Compare the gradient with finite differences, once for each model and key."""
        activation, trace = self._activation, self._trace
        key = ("gradient", trace.layer, activation.shape, activation.dtype, activation.device, self._utility_key)
        if not needs_check(trace.owner, key):
            return
        evaluate: FunctionOfActivation = partial(self._utility_of_run, trace.rerun)
        evaluate_in_float64: FunctionOfActivation = partial(self._utility_of_run, trace.rerun_in_float64)
        case = GradientCase(activation, evaluate, evaluate_in_float64, _largest_number(trace.output))
        with without_gradients():
            check_gradient(case, gradient, trace.layer, self._utility.name)
        mark_checked(trace.owner, key)


def _largest_number(output: Any) -> float:
    """Return the largest finite absolute number in an output, in which masked logits may be -infinity."""
    numbers = (t.detach()[torch.isfinite(t.detach())] for t in float_tensors_of(output))
    return max((float(t.abs().max()) for t in numbers if t.numel()), default=0.0)


def gradient_of(value: Tensor, activation: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return the gradient of a scalar; `create_graph` keeps it differentiable.

    Raises:
        DerivativeError: an operation passes no gradient back. Autograd would return None, or an incomplete gradient.
    """
    gradient = None
    if value.requires_grad and operation_without_derivative(value) is None:
        (gradient,) = gradients(value, [activation], create_graph=create_graph)
    if gradient is None:
        raise no_gradient_error()
    return gradient
