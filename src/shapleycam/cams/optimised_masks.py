"""Channel weights that are optimised to maximise the score of the image under the map.

Source: Zhang et al. 2024, arXiv:2301.07002 (Opti-CAM).
"""

from __future__ import annotations

from math import nan

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost
from shapleycam.cams.heatmaps import resize
from shapleycam.cams.masked_images import for_images, size_of_images
from shapleycam.game import Game
from shapleycam.game.coalition_batches import check_masked_finite
from shapleycam.precision import widened
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.passes import activation_of_one
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.progress import Progress

STEPS = 100
RATE = 0.1
"""Steps of Adam and their size, as in the paper."""


def optimised_weights(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return channel weights softmax(u), the same at every position, with u optimised by Adam to maximise U(X * M(u)).

    M(u) is the map Σ_k softmax(u)_k A_k at the size of the image, scaled to [0, 1]. The optimisation starts at u = 0.

    Raises:
        OptionError: the utility of a masked image is not finite.
    """
    shape = game.layout.positions(game.activation).shape
    weights = [_optimise(game, _maps(game, image), image, options.progress) for image in range(len(game.images))]
    return torch.stack(weights)[:, None].expand(shape)


def _maps(game: Game, image: int) -> Float[Tensor, "k *grid"]:
    """Return the activation of an image by channels, from a pass of this image alone.

    Adam divides each gradient by its own size, so that a gradient of rounding alone moves a weight as far as any other.
    The rounding of a pass of several images would make the map depend on the others.
    """
    activation = widened(game.layout.positions(activation_of_one(game.trace, image)))
    maps: Tensor = activation[0, game.layout.prefix :].transpose(0, 1).unflatten(1, game.layout.grid)
    return maps


@restore_when_interrupted
def _optimise(game: Game, maps: Float[Tensor, "k *grid"], image: int, progress: Progress | None) -> Float[Tensor, " k"]:
    """Return the weights of one image; `progress` is called with the steps that all images have taken so far."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        maps = maps.clone()  # a tensor that was made in inference mode cannot be used in autograd
        u = torch.zeros(len(maps), dtype=maps.dtype, device=maps.device, requires_grad=True)
        adam = torch.optim.Adam([u], lr=RATE)
        for step in range(STEPS):
            utility = _utility_under(game, torch.tensordot(u.softmax(0), maps, dims=1), image)
            check_masked_finite(utility.detach(), game.utility)
            (u.grad,) = torch.autograd.grad(-utility.sum(), [u], allow_unused=True, materialize_grads=True)
            adam.step()
            if progress is not None:
                progress(image * STEPS + step + 1, nan)
        return u.detach().softmax(0)


def _utility_under(game: Game, combined: Float[Tensor, "*grid"], image: int) -> Float[Tensor, "1"]:
    """Return U(X * M); the mask M is the map, resized to the image and scaled to [0, 1], and 0 for a constant map."""
    resized = resize(combined[None], size_of_images(game))[0]
    lowest = resized.amin()
    mask = (resized - lowest) / (resized.amax() - lowest).clamp(min=torch.finfo(resized.dtype).tiny)
    samples = torch.tensor([image], device=game.target.device)
    masked = game.images[image : image + 1] * for_images(game, mask)
    return game.utility(game.trace.output_from_images(masked, samples), game.target[samples], samples)


OPTIMISED_MASKS = Basis(
    "optimised mask",
    optimised_weights,
    lambda _players, _nodes: Cost(model_passes=STEPS, head_gradients=STEPS),
    "masked images",
    "#A6611A",
    needs_model_passes=True,
)
