"""Values of the methods that are asked for, from one game, each shared derivative taken once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.spreads import SPREADS
from shapleycam.cams.table import Derivative, Method
from shapleycam.game import Game
from shapleycam.images import content_seeds
from shapleycam.values.path import path
from shapleycam.values.taylor import first_order, second_order


@dataclass(frozen=True)
class CamValues:
    """`cells` (b, h, w), signed, in units of the utility where the method is; `prefix` (b,) is what the prefix
    tokens earned (they have no place in the image), None where the layer has none.
    """

    cells: Float[Tensor, "b h w"]
    prefix: Float[Tensor, " b"] | None


def derivatives(
    game: Game, needed: Iterable[Derivative], images: Float[Tensor, "b *image"], *, nodes: int, seed: int
) -> dict[Derivative, Float[Tensor, "b n k"]]:
    """Each needed derivative D, position by position, in float32 at least."""
    makers = {
        "first": lambda: game.layout.positions(first_order(game)),
        "second": lambda: game.layout.positions(second_order(game)),
        "path": lambda: game.layout.positions(path(game, nodes)),
        "random": lambda: random_weights(game, images, seed),
    }
    return {name: _precise(makers[name]()) for name in dict.fromkeys(needed)}


def cam_values(
    game: Game, methods: Iterable[Method], found: Mapping[Derivative, Float[Tensor, "b n k"]]
) -> dict[str, CamValues]:
    """The values of each method, by name."""
    activation = _precise(game.layout.positions(game.activation))
    return {method.name: _values(game, method, activation, found[method.derivative]) for method in methods}


def curvature_of(game: Game, second: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
    """‖φ₂ - φ₁‖₁ / (‖φ₁‖₁ + ‖φ₂ - φ₁‖₁) of the first- and second-order values: 0 for a linear head, below 1."""
    activation = _precise(game.layout.positions(game.activation))
    one = (activation * _precise(game.layout.positions(first_order(game)))).sum(2)
    change = ((activation * second).sum(2) - one).abs().sum(1)
    whole = one.abs().sum(1) + change
    return torch.where(whole > 0, change / whole, 0.0)


def random_weights(game: Game, images: Float[Tensor, "b *image"], seed: int) -> Float[Tensor, "b n k"]:
    """Weights uniform on [-1, 1], one a channel, seeded by each image's content."""
    positions = game.layout.positions(game.activation)
    drawn = []
    for image_seed in content_seeds(images, seed):
        generator = torch.Generator().manual_seed(image_seed)
        drawn.append(torch.rand(positions.shape[2], generator=generator) * 2 - 1)
    return torch.stack(drawn).to(positions.device)[:, None].expand(positions.shape)


def _values(
    game: Game, method: Method, activation: Float[Tensor, "b n k"], derivative: Float[Tensor, "b n k"]
) -> CamValues:
    skipped = game.layout.prefix
    places = SPREADS[method.spread](activation[:, skipped:], derivative[:, skipped:])
    prefix = None
    if skipped:
        prefix = (activation[:, :skipped] * derivative[:, :skipped]).sum((1, 2))
    cells = places.reshape(len(places), game.layout.height, game.layout.width)
    return CamValues(cells.float(), prefix)


def _precise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in {torch.float16, torch.bfloat16} else tensor
