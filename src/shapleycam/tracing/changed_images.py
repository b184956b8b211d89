"""Run a model on images in a new pass, with the memory order and precision of the traced passes.

So an image that was not changed has the same output as in the traced pass, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.agreement import first_row_equals
from shapleycam.tracing.channels_last import MemoryOrder, form_of, run_fastest
from shapleycam.tracing.checks import check_result
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import layer_module
from shapleycam.tracing.interception import intercept_calls
from shapleycam.tracing.layer_output import LayerOutput, activation_in
from shapleycam.tracing.reduced_precision import Precision, ReducedPass
from shapleycam.tracing.running import run


def run_as_at_layers(
    owner: nn.Module,
    copied: nn.Module,
    images: Tensor,
    extra: ExtraInputs,
    layers: Iterable[str],
    precision: Precision = "full",
) -> Any:
    """Return the output of `copied`, a private copy of the user's model `owner`.

    The pass runs in channels_last if traced passes of such a batch do at one of the layers; with bfloat16 it runs in
    bfloat16 up to the first of the layers.

    Raises:
        ModelError: the model raises.
    """
    for layer in layers:
        if precision != "full":
            return run_as_traced(owner, copied, images, extra, layer, None, precision)
        form = form_of(owner, images, layer)
        order = None if form is None else check_result(owner, form)
        if order:
            return run_as_traced(owner, copied, images, extra, layer, order)
    return run(copied, images, extra)


def run_as_traced(
    owner: nn.Module,
    copied: nn.Module,
    images: Tensor,
    extra: ExtraInputs,
    layer: str,
    order: MemoryOrder | None,
    precision: Precision = "full",
) -> Any:
    """Return the output of `copied`, as `run_as_at_layers`, computed as one traced pass computed it.

    `order` is the memory order in which that pass put the output of its layer; None if it ran in the default memory
    order. If no traced pass had a batch of this form, a run of the first image alone proves that channels_last gives
    the default result.

    Raises:
        ModelError: the model raises.
    """
    if precision != "full":
        return _run_reduced(owner, copied, images, extra, layer)
    if order is None:
        return run(copied, images, extra)
    module = layer_module(copied, layer)

    def put_in_order(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        activation = activation_in(value, layer)
        return LayerOutput.of(value, module).fill(order.apply(activation), module)

    def run_in(memory_order: MemoryOrder | None) -> Any:
        if memory_order is None:
            return run(copied, images, extra)
        with intercept_calls({module: put_in_order}, module):
            return run(copied, images, extra, channels_last=True)

    def proves(output: Any) -> bool:
        extra_of_first = extra.rows(torch.zeros(1, dtype=torch.long, device="cpu"))
        return first_row_equals(output, len(images), run(copied, images[:1], extra_of_first))

    form = form_of(owner, images, layer)
    if form is not None and check_result(owner, form) is None:
        # A traced pass has more to prove than this pass, so this proof has a key of its own.
        form = "output", form
    return run_fastest(owner, form, learn_order=lambda: order, run=run_in, proves=proves)


def _run_reduced(owner: nn.Module, copied: nn.Module, images: Tensor, extra: ExtraInputs, layer: str) -> Any:
    """Return the output of a pass that runs in bfloat16 up to the layer, as `run_checked` runs it."""
    module, reduced, form = layer_module(copied, layer), ReducedPass(images.device), form_of(owner, images, layer)
    order = check_result(owner, form) if form else None

    def begin_head(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        activation = reduced.begin_head(activation_in(value, layer))
        return LayerOutput.of(value, module).fill(order.apply(activation) if order else activation, module)

    with reduced.running(), intercept_calls({module: begin_head}, module):
        return run(copied, images, extra, channels_last=bool(order))
