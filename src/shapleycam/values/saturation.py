"""Detect saturated heads, whose derivative at the activation is almost zero compared with v(N), and warn of them.

An example is the probability of a class that the model is sure of. Values from such a derivative are small whatever the
positions contribute, and would be misleading.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import SaturatedDerivativeWarning, warn
from shapleycam.game import Game
from shapleycam.precision import widened
from shapleycam.wording import percent

_SMALL = 0.05
"""Values count as almost zero if their absolute values sum to less than this share of |v(N)|."""


def first_order_sizes(game: Game) -> Float[Tensor, " b"]:
    """Return Σ_j |φ_j| (b,) of the first-order values φ_j = Σ_k (A - R)_jk g_jk of positions."""
    difference = widened(game.layout.positions(game.contents.difference))
    return (difference * widened(game.layout.positions(game.gradient()))).sum(2).abs().sum(1)


def may_be_saturated(game: Game, sizes: Float[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Return in which images values with these sums Σ_j |φ_j| may be almost zero compared with v(N), without any run.

    If the utility has class scores, they must also hardly change it, as for a probability near 0 or 1. For other
    outputs it is enough that the values are small compared with the utility.
    """
    full = game.full.abs().to(sizes)
    small = sizes <= _SMALL * full.clamp(min=1)
    slopes = _slopes(game) if bool(small.any()) else None
    return sizes <= _SMALL * full if slopes is None else small & (slopes.to(sizes) <= _SMALL)


def _slopes(game: Game) -> Float[Tensor, " b"] | None:
    """Return the sum of |∂U/∂z| over the class scores z (b,); None for an output without one row for each image."""
    output = game.trace.output
    if not game.utility.predicts or not isinstance(output, Tensor) or len(output) != len(game.target):
        return None
    with torch.inference_mode(mode=False), torch.enable_grad():
        scores = output.detach().clone().requires_grad_()
        (slopes,) = torch.autograd.grad(game.utility(scores, game.target).sum(), [scores])
    return slopes.abs().flatten(1).sum(1) if slopes.dim() > 1 else slopes.abs()


def is_saturated(game: Game, sizes: Float[Tensor, " b"]) -> Bool[Tensor, " b"]:
    """Return in which images values with these sums are almost zero compared with v(N) (one head evaluation)."""
    grand = game.grand.abs()
    return (sizes > 0) & (grand > game.rounding) & (sizes <= _SMALL * grand.to(sizes))


def warn_of_saturation(game: Game, images: Bool[Tensor, " b"], methods: list[str]) -> None:
    """Warn that the values of some methods are uninformative for some images."""
    which = ", ".join(map(str, images.nonzero().flatten().tolist()))
    warn(
        SaturatedDerivativeWarning,
        f"the values of {', '.join(methods)} sum to less than {percent(_SMALL)} of what there is to divide (image "
        f"{which} of the batch): the derivative of utility {game.utility.name!r} at the activation of layer "
        f"{game.layer!r} is next to nothing there, as where a probability is nearly 0 or 1; use method "
        "'pathcam-h' or 'sampledshapley', which look at more than this point, or utility 'rest'",
    )
