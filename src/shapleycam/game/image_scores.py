"""`ImageScorer`: compute utilities of changed images from an iterator, in batches that fit into memory."""

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

    Images are scored in batches that fit into the game's memory. The first image is a batch of its own, which measures
    the memory of an image. If an image's output depends on the other images of its batch (batch statistics, dynamic
    quantisation), every image is a batch of its own.

    Args:
        game: the game of the original images.
        progress: a function that is called after each batch with the number of images scored so far; an exception ends
            the work.

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
        self._batch_size: int | None = None
        self._scored = 0

    def scores(self, image: int, changed: Iterable[Float[Tensor, "*image"]]) -> Float[Tensor, " s"]:
        """Return the utilities (s,) of the changed images, all of which were made from one image of the game.

        Raises:
            OptionError: a utility is not finite.
        """
        images = iter(changed)
        scores = []
        while batch := list(islice(images, self._batch_size or 1)):
            scores.append(self._score(image, torch.stack(batch)))
            self._scored += len(batch)
            if self._progress is not None:
                self._progress(self._scored)
        return torch.cat(scores) if scores else self._game.full[:0]

    def _score(self, image: int, batch: Float[Tensor, "s *image"]) -> Float[Tensor, " s"]:
        samples = torch.full((len(batch),), image, device=self._game.target.device)
        if self._batch_size is None:
            with LargestTensor() as largest:
                utilities = self._game.score_images(batch, samples)
            bytes_per_image = TENSORS_AT_ONCE * max(int(largest.bytes), batch.nbytes)
            fitting = max(1, self._game.memory // bytes_per_image)
            self._batch_size = fitting if fitting == 1 or _are_independent(self._game, image) else 1
        else:
            utilities = self._game.score_images(batch, samples)
        check_masked_finite(utilities, self._game.utility)
        return utilities


@restore_when_interrupted
def _are_independent(game: Game, image: int) -> bool:
    """Return whether the outputs of an image and of some changes of it are the same in a batch as one by one.

    The changes are half the contrast, and multiples of the image. All outputs are compared, since a maximum over the
    batch would not change each of them. A condition on the first row differs between the multiples. If the model
    refuses a batch of this size, the result is False.
    """
    original = game.images[image]
    rows = torch.stack([original, 0.5 * original + 0.5, *(factor * original for factor in FACTORS)])
    samples = torch.full((len(rows),), image, device=game.target.device)
    with without_gradients():
        try:
            in_batch = game.trace.output_of(rows, samples)
        except ModelError:
            return False
        one_by_one = [game.trace.output_of(row[None], samples[:1]) for row in rows]
    return rows_agree(in_batch, one_by_one)
