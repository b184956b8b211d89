"""RISE: values from the scores of the image under random masks.

Source: Petsiuk et al. 2018, arXiv:1806.07421 (RISE), which takes 4,000 to 8,000 masks of 7 x 7 cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from shapleycam.cams.bases import PositionValues
from shapleycam.cams.heatmaps import resize
from shapleycam.cams.masked_images import for_images, image_scorer, masked_basis, size_of_images
from shapleycam.game import Game
from shapleycam.precision import widened
from shapleycam.values.options import EstimatorOptions
from shapleycam.wording import percent

MASKS = 1000
"""Masks of an image."""
SIDE = 7
"""Cells along each side of a mask."""
KEPT = 0.5
"""Probability that a cell is kept."""
_POOLS: dict[int, Callable[[Tensor, Any], Tensor]] = {2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def rise(game: Game, options: EstimatorOptions) -> PositionValues:
    """Return S = Σ_i (U_i - mean U) M_i / (N · E[M]), with U_i = U(X * M_i) and M_i averaged over each cell.

    The paper sums U_i itself, which adds mean U to every cell, and noise. Masks are drawn from the image's content and
    the seed.
    """
    scorer = image_scorer(game, options)
    values, notes = [], []
    for image, seed in enumerate(game.seeds(options.seed)):
        kept: list[Tensor] = []
        masked = _randomly_masked(game, image, torch.Generator().manual_seed(seed), kept)
        scores = widened(scorer.scores(image, masked))
        terms = (scores - scores.mean())[:, None] * torch.stack(kept).to(scores) / KEPT
        values.append(terms.mean(0))
        notes.append(_note_of_error(terms))
    of_cells = torch.stack(values)
    of_prefix = of_cells.new_zeros(len(of_cells), game.layout.prefix)
    return PositionValues(torch.cat([of_prefix, of_cells], 1), tuple(notes))


def _randomly_masked(
    game: Game, image: int, generator: torch.Generator, kept: list[Tensor]
) -> Iterator[Float[Tensor, "*image"]]:
    """Yield an image under each random mask; append to `kept` how much of each cell the mask keeps."""
    for _ in range(MASKS):
        mask = random_mask(size_of_images(game), generator).to(game.activation.device)
        kept.append(_mean_over_cells(game, mask))
        yield game.images[image] * for_images(game, mask)


def random_mask(size: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*size"]:
    """Return a mask of RISE: random cells, resized to one cell more than the image on each side, and randomly cropped.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.rise import random_mask
        >>> mask = random_mask((28, 28), torch.Generator().manual_seed(0))
        >>> mask.shape, bool((mask >= 0).all() and (mask <= 1).all())
        (torch.Size([28, 28]), True)
    """
    sides = [min(SIDE, side) for side in size]
    cells = [-(-side // count) for side, count in zip(size, sides, strict=True)]  # pixels of a cell, rounded up
    kept = torch.rand(sides, generator=generator, dtype=torch.float32, device="cpu") < KEPT
    larger = tuple((count + 1) * cell for count, cell in zip(sides, cells, strict=True))
    mask = resize(kept.float()[None], larger)[0]
    for axis, (cell, side) in enumerate(zip(cells, size, strict=True)):
        start = int(torch.randint(cell, (), generator=generator, device="cpu"))
        mask = mask.narrow(axis, start, side)
    return mask


def _note_of_error(terms: Float[Tensor, "masks cells"]) -> tuple[str, ...]:
    """Return a sentence with the values' standard error; nothing if the masks made no difference."""
    size = terms.mean(0).norm()
    if not bool(size > 0):
        return ()
    error = terms.std(0).norm() / len(terms) ** 0.5
    return (f"rise drew {len(terms):,} masks: the standard error of its values is {percent(float(error / size), 0)}",)


def _mean_over_cells(game: Game, mask: Float[Tensor, "*size"]) -> Float[Tensor, " cells"]:
    """Return the mean of a mask over each cell of the layer's grid, in reading order."""
    grid = game.layout.grid
    return _POOLS[len(grid)](mask[None, None], grid).flatten()


RANDOM_MASKS = masked_basis("random masks", rise, lambda _: MASKS, "#C7A76C")
