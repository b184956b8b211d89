"""What is right for a random case, by plain hooks and autograd, each image by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import torch
from torch import Tensor

from by_hand import ByHand
from random_case import Case
from random_readouts import logits_of


class NoOracleError(Exception):
    """Plain autograd has no answer: the network's own code raises, or differences do not confirm it."""


class Oracle:
    """First and second order and coalitions in one precision, each image by itself."""

    def __init__(self, case: Case, dtype: torch.dtype) -> None:
        self._case, self._dtype = case, dtype
        model = case.plain_model(dtype)
        images = torch.cat([case.images, case.companions]).to(dtype)
        self._target = torch.cat([case.target, case.target[:1]])
        self._hands = [
            ByHand(model, case.layer, images[i : i + 1], case.utility, logits_of) for i in range(len(images))
        ]

    @cached_property
    def _gradients(self) -> Tensor:
        """∂U/∂A (b + 1, ...), of the images and their companion."""
        try:
            return torch.cat([hand.gradient(c[None]) for hand, c in zip(self._hands, self._target, strict=True)])
        except RuntimeError as error:
            raise NoOracleError(str(error).splitlines()[0]) from error

    @cached_property
    def _activations(self) -> Tensor:
        """A (b + 1, ...)."""
        return torch.cat([hand.activation for hand in self._hands])

    @cached_property
    def _curved(self) -> Tensor:
        """H·A (b + 1, ...); in float64 confirmed by differences of gradients, or made of these where autograd misses
        derivatives.
        """
        return torch.cat([self._product(hand, c[None]) for hand, c in zip(self._hands, self._target, strict=True)])

    def utility(self) -> float:
        """The largest utility of an image, in absolute value."""
        pairs = zip(self._hands, self._target, strict=True)
        return max(float(hand.utilities(hand.activation, c[None]).abs()) for hand, c in pairs)

    def _check_output(self) -> None:
        """Confirm that the output follows from what the layer returns.

        Raises:
            NoOracleError: it does not.
        """
        if self._dtype != torch.float64:
            return
        pairs = ((hand.outputs(hand.activation), hand.output) for hand in self._hands)
        if not all(torch.allclose(replayed, output, 1e-4, 1e-6) for replayed, output in pairs):
            raise NoOracleError("the layer's output shares its memory with what else is read, and is written in place")

    def answer(self, question: str) -> Tensor:
        """The values (b, n) that are right for one of `QUESTIONS`, the prefix tokens' last; of coalitions v (b, s).

        Raises:
            NoOracleError: plain autograd has none.
        """
        self._check_output()
        return QUESTIONS[question](self)

    @cache  # noqa: B019  # an oracle lives for one case
    def first(self) -> Tensor:
        """Σ_k g·A by position, of the images and their companion."""
        self._check_gradient()
        return self._summed(self._activations * self._gradients)

    @cache  # noqa: B019
    def second(self) -> Tensor:
        """Σ_k A·(g - ½ H·A) by position."""
        return self.first() - 0.5 * self._summed(self._activations * self._curved)

    def by_channel(self) -> Tensor:
        """Σ_k A·(the mean of g over the positions of the image): GradCAM's."""
        grid, first = self._case.grid, self.first()
        weights = grid.positions(self._gradients)[:, grid.prefix :].mean(1, keepdim=True)
        cells = (grid.positions(self._activations)[:, grid.prefix :] * weights).sum(2)
        return torch.cat([cells, first[:, -1:]], 1)

    def coalitions(self) -> Tensor:
        """v (b, s) of the case's coalitions, one run of the whole model each."""
        grid, rows = self._case.grid, []
        for hand, coalitions, c in zip(self._hands, self._case.coalitions, self._target, strict=False):
            nothing = hand.utilities(torch.zeros_like(hand.activation), c[None])
            places = torch.cat([coalitions[:, -1:].expand(-1, grid.prefix), coalitions], 1)
            places = places[:, :-1] if grid.prefix else places
            masks = [grid.spread(places[s : s + 1].to(hand.activation)) for s in range(len(places))]
            rows.append(torch.cat([hand.utilities(hand.activation * mask, c[None]) - nothing for mask in masks]))
        return torch.stack(rows)

    def _check_gradient(self) -> None:
        """Confirm the first image's gradient by a difference along a direction that leaves zeros (a ReLU's) zeros.

        Raises:
            NoOracleError: at no step they agree.
        """
        if self._dtype != torch.float64:
            return
        hand, target = self._hands[0], self._target[:1]
        signs = torch.randn(hand.activation.shape, generator=torch.Generator().manual_seed(0))
        direction = hand.activation * signs.to(hand.activation)
        slope = float((self._gradients[:1] * direction).sum())
        room = 1e-4 * max(abs(slope), 1e-2 * float(self._gradients[0].norm() * direction.norm()), 1e-9)
        for step in (1e-4, 1e-5, 1e-6, 1e-7):
            ends = [hand.utilities(hand.activation + sign * step * direction, target) for sign in (1, -1)]
            if abs(float(ends[0] - ends[1]) / (2 * step) - slope) < room:
                return
        raise NoOracleError("the gradient is not what differences give")

    def _product(self, hand: ByHand, target: Tensor) -> Tensor:
        try:
            product = hand.hessian_vector(target, hand.activation)
        except RuntimeError as error:
            raise NoOracleError(str(error).splitlines()[0]) from error
        if self._dtype != torch.float64:
            return product
        differences = []
        for step in (1e-4, 1e-5, 1e-6):
            ends = [hand.gradient(target, hand.activation * (1 + sign * step)) for sign in (1, -1)]
            differences.append((ends[0] - ends[1]) / (2 * step))
        gradient = hand.gradient(target)
        room = 1e-4 * max(float(product.norm()), float(differences[1].norm()), 1e-4 * float(gradient.norm()), 1e-12)
        if any(float((product - difference).norm()) < room for difference in differences):
            return product
        if float((differences[0] - differences[1]).norm()) < room:
            return differences[1]
        raise NoOracleError("the second derivative is not what differences give")

    def _summed(self, products: Tensor) -> Tensor:
        """By position (b, n), the prefix tokens' together last (0 where there are none)."""
        positions, prefix = self._case.grid.positions(products).sum(2), self._case.grid.prefix
        return torch.cat([positions[:, prefix:], positions[:, :prefix].sum(1, keepdim=True)], 1)

    def own_batch(self, values: Tensor) -> Tensor:
        """The images' rows."""
        return values[: len(self._case.images)]

    def other_batch(self, values: Tensor) -> Tensor:
        """The first image's row alone; of a batch of one, that and its companion's."""
        return values[:1] if len(self._case.images) > 1 else values


QUESTIONS: dict[str, Callable[[Oracle], Tensor]] = {
    "hirescam": lambda oracle: oracle.own_batch(oracle.first()),
    "gradcam": lambda oracle: oracle.own_batch(oracle.by_channel()),
    "shapleycam-h": lambda oracle: oracle.own_batch(oracle.second()),
    "coalitions": lambda oracle: oracle.coalitions(),
    "hirescam, in another batch": lambda oracle: oracle.other_batch(oracle.first()),
    "shapleycam-h, in another batch": lambda oracle: oracle.other_batch(oracle.second()),
}
"""What is asked of each case; in another batch: the first image alone, or a single image beside its companion."""
