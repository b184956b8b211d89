"""The CRG game of a batch of images: what coalitions of positions are worth, and the utility's derivatives.

The players are the positions of the layer, or regions of them; a coalition keeps the content of its positions and
zeroes the rest (content reserved game, arXiv:2501.06261).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ReplayError
from shapleycam.game.evaluation import Evaluation, check_finite, plain
from shapleycam.game.finite_differences import CurvatureCase, Evaluate, Point, check_curvature, check_gradient
from shapleycam.game.players import Regions, players_of
from shapleycam.game.structure import Structure
from shapleycam.images import Seed, content_seeds
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace
from shapleycam.tracing.checked import once, passed
from shapleycam.tracing.graph import (
    derivatives,
    has_foreign_functions,
    missing_derivative,
    no_derivative,
    none_passed_on,
    not_differentiable,
)
from shapleycam.tracing.nested import numbers_of
from shapleycam.tracing.suspension import without_autocast
from shapleycam.utilities import Utility

MEMORY = 64 * 2**20
"""Bytes that a batch of coalitions may take, unless the user says otherwise."""


class Game:
    """The game of each image of a traced batch.

    `activation` is A (b, ...), `layout` says which of its dimensions are positions, `target` (b,) the classes,
    `players` who plays. Coalitions are evaluated in batches that take about `memory` bytes.
    """

    def __init__(
        self,
        trace: Trace,
        layout: Layout,
        utility: Utility,
        target: Int[Tensor, " b"],
        players: Regions = None,
        memory: int = MEMORY,
    ) -> None:
        if memory < 1:
            raise OptionError(f"memory is {memory}; expected the number of bytes that a batch of coalitions may take")
        self.activation = trace.activation.detach()
        self.layout = layout
        self.utility = utility
        self.target = target
        self.players = players_of(players, layout, len(self.activation), self.activation.device)
        self._trace = trace
        self._evaluation = Evaluation(trace, self.players, utility, target, memory)
        with _differentiable():
            self._utility_at_activation = utility(trace.output, target)
        if trace.is_differentiable and not self._utility_at_activation.requires_grad:
            raise OptionError(
                f"utility {utility.name!r} does not depend on the model's output, or detaches it; expected a "
                "differentiable function of it"
            )
        check_finite(self._utility_at_activation, utility)
        self._gradient_at_activation: Tensor | None = None

    @property
    def layer(self) -> str:
        """The layer's dotted name."""
        return self._trace.layer

    @property
    def n_players(self) -> int:
        """How many players there are; prefix tokens together are one, the last."""
        return self.players.count

    @property
    def full(self) -> Float[Tensor, " b"]:
        """U(head(A)), the utility with every position in its place."""
        return self._utility_at_activation.detach()

    @cached_property
    def empty(self) -> Float[Tensor, " b"]:
        """U(head(0)), the utility with no position in its place."""
        with plain():
            found = self.at(torch.zeros_like(self.activation)).detach()
            check_finite(found, self.utility)
            return found

    @property
    def grand(self) -> Float[Tensor, " b"]:
        """v(N) = U(head(A)) - U(head(0)), what is divided."""
        return self.full - self.empty

    def seeds(self, seed: Seed) -> list[int]:
        """One seed an image, from its content and the user's seed."""
        return content_seeds(self._trace.images, seed)

    def value(
        self,
        coalitions: Bool[Tensor, "s n"] | Bool[Tensor, "a s n"],
        images: Int[Tensor, " a"] | Sequence[int] | None = None,
    ) -> Float[Tensor, "a s"]:
        """v(S) = U(head(A·1_S)) - U(head(0)) of coalitions: (s, n) the same for all images, or (a, s, n) one set each.

        `images` are the images of the batch that are played; None means all.

        Raises:
            OptionError: coalitions of another size or kind, or a utility that is not finite for one.
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
        """
        device = self.activation.device
        chosen = torch.arange(len(self.activation)) if images is None else torch.as_tensor(images, dtype=torch.long)
        chosen = chosen.to(device)
        players = self._checked(coalitions, len(chosen)).to(device)
        with plain():
            return self._evaluation.utilities(players, chosen) - self.empty[chosen, None]

    def at(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """U(head(activation)), differentiable where the activation requires a gradient.

        Raises:
            ReplayError: the pass was not recorded for replay.
        """
        return self.utility(self._trace.head(activation), self.target)

    @property
    def images(self) -> Float[Tensor, "b *image"]:
        """The network's inputs."""
        return self._trace.images

    def score_images(self, images: Float[Tensor, "s *image"], samples: Int[Tensor, " s"]) -> Float[Tensor, " s"]:
        """Return the utility of changed images: one pass of the whole model, protected as every other.

        `samples` (s,) says which image of the batch each of `images` was made of: its class, its data of the utility
        and its row of further inputs belong to it. Rows are not divided into smaller batches.

        Example:
            >>> import matplotlib, torch, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> game = shapleycam.Explainer("efficientnet_lite0", device="cpu").game(photo)
            >>> darker = game.score_images(0.5 * game.images, torch.tensor([0]))
            >>> darker.shape, bool(darker < game.full)
            (torch.Size([1]), True)
        """
        with plain():
            return self.utility(
                self._trace.output_of(images, samples), self.target[samples.to(self.target.device)], samples
            )

    def gradient(self, activation: Float[Tensor, "b *shape"] | None = None) -> Float[Tensor, "b *shape"]:
        """∂U/∂A at an activation; at the image's own without an argument, which needs no further head pass."""
        if activation is None:
            return self._own_gradient().detach()
        with _differentiable():
            leaf = (activation.clone() if activation.is_inference() else activation).detach().requires_grad_()
            value = self.at(leaf).sum()
            return _derivative(value, leaf)

    def gradients_along(self, scales: Sequence[float]) -> Iterator[Float[Tensor, "b *shape"]]:
        """∂U/∂A at t·A for each t; of a head that reads only the mean, all at once."""
        if self._evaluation.pooled is None:
            yield from (self.gradient(t * self.activation) for t in scales)
            return
        contents = self.layout.positions(self.activation).mean(1)
        steps, images = len(scales), len(contents)
        with _differentiable():
            leaf = torch.cat([t * contents for t in scales]).detach().requires_grad_()
            samples = torch.arange(images, device=leaf.device).repeat(steps)
            output = self._trace.head_of_any_size(self.layout.single(leaf), samples)
            utility = self.utility(output, self.target.repeat(steps), samples)
            found = _derivative(utility.sum(), leaf) / self.layout.count
        with plain():  # one of the nodes again, as the model itself has it
            again = steps // 2
            self._evaluation.check(
                utility.detach()[again * images :][:images], self.at(scales[again] * self.activation)
            )
        for gradient in self.layout.single(found).unflatten(0, (steps, images)):
            yield gradient.expand_as(self.activation)

    def hvp(self, vector: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """H·vector, H = ∂²U/∂A² at the image's own activation, each image by itself.

        Raises:
            ReplayError: the pass was not made twice differentiable.
            DerivativeError: something after the layer has no second derivative.
        """
        if not self._trace.twice_differentiable:
            raise ReplayError("this pass has first derivatives only; trace the model with twice_differentiable=True")
        gradient = self._own_gradient()
        found = self._hessian_product(gradient, vector)
        key = ("curvature", self.layer, self.activation.shape, self.activation.dtype, self._question)
        if has_foreign_functions(self._utility_at_activation) and once(self._trace.owner, key):
            own = found if vector is self.activation else self._hessian_product(gradient, self.activation)
            by_rerun, precisely = (self._gradient_by(run) for run in (self._trace.rerun, self._trace.rerun_in_float64))
            check_curvature(CurvatureCase(self.activation, gradient.detach(), own, by_rerun, precisely), self.layer)
            passed(self._trace.owner, key)
        return found

    def _hessian_product(self, gradient: Tensor, vector: Tensor) -> Tensor:
        if not_differentiable(self._utility_at_activation) or not_differentiable(gradient):
            raise no_derivative("an operation in it is marked once_differentiable")
        if not gradient.requires_grad:  # the utility is linear in the activation
            return torch.zeros_like(gradient)
        with _differentiable():
            along = (gradient * vector.clone()).sum()
            (product,) = derivatives(along, [self._trace.activation])
            return torch.zeros_like(gradient) if product is None else product  # linear in what depends on it

    @property
    def structure(self) -> Structure:
        """What the head's operations prove about the game, and its coalitions confirm."""
        return self._evaluation.structure

    def _checked(self, coalitions: Tensor, images: int) -> Tensor:
        expected = f"booleans (s, {self.n_players}) or ({images}, s, {self.n_players})"
        if not isinstance(coalitions, torch.Tensor) or coalitions.dtype != torch.bool:
            kind = coalitions.dtype if isinstance(coalitions, torch.Tensor) else type(coalitions).__name__
            raise OptionError(f"coalitions are {kind}; expected {expected}, True for a player that takes part")
        whole = coalitions.expand(images, *coalitions.shape) if coalitions.dim() == 2 else coalitions
        if whole.dim() != 3 or (len(whole), whole.shape[2]) != (images, self.n_players):
            raise OptionError(f"coalitions have shape {tuple(coalitions.shape)}; expected {expected}")
        return whole

    @property
    def _question(self) -> Hashable:
        """What a utility is known by in checks that are made once: its name may be that of another function."""
        return self.utility.name, getattr(self.utility.function, "__code__", None)

    def _gradient_by(self, rerun: Callable[[Tensor], Any]) -> Evaluate:
        """The gradient at another activation, by running the head again, also of a pass that was not recorded."""

        def gradient_at(activation: Tensor) -> Tensor:
            with _differentiable():
                leaf = activation.detach().requires_grad_()
                return _derivative(self.utility(rerun(leaf), self.target).sum(), leaf)

        return gradient_at

    def _check_gradient(self, gradient: Tensor) -> None:
        """Compare the gradient with finite differences, once for a model and what its kernels depend on."""
        activation, trace = self.activation, self._trace
        key = ("gradient", self.layer, activation.shape, activation.dtype, activation.device, self._question)
        if not once(trace.owner, key):
            return

        def evaluate(head: Callable[[Tensor], Any]) -> Evaluate:
            return lambda at: self.utility(head(at), self.target)

        largest = _largest_of(trace.output)
        with plain():
            check_gradient(
                Point(activation, evaluate(trace.rerun), evaluate(trace.rerun_in_float64), largest),
                gradient,
                self.layer,
                self.utility.name,
            )
        passed(trace.owner, key)

    def _own_gradient(self) -> Tensor:
        if self._gradient_at_activation is None:
            with _differentiable():
                total = self._utility_at_activation.sum()
                self._gradient_at_activation = _derivative(
                    total, self._trace.activation, again=self._trace.twice_differentiable
                )
            self._check_gradient(self._gradient_at_activation.detach())
        return self._gradient_at_activation


def _largest_of(output: Any) -> float:
    """The largest finite number in an output; masked logits may be -inf."""
    numbers = (t.detach()[torch.isfinite(t.detach())] for t in numbers_of(output))
    return max((float(t.abs().max()) for t in numbers if t.numel()), default=0.0)


@contextmanager
def _differentiable() -> Iterator[None]:
    """Gradients on, also inside the caller's no_grad or inference_mode, and none in autocast's precision."""
    with torch.inference_mode(mode=False), torch.enable_grad(), without_autocast():
        yield


def _derivative(value: Tensor, activation: Tensor, *, again: bool = False) -> Tensor:
    """The gradient; `again` keeps it differentiable.

    Raises:
        DerivativeError: an operation passes none on. (Autograd returns None there, or leaves its part out.)
    """
    gradient = None
    if value.requires_grad and missing_derivative(value) is None:
        (gradient,) = derivatives(value, [activation], create_graph=again)
    if gradient is None:
        raise none_passed_on()
    return gradient
