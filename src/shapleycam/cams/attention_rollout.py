"""Attention rollout: the products of the attention matrices of all blocks of a transformer.

Sources: Abnar & Zuidema 2020, arXiv:2005.00928 (rollout); Chefer, Gur & Wolf 2021, arXiv:2103.15679 (with gradients).
Both compute, block by block, how much each input token contributes to each token. The residual connection is the
identity matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost, PositionValues
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.precision import widened
from shapleycam.tracing.attention_maps import AttentionMap, attention_maps
from shapleycam.tracing.suspension import in_full_precision
from shapleycam.values.options import EstimatorOptions

_PINK = "#CC79A7"


def roll_out(maps: Sequence[AttentionMap]) -> Float[Tensor, "b n n"]:
    """Return Π_l (I + mean over heads of A_l) / 2: the part of each first token in each token of the last block."""
    rolled = _unit(maps[0])
    for each in maps:
        rolled = (_unit(each) + each.probabilities.mean(1)) / 2 @ rolled
    return rolled


def roll_out_gradients(maps: Sequence[AttentionMap]) -> Float[Tensor, "b n n"]:
    """Return R, which starts as I and in each block becomes R + (mean over heads of ReLU(A_l · ∂U/∂A_l)) R."""
    rolled = _unit(maps[0])
    for each in maps:
        rolled = rolled + (each.probabilities * each.gradient).relu().mean(1) @ rolled
    return rolled


def _rollout_values(roll: Callable[[Sequence[AttentionMap]], Float[Tensor, "b n n"]], game: Game) -> PositionValues:
    """Return the mean row of a rollout over the tokens that the output is read from."""
    maps = _global_maps(game)
    is_read = _rows_read(maps[-1])
    rolled = roll(maps)
    shares = is_read.to(rolled) / is_read.sum(1, keepdim=True)
    return PositionValues(torch.bmm(shares[:, None], rolled)[:, 0])


def _global_maps(game: Game) -> list[AttentionMap]:
    """Return all attentions of the model, each between all tokens of the layer.

    Raises:
        OptionError: the model has no attention, or one that is not between all tokens.
    """
    tokens = game.layout.prefix + prod(game.layout.grid)
    maps = [AttentionMap(widened(each.probabilities), widened(each.gradient)) for each in _attention_maps(game)]
    others = [shape for each in maps if not _is_global(shape := tuple(each.probabilities.shape), game, tokens)]
    if others or not maps:
        described = f"has attention of shape {others[0]}" if others else "has none"
        raise OptionError(
            f"rollout is of attention between all {tokens} tokens of layer {game.layer!r} in every block, of shape "
            f"({len(game.images)}, heads, {tokens}, {tokens}); the model {described}; choose "
            "a layer of tokens of a plain vision transformer, or method 'gradcam'"
        )
    return maps


def _attention_maps(game: Game) -> list[AttentionMap]:
    with in_full_precision():
        return attention_maps(game.trace, lambda output: game.utility(output, game.target))


def _is_global(shape: tuple[int, ...], game: Game, tokens: int) -> bool:
    """Return whether attention of this shape is between all tokens of an image, and not within windows."""
    return len(shape) == 4 and shape[0] == len(game.images) and shape[2:] == (tokens, tokens)


def _rows_read(last: AttentionMap) -> Bool[Tensor, "b n"]:
    """Return which tokens the output is read from: the queries of the last attention that have a gradient.

    Raises:
        OptionError: no query has a gradient.
    """
    is_read = (last.gradient != 0).any(3).any(1)
    if not bool(is_read.any(1).all()):
        raise OptionError(
            "the utility's gradient at the last attention is zero, so that rollout does not see which tokens the "
            "output is read from; choose another utility, such as 'logit'"
        )
    return is_read


def _unit(each: AttentionMap) -> Float[Tensor, "n n"]:
    return torch.eye(each.probabilities.shape[3], device=each.probabilities.device, dtype=each.probabilities.dtype)


def _plain(game: Game, _: EstimatorOptions) -> PositionValues:
    return _rollout_values(roll_out, game)


def _weighted(game: Game, _: EstimatorOptions) -> PositionValues:
    return _rollout_values(roll_out_gradients, game)


def _cost(_players: int, _nodes: int) -> Cost:
    return Cost(model_passes=1, head_gradients=1)


ATTENTION = Basis(
    "attention",
    _plain,
    _cost,
    "attention",
    _PINK,
    needs_model_passes=True,
    is_class_blind=True,
    is_conditional=True,
)
WEIGHTED_ATTENTION = Basis(
    "attention x gradient",
    _weighted,
    _cost,
    "attention",
    _PINK,
    needs_model_passes=True,
    is_conditional=True,
)
