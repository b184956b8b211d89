"""Channel weights from the scores of the image under masks that are made of the channels.

Sources: Wang et al. 2020, arXiv:1910.01279 (Score-CAM, algorithm 1); Wang et al. 2020, arXiv:2006.14255 (SS-CAM); Naidu
et al. 2020, arXiv:2010.03023 (IS-CAM).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.cams.heatmaps import resize
from shapleycam.cams.masked_images import for_images, image_scorer, masked_basis, size_of_images
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.precision import widened
from shapleycam.values.options import EstimatorOptions

NOISY_MASKS = 10
NOISE = 2.0
"""Noisy masks of a channel, and the standard deviation of their noise, for SS-CAM."""
SHARES = tuple(step / 10 for step in range(1, 11))
"""Shares of the mask at which IS-CAM integrates the score."""
_ROUNDINGS = 8
_BROWN = "#8C510A"

Masks: TypeAlias = Iterator[Float[Tensor, "*size"]]
MaskVariants: TypeAlias = Callable[[Float[Tensor, "*size"], torch.Generator], Masks]
"""Yields the variants of one channel's mask, always the same number; random numbers are drawn in this order."""


def channel_weights(
    game: Game, options: EstimatorOptions, variants: MaskVariants, count: int
) -> Float[Tensor, "b n k"]:
    """Return channel weights, the same at every position: softmax_k of the mean utility of X * M.

    The mean is over `count` variants M of channel k's mask, which is the channel at the size of the image, scaled to
    [0, 1]. A constant channel has no mask and weight 0. (The papers subtract the score of a baseline. It is the same
    for all channels and cancels in the softmax.)

    Raises:
        OptionError: the activation, or the utility of a masked image, is not finite.
    """
    activation = widened(game.layout.positions(game.activation))
    maps = activation[:, game.layout.prefix :].transpose(1, 2).unflatten(2, game.layout.grid)
    _check_finite(game, maps)
    weights = torch.zeros_like(activation[:, 0])
    scorer = image_scorer(game, options)
    for image, (channels, seed) in enumerate(zip(maps, game.seeds(options.seed), strict=True)):
        generator = torch.Generator().manual_seed(seed)
        varies = _varies(channels)
        masks = (mask for channel in channels[varies] for mask in variants(_mask(game, channel), generator))
        masked = (game.images[image] * for_images(game, mask) for mask in masks)
        scores = widened(scorer.scores(image, masked)).unflatten(0, (-1, count)).mean(1)
        weights[image, varies] = scores.softmax(0).to(weights)
    return weights[:, None].expand(activation.shape)


def _varies(channels: Float[Tensor, "k *grid"]) -> Bool[Tensor, " k"]:
    """Return which channels differ between positions by more than rounding."""
    flat = channels.flatten(1)
    rounding = _ROUNDINGS * torch.finfo(flat.dtype).eps * flat.abs().amax(1)
    return flat.amax(1) - flat.amin(1) > rounding


def _mask(game: Game, channel: Float[Tensor, "*grid"]) -> Float[Tensor, "*size"]:
    """Return a channel at the size of the images, scaled to [0, 1]."""
    mask = resize(channel[None], size_of_images(game))[0]
    return (mask - mask.amin()) / (mask.amax() - mask.amin())


def _check_finite(game: Game, maps: Float[Tensor, "b k *grid"]) -> None:
    if not bool(torch.isfinite(maps).all()):
        raise OptionError(
            f"the activation of layer {game.layer!r} is not finite, so that its channels make no masks; expected "
            "finite numbers: choose another layer, or a method that does not mask images"
        )


def _plain(mask: Float[Tensor, "*size"], _: torch.Generator) -> Masks:
    yield mask


def _noisy(mask: Float[Tensor, "*size"], generator: torch.Generator) -> Masks:
    for _ in range(NOISY_MASKS):
        noise = torch.randn(mask.shape, generator=generator, dtype=torch.float32, device="cpu")
        yield mask + NOISE * noise.to(mask)


def _in_shares(mask: Float[Tensor, "*size"], _: torch.Generator) -> Masks:
    for share in SHARES:
        yield share * mask


def _scorecam(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    return channel_weights(game, options, _plain, 1)


def _sscam(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    return channel_weights(game, options, _noisy, NOISY_MASKS)


def _iscam(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    return channel_weights(game, options, _in_shares, len(SHARES))


CHANNEL_MASKS = masked_basis("channel masks", _scorecam, lambda _: 1, _BROWN, is_per_channel=True)
NOISY_CHANNEL_MASKS = masked_basis("noisy masks", _sscam, lambda _: NOISY_MASKS, _BROWN, is_per_channel=True)
CHANNEL_MASK_SHARES = masked_basis("shares of masks", _iscam, lambda _: len(SHARES), _BROWN, is_per_channel=True)
