"""Run the blocks of a transformer, each in its own autograd graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing._trace import Trace
from shapleycam.tracing.attention import math_attention, without_fast_path
from shapleycam.tracing.attention_maps import attention_nodes
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.interception import intercept_calls
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.nested import float_tensors_of, only_tensor
from shapleycam.tracing.running import run


@dataclass(frozen=True)
class BlockPass:
    """One call of a block: its input (a leaf of autograd's graph), its output, and its attention's graph node."""

    input: Tensor
    output: Tensor
    attention: Any


def block_series(model: nn.Module) -> Iterator[tuple[str, ...]]:
    """Yield the names of the modules in each `ModuleList` or `Sequential` whose modules have the same class."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.ModuleList, nn.Sequential)):
            children = dict(module.named_children())
            if children and len({type(child) for child in children.values()}) == 1:
                yield tuple(f"{name}.{child}" if name else child for child in children)


@restore_when_interrupted
def run_blocks(traced: Trace, blocks: tuple[str, ...]) -> list[BlockPass] | None:
    """Return the calls of these blocks for the images of a pass, each in a graph that begins at the block's input.

    None if these are not the blocks of a transformer: a block does not run exactly once or does not contain exactly one
    attention, or there is attention before or between the blocks. Costs one pass of the whole model.
    """
    passes: list[BlockPass | None] = []

    def run_block(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before = _first_tensor(args, kwargs)
        if before is None:
            passes.append(None)
            return original(*args, **kwargs)
        leaf = before.detach().requires_grad_()
        replace: Callable[[Any], Any] = lambda value: leaf if value is before else value  # noqa: E731
        with torch.enable_grad():
            value = original(*map(replace, args), **{name: replace(each) for name, each in kwargs.items()})
        output = only_tensor(value)
        attentions = [] if output is None or not output.requires_grad else attention_nodes(output)
        is_block = len(attentions) == 1 and len(attention_nodes(before)) == min(1, len(passes))
        passes.append(BlockPass(leaf, output, attentions[0]) if is_block and output is not None else None)
        return value

    with torch.inference_mode(mode=False), isolated_copy(traced.owner) as copied, math_attention(), without_fast_path():
        modules = {copied.get_submodule(name): run_block for name in blocks}
        with torch.enable_grad(), intercept_calls(modules), Differentiation(twice=False):
            run(copied, traced.images.detach().clone().requires_grad_(), traced.extra)
    complete = [each for each in passes if each is not None]
    return complete if len(complete) == len(passes) == len(blocks) else None


def _first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return the first argument that is a floating-point tensor; None if there is none."""
    arguments = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    return next(iter(float_tensors_of(arguments)), None)
