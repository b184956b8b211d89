"""The probabilities of every attention in a pass, and their gradients, read from autograd's graph.

In this pass attention is computed by matrix products and a softmax instead of fused kernels. So each softmax over
tokens is a node of the graph, which stores its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.tracing._trace import Trace
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.torch_internals import saved, sequence_number, signed_dim

_SOFTMAXES = {"SoftmaxBackward0", "SafeSoftmaxBackward0"}


@dataclass(frozen=True)
class AttentionMap:
    """One attention: `probabilities` (..., queries, keys) and the utility's `gradient` with respect to them.

    The shape is (b, heads, queries, keys) for attention between all tokens. Other attention, for example in windows,
    has other leading dimensions.
    """

    probabilities: Float[Tensor, "*rows queries keys"]
    gradient: Float[Tensor, "*rows queries keys"]


@restore_when_interrupted
def attention_maps(traced: Trace, utility: Callable[[Any], Float[Tensor, " b"]]) -> list[AttentionMap]:
    """Return the attentions that the utility of a pass depends on, in running order; most CNNs have none.

    Costs one more pass of the whole model, with its gradient.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        images = traced.images.detach().clone().requires_grad_()
        total = utility(traced.output_from_images(images)).sum()
        return maps_of_nodes(attention_nodes(total), total, [images])


def attention_nodes(tensor: Tensor) -> list[Any]:
    """Return the nodes of all attentions in a tensor's graph, in running order."""
    attentions = [node for node in nodes(tensor) if node.name() in _SOFTMAXES and _is_attention(node)]
    return sorted(attentions, key=sequence_number)


def probabilities_of(node: Any) -> Float[Tensor, "*rows queries keys"]:
    """Return the probabilities of an attention's node, with the keys in the last axis."""
    return _with_keys_last(saved(node, "result").detach(), node)


def maps_of_nodes(attentions: Sequence[Any], total: Tensor, inputs: Sequence[Tensor]) -> list[AttentionMap]:
    """Return the attentions whose nodes get a gradient when `total` is differentiated with respect to `inputs`."""
    probabilities = [probabilities_of(node) for node in attentions]  # before the backward pass, which frees them
    gradients: dict[Any, Tensor] = {}
    handles = [node.register_prehook(_keep(gradients, node)) for node in attentions]
    try:
        torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    finally:
        for handle in handles:
            handle.remove()
    return [
        AttentionMap(result, gradients[node])
        for node, result in zip(attentions, probabilities, strict=True)
        if node in gradients
    ]


def _keep(gradients: dict[Any, Tensor], node: Any) -> Callable[[tuple[Tensor, ...]], None]:
    def keep(outputs: tuple[Tensor, ...]) -> None:
        gradients[node] = _with_keys_last(outputs[0].detach(), node)

    return keep


def _with_keys_last(numbers: Tensor, node: Any) -> Tensor:
    """Return a tensor with the axis over which the node's softmax runs, the keys, moved to the end."""
    return numbers.movedim(signed_dim(saved(node, "dim")), -1)


def _is_attention(node: Any) -> bool:
    """Return whether a softmax runs over the keys of queries, not over classes."""
    return bool(saved(node, "result").dim() >= 3)
