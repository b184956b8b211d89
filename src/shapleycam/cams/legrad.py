"""LeGrad: the gradient of each block's score by the block's attention.

Source: Bousselham et al. 2024, arXiv:2404.03214.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost, PositionValues
from shapleycam.errors import LayerError, OptionError, ReplayError
from shapleycam.game import Game
from shapleycam.precision import widened
from shapleycam.tracing.attention import math_attention
from shapleycam.tracing.attention_blocks import BlockPass, block_series, run_blocks
from shapleycam.tracing.attention_maps import AttentionMap, attention_nodes, maps_of_nodes, probabilities_of
from shapleycam.tracing.passes import trace
from shapleycam.tracing.suspension import in_full_precision
from shapleycam.values.options import EstimatorOptions

_TYPICAL_BLOCKS = 12


def mean_of_gradients(maps: Sequence[AttentionMap]) -> Float[Tensor, "b n"]:
    """Return for each token, as a key, the mean of ReLU(∂s_l/∂A_l) over blocks, heads and queries."""
    return torch.stack([widened(each.gradient).relu().mean((1, 2)) for each in maps]).mean(0)


def legrad(game: Game, _: EstimatorOptions) -> PositionValues:
    """Return the mean of the blocks' maps; s_l is the utility when block l's output replaces the last block's output.

    Raises:
        OptionError: the model is not a series of blocks with one attention each, between all tokens of the layer.
    """
    with in_full_precision():
        return PositionValues(mean_of_gradients(block_maps(game)))


def block_maps(game: Game) -> list[AttentionMap]:
    """Return the attention of each block, with the gradient of the utility of this block's output.

    Raises:
        OptionError: as `legrad`.
    """
    for blocks in block_series(game.trace.owner):
        passes = run_blocks(game.trace, blocks)
        if passes is not None:
            _check_attentions(game, passes)
            return _maps(game, blocks[-1], passes)
    raise _no_blocks_error(game, "no such series of blocks was found in it")


def _maps(game: Game, last: str, passes: Sequence[BlockPass]) -> list[AttentionMap]:
    traced = game.trace
    try:
        head = trace(traced.owner, traced.images, last, replay=True, select=traced.select, extra=traced.extra)
    except (LayerError, ReplayError) as error:
        raise _no_blocks_error(game, f"what comes after the last block cannot run by itself ({error})") from error
    head = head if traced.utility_input is None else head.read_as(traced.utility_input)
    # math_attention computes attention as products and a softmax: the gradient is read at the softmax's node.
    with torch.inference_mode(mode=False), torch.enable_grad(), math_attention():
        scores = [game.utility(head.head(each.output), game.target) for each in passes]
        nodes = [each.attention for each in passes]
        if len(attention_nodes(scores[-1])) != 1:
            raise _no_blocks_error(game, "it has attention behind them")
        return maps_of_nodes(nodes, torch.stack(scores).sum(), [each.input for each in passes])


def _check_attentions(game: Game, passes: Sequence[BlockPass]) -> None:
    tokens = game.layout.prefix + prod(game.layout.grid)
    for each in passes:
        shape = tuple(probabilities_of(each.attention).shape)
        if len(shape) != 4 or shape[0] != len(game.images) or shape[2:] != (tokens, tokens):
            raise _no_blocks_error(game, f"its attention has shape {shape}")


def _no_blocks_error(game: Game, reason: str) -> OptionError:
    tokens = game.layout.prefix + prod(game.layout.grid)
    return OptionError(
        f"method 'legrad' is of a series of blocks with one attention each, between all {tokens} tokens of layer "
        f"{game.layer!r}, and of nothing but these; the model is another: {reason}; choose a layer of tokens of a "
        "plain vision transformer, or method 'gradcam'"
    )


LEGRAD = Basis(
    "attention gradient",
    legrad,
    lambda _players, _nodes: Cost(head_evaluations=_TYPICAL_BLOCKS, head_gradients=1, model_passes=2),
    "attention",
    "#CC79A7",
    needs_model_passes=True,
    is_conditional=True,
)
