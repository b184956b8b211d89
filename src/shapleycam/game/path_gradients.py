"""Gradients of the utility along the path from R to A, at many points in one run of the head."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.coalitions import CoalitionEvaluator
from shapleycam.game.contents import Contents
from shapleycam.game.derivatives import gradient_of
from shapleycam.game.grad_modes import with_gradients, without_gradients
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.tracing import Trace
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.tracing.torch_internals import results_of
from shapleycam.utilities import Utility


class PathGradients:
    """Weighted sums of gradients at points R + t·(A - R) on the path, for a traced batch.

    A run of the head takes as many points as fit into `memory` bytes. If the head reads only the mean over positions,
    it runs on the mean of each point instead, and some of the utilities are compared with the model's own.
    """

    def __init__(
        self,
        trace: Trace,
        contents: Contents,
        utility: Utility,
        target: Int[Tensor, " b"],
        coalitions: CoalitionEvaluator,
        memory: int,
    ) -> None:
        self._trace, self._contents, self._utility, self._target = trace, contents, utility, target
        self._coalitions, self._memory = coalitions, memory
        self._activation = contents.activation

    def weighted_sum(self, scales: Sequence[float], weights: Sequence[float]) -> Float[Tensor, "b *shape"]:
        """Return Σ_i w_i ∂U/∂A at R + t_i·(A - R).

        Raises:
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
            DerivativeError: an operation in the head has no derivative.
        """
        pooled = self._pooled(scales, weights) if self._coalitions.is_proven(PooledRunner) else None
        return self._sum_of_chunks(scales, weights) if pooled is None else pooled

    def _pooled(self, scales: Sequence[float], weights: Sequence[float]) -> Tensor | None:
        """Return the sum for a head that reads only the mean: at each position, the gradient by the mean divided by n.

        It is None if the utilities in the middle or at the end of the path differ from the model's own, and random
        coalitions refute the proof too.
        """
        utilities, gradients = self._gradients(scales, of_mean=True)
        if not self._are_confirmed(utilities, scales, sorted({len(scales) // 2, len(scales) - 1})):
            return None
        total = _weighted(gradients, weights) / self._contents.layout.count
        return total.expand_as(self._activation)

    def _are_confirmed(self, utilities: Tensor, scales: Sequence[float], picks: Sequence[int]) -> bool:
        """Return whether the utilities (points, b) at the points `picks` equal the model's own.

        Raises:
            ReplayError: they do not, although coalitions confirm the shortcut.
        """
        by_shortcut = utilities[picks]
        expected = self._utilities([scales[pick] for pick in picks])
        if self._coalitions.confirms(by_shortcut, expected):
            return True
        if self._coalitions.shortcut(PooledRunner) is not None:
            self._coalitions.check_shortcut(by_shortcut, expected)
        return False

    def _sum_of_chunks(self, scales: Sequence[float], weights: Sequence[float]) -> Tensor:
        """Return the sum for any head; each run takes as many points as fit into memory."""
        total = torch.zeros_like(self._activation)
        at_once = max(1, self._memory // max(1, len(self._activation) * self._bytes_of_image()))
        for start in range(0, len(scales), at_once):
            chunk = scales[start : start + at_once]
            _, gradients = self._gradients(chunk)
            total += _weighted(gradients, weights[start : start + at_once])
        return total

    def _utilities(self, scales: Sequence[float]) -> Float[Tensor, "points b"]:
        """Return the utilities at some points from runs of the head, without a graph."""
        with without_gradients():
            return self._utilities_of(self._points(scales), len(scales)).detach()

    def _gradients(
        self, scales: Sequence[float], *, of_mean: bool = False
    ) -> tuple[Float[Tensor, "points b"], Float[Tensor, "points b *shape"]]:
        """Return the utilities at some points, and their gradients; `of_mean` takes the mean of each point instead."""
        with with_gradients():
            leaf = (self._means(scales) if of_mean else self._points(scales)).requires_grad_()
            utilities = self._utilities_of(leaf, len(scales), of_any_size=of_mean)
            gradients = gradient_of(utilities.sum(), leaf)
        return utilities.detach(), gradients.unflatten(0, (len(scales), -1))

    def _points(self, scales: Sequence[float]) -> Float[Tensor, "rows *shape"]:
        return torch.cat([self._contents.along(t) for t in scales])

    def _means(self, scales: Sequence[float]) -> Float[Tensor, "rows *shape"]:
        """Return the means of the points over the positions, each as an activation of a single position."""
        mean = self._contents.mean
        return self._contents.layout.single_position(torch.cat([mean.along(t) for t in scales]))

    def _utilities_of(self, points: Tensor, count: int, *, of_any_size: bool = False) -> Tensor:
        """Return the utilities (points, b) of activations, which are those of all images at `count` points."""
        is_of_images = count == 1 and not of_any_size  # one row for each image, as in the traced pass
        samples = None if is_of_images else torch.arange(len(self._activation), device=points.device).repeat(count)
        run = self._trace.head_of_any_size if of_any_size else self._trace.head
        utilities = self._utility(run(points, samples), self._target.repeat(count), samples).to(points.device)
        return utilities.reshape(count, -1)

    def _bytes_of_image(self) -> int:
        """Return about how many bytes the graph takes for one image, estimated from the graph of the traced pass."""
        outputs = float_tensors_of(self._trace.output)
        results = (result for each in outputs for node in nodes(each) for result in results_of(node))
        numbers = sum(prod(result.shape) for result in results)
        return int(numbers * self._activation.element_size() // len(self._activation))


def _weighted(gradients: Float[Tensor, "points b *shape"], weights: Sequence[float]) -> Float[Tensor, "b *shape"]:
    """Return the weighted sum over the points."""
    total = torch.zeros_like(gradients[0])
    for gradient, weight in zip(gradients, weights, strict=True):
        total.add_(gradient, alpha=weight)
    return total
