"""Utilities of changed images, one at a time as they come and as many at once as fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import ModelError
from shapleycam.game.coalition_batches import check_masked_finite
from shapleycam.game.game import Game
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_runner import TENSORS_AT_ONCE, LargestTensor
from shapleycam.tracing.agreement import rows_agree
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.reproducible import FACTORS


class ImageScorer:
    """Runs the whole model on changed images of a game.

    Images are changed and scored by batches that fit into the game's memory; the first one is scored alone, and shows
    how many that are. Of a model that gives an image another output alone than in a batch (batch statistics, dynamic
    quantisation), each is scored alone.

    Args:
        game: of the images.
        progress: called after each batch with the number of images that were scored so far; what it raises ends the
            work.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.game.image_scores import ImageScorer
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8), target=1)
        >>> scores = ImageScorer(game).scores(0, (game.images[0] * share for share in (0.0, 0.5, 1.0)))
        >>> scores.shape, torch.allclose(scores[2], game.full[0])
        (torch.Size([3]), True)
    """

    def __init__(self, game: Game, progress: Callable[[int], None] | None = None) -> None:
        self._game, self._progress = game, progress
        self._at_once: int | None = None
        self._scored = 0

    def scores(self, image: int, changed: Iterable[Float[Tensor, "*image"]]) -> Float[Tensor, " s"]:
        """Return the utilities (s,) of so many changed images that were made of one image of the game.

        Raises:
            OptionError: one is not finite.
        """
        images = iter(changed)
        scores = []
        while batch := list(islice(images, self._at_once or 1)):
            scores.append(self._score(image, torch.stack(batch)))
            self._scored += len(batch)
            if self._progress is not None:
                self._progress(self._scored)
        return torch.cat(scores) if scores else self._game.full[:0]

    def _score(self, image: int, batch: Float[Tensor, "s *image"]) -> Float[Tensor, " s"]:
        samples = torch.full((len(batch),), image, device=self._game.target.device)
        if self._at_once is None:
            with LargestTensor() as largest:
                utilities = self._game.score_images(batch, samples)
            bytes_per_image = TENSORS_AT_ONCE * max(int(largest.bytes), batch.nbytes)
            fitting = max(1, self._game.memory // bytes_per_image)
            self._at_once = fitting if fitting == 1 or _are_independent(self._game, image) else 1
        else:
            utilities = self._game.score_images(batch, samples)
        check_masked_finite(utilities, self._game.utility)
        return utilities


@restore_when_interrupted
def _are_independent(game: Game, image: int) -> bool:
    """Return whether an image, the same with half its contrast, and multiples have the same outputs alone as together.

    All are compared, as a maximum over the batch would not change each; the multiples have a condition of the first row
    otherwise than it has. A model that takes no so many images has to have them alone.
    """
    original = game.images[image]
    rows = torch.stack([original, 0.5 * original + 0.5, *(factor * original for factor in FACTORS)])
    samples = torch.full((len(rows),), image, device=game.target.device)
    with without_gradients():
        try:
            together = game.trace.output_of(rows, samples)
        except ModelError:
            return False
        alone = [game.trace.output_of(row[None], samples[:1]) for row in rows]
    return rows_agree(together, alone)
