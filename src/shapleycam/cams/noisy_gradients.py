"""Channel weights from gradients of noisy images, as in Smooth Grad-CAM++.

Source: Omeiza et al. 2019, arXiv:1908.01224. Powers of the gradient replace higher derivatives, as in GradCAM++. Each
power is averaged over the noisy images before the weights are computed. (For the paper's first derivative torch-cam
takes the gradient of the last noisy image; here it is the mean over all noisy images.)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost
from shapleycam.game import Game
from shapleycam.game.variants import game_of_images
from shapleycam.precision import widened
from shapleycam.values.options import EstimatorOptions

SAMPLES = 4
"""Noisy images, as torch-cam's default."""
DEVIATION = 0.3
"""Standard deviation of the noise in units of the preprocessed image, as torch-cam's default."""
_EPSILON = 1e-8


def noisy_images(game: Game, options: EstimatorOptions) -> list[Float[Tensor, "b *image"]]:
    """Return `SAMPLES` noisy copies of the batch; the noise of an image is drawn from its content and the seed."""
    size = (SAMPLES, *game.images.shape[1:])
    noise = []
    for image_seed in game.seeds(options.seed):
        generator = torch.Generator().manual_seed(image_seed)
        noise.append(torch.randn(size, generator=generator, dtype=torch.float32, device="cpu") * DEVIATION)
    return [game.images + sample.to(game.images) for sample in torch.stack(noise, 1)]


def smooth_weights(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return the weight Σ_j α_jk ReLU(D1_jk) of each channel, the same at every position; sums skip prefix tokens.

    α = D2 / (2 D2 + D3 Σ_j A_jk), where Dp is the mean of the p-th power of the gradient over the noisy images.
    """
    layout, prefix = game.layout, game.layout.prefix
    activation = widened(layout.positions(game.activation))
    exponents = torch.arange(1, 4, device=activation.device)[:, None, None, None]
    powers = torch.zeros_like(activation).expand(3, *activation.shape)
    for images in noisy_images(game, options):
        powers = powers + widened(layout.positions(game_of_images(game, images).gradient())) ** exponents / SAMPLES
    first, second, third = powers[:, :, prefix:]
    share = second / (2 * second + third * activation[:, prefix:].sum(1, keepdim=True) + _EPSILON)
    weights: Tensor = (torch.where(second == 0, 0.0, share) * first.relu()).sum(1)
    return weights[:, None].expand(activation.shape)


NOISY = Basis(
    "noisy images",
    smooth_weights,
    lambda _players, _nodes: Cost(head_gradients=SAMPLES, model_passes=SAMPLES),
    "noisy images",
    "#EE8866",
    needs_model_passes=True,
)
