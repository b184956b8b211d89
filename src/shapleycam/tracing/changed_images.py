"""A model's output for changed images of a traced pass: in channels_last up to the layer, where that pass was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.agreement import first_row_equals
from shapleycam.tracing.channels_last import MemoryOrder, form_of, run_fastest
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.interception import intercept_calls
from shapleycam.tracing.layer_output import LayerOutput, activation_in
from shapleycam.tracing.running import run


def run_changed_images(
    owner: nn.Module, copied: nn.Module, images: Tensor, extra: ExtraInputs, layer: str, order: MemoryOrder | None
) -> Any:
    """Return the output of the private copy `copied` of the user's model `owner`.

    `order` is the order of memory in which the traced pass put the output of its layer, None where it ran by default.

    Raises:
        ModelError: the model raises.
    """
    module = copied.get_submodule(layer)

    def put_in_order(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        activation = activation_in(value, layer)
        return LayerOutput.of(value, module).fill(activation if order is None else order.apply(activation), module)

    def run_in(memory_order: MemoryOrder | None) -> Any:
        if memory_order is None:
            return run(copied, images, extra)
        with intercept_calls({module: put_in_order}, module):
            return run(copied, images, extra, channels_last=True)

    def proves(output: Any) -> bool:
        first = extra.rows(torch.zeros(1, dtype=torch.long, device="cpu"))
        return first_row_equals(output, len(images), run(copied, images[:1], first))

    form = None if order is None else form_of(owner, images, "output", layer)
    return run_fastest(owner, form, learn_order=lambda: order, run=run_in, proves=proves)
