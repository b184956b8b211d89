"""What was explained, and how to ask the model the same of changed images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ShapleyCamWarning
from shapleycam.explaining.explainer import Explainer, UtilityChoice
from shapleycam.explaining.inputs import Batch, batch_of
from shapleycam.explanations.explanation import NO_CLASSES, Explanation
from shapleycam.game import Game
from shapleycam.images import Seed, content_seeds
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.scores import Form
from shapleycam.utilities import Utility, probabilities
from shapleycam.values.options import EstimatorOptions


@dataclass(frozen=True)
class Subject:
    """Images (b, c, h, w), the class of each, and the utility that was explained of it.

    `options` are what the explanations were made with; `form` is what the numbers of
    the model's output are, as the explanations say; `extra` are further inputs of the model.
    """

    explainer: Explainer
    images: Float[Tensor, "b c h w"]
    target: Int[Tensor, " b"]
    utility: UtilityChoice
    utility_name: str
    options: EstimatorOptions
    form: Form | None = "logits"
    extra: ExtraInputs = NO_EXTRA

    def scores(self, output: Any) -> Float[Tensor, " b"]:
        """What the model gives the class, from its output: its own probability, or of logits the softmax's, and the
        sigmoid's for a sigmoid utility.

        Raises:
            OptionError: the output is not of classes.
        """
        if not isinstance(output, Tensor) or output.dim() > 2 or self.utility_name in NO_CLASSES or self.form is None:
            raise OptionError("the model's output is not of classes, so that there are no scores to measure")
        return probabilities(output, self.utility_name, self.form).gather(1, self.target[:, None])[:, 0].detach()

    def score(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """The score of the class for changed images: one plain forward pass."""
        return self.scores(self.explainer.output(self._batch(images), self.utility))

    def explain(
        self, images: Float[Tensor, "b c h w"], methods: Sequence[str], seed: Seed | None = None
    ) -> dict[str, Explanation]:
        """Explanations of the same class of changed images, without the advice that the images' own came with."""
        options = self.options if seed is None else replace(self.options, seed=seed)
        with _no_advice():
            return self.explainer.compare_with(options, self._batch(images), methods, [self._given], self.utility)[0]

    def game(self) -> Game:
        """The game of each image."""
        return self.explainer.game(self._batch(self.images), self._given, self.utility, self.options.players)

    @property
    def seed(self) -> int:
        """Return the seed of the explanations, one for all images.

        Raises:
            OptionError: they had one for each image.
        """
        if not isinstance(self.options.seed, int):
            raise OptionError("seed= has a number for each image; metrics expect one for all")
        return self.options.seed

    def seeds(self, seed: int) -> list[int]:
        """One seed an image, from its content."""
        return content_seeds(self.images, seed)

    def single(self, index: int, explainer: Explainer) -> Subject:
        """One image, as another model sees it."""
        one = slice(index, index + 1)
        options, utility, players = self.options, self.utility, self.options.players
        if isinstance(players, Tensor) and players.dim() == self.images.dim() - 1:
            options = replace(options, players=players[one])
        if isinstance(utility, Utility) and utility.each is not None and len(utility.each) == len(self.images):
            utility = replace(utility, each=utility.each[one])
        return replace(
            self,
            explainer=explainer,
            images=self.images[one],
            target=self.target[one],
            utility=utility,
            options=options,
            extra=self.extra.rows(torch.tensor([index])),
        )

    @property
    def _given(self) -> Int[Tensor, " b"] | None:
        """The target to explain again with: an embedding's similarity asks of no class, and refuses one."""
        return None if self.utility_name == "similarity" else self.target

    def _batch(self, images: Float[Tensor, "b c h w"]) -> Batch:
        """Changed images with the further inputs of the images that they were made of."""
        batch = batch_of(images, None, self.explainer.model)
        return replace(batch, extra=self.extra)


@contextmanager
def _no_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShapleyCamWarning)
        yield
