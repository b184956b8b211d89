"""`ExplainedBatch`: explained images, with the model's scores and explanations of changed versions of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, batch_of
from shapleycam.explaining.question import UtilityChoice
from shapleycam.explaining.reference import AnyRemoval
from shapleycam.explanations.explanation import NO_CLASSES, Explanation
from shapleycam.game import Game
from shapleycam.images import Seed, content_seeds
from shapleycam.smoothing import Smooth
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.score_conversion import OutputKind
from shapleycam.utilities import Utility, probabilities
from shapleycam.values.options import EstimatorOptions


@dataclass(frozen=True)
class ExplainedBatch:
    """Explained images, and the question that was asked about them.

    Attributes:
        explainer: the explainer.
        images: (b, c, h, w).
        target: (b,), the explained class of each image.
        utility: the explained utility.
        utility_name: its name.
        options: the estimator options of the explanations.
        form: the kind of the model's output, from the explanations.
        extra: the model's further inputs.
        removal: the removal of the explanations; None for the explainer's own.
        smooth: the smoothings of the explanations.
    """

    explainer: Explainer
    images: Float[Tensor, "b c h w"]
    target: Int[Tensor, " b"]
    utility: UtilityChoice
    utility_name: str
    options: EstimatorOptions
    form: OutputKind | None = "logits"
    extra: ExtraInputs = NO_EXTRA
    removal: AnyRemoval | None = None
    smooth: Smooth = ()

    def scores(self, output: Any) -> Float[Tensor, " b"]:
        """Return the score of each image's class: its probability (from logits by softmax or sigmoid).

        Raises:
            OptionError: the output does not have classes.
        """
        if not isinstance(output, Tensor) or output.dim() > 2 or self.utility_name in NO_CLASSES or self.form is None:
            raise OptionError("the model's output is not of classes, so that there are no scores to measure")
        target = self.target[:, None].to(output.device)
        scores = probabilities(output, self.utility_name, self.form).gather(1, target)[:, 0].detach()
        return scores.to(self.images.device)

    def score(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Return the score of each changed image's class, from one plain forward pass."""
        return self.scores(self.output(images))

    def output(self, images: Float[Tensor, "b c h w"]) -> Any:
        """Return the model's output for changed images, from one plain forward pass."""
        return self.explainer.output(self._batch(images), self.utility)

    def explain(
        self, images: Float[Tensor, "b c h w"], methods: Sequence[str], seed: Seed | None = None
    ) -> dict[str, Explanation]:
        """Return explanations of changed images for the same classes, without warnings."""
        options = self.options if seed is None else replace(self.options, seed=seed)
        with ignore_warnings():
            targets = [self._target_argument]
            batch = self._batch(images)
            [comparison] = self.explainer.compare_with(
                options, batch, methods, targets, self.utility, removal=self.removal, smooth=self.smooth
            )
            return comparison

    def game(self) -> Game:
        """Return the game of each image."""
        batch = self._batch(self.images)
        target, players = self._target_argument, self.options.players
        return self.explainer.game(batch, target, self.utility, players, removal=self.removal)

    @property
    def seed(self) -> int:
        """Return the seed of the explanations, the same for all images.

        Raises:
            OptionError: the explanations had a seed for each image.
        """
        if not isinstance(self.options.seed, int):
            raise OptionError("seed= has a number for each image; metrics expect one for all")
        return self.options.seed

    def seeds(self, seed: int) -> list[int]:
        """Return one seed for each image, from its content."""
        return content_seeds(self.images, seed)

    def single(self, index: int, explainer: Explainer) -> ExplainedBatch:
        """Return the batch of a single image, for another explainer."""
        row = slice(index, index + 1)
        options, utility, players = self.options, self.utility, self.options.players
        if isinstance(players, Tensor) and players.dim() == self.images.dim() - 1:
            options = replace(options, players=players[row])
        data = utility.image_data if isinstance(utility, Utility) else None
        if isinstance(utility, Utility) and data is not None and len(data) == len(self.images):
            utility = replace(utility, image_data=data[row])
        return replace(
            self,
            explainer=explainer,
            images=self.images[row],
            target=self.target[row],
            utility=utility,
            options=options,
            extra=self.extra.rows(torch.tensor([index], device="cpu")),
        )

    @property
    def _target_argument(self) -> Int[Tensor, " b"] | None:
        """Return the `target` argument of further explanations; None for utility "similarity", which has no class."""
        return None if self.utility_name == "similarity" else self.target

    def _batch(self, images: Float[Tensor, "b c h w"]) -> Batch:
        """Return changed images with the further inputs of the original images."""
        batch = batch_of(images, None, self.explainer.model)
        return replace(batch, extra=self.extra)
