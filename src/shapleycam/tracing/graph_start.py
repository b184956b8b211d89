"""The interceptor of the layer in a traced pass: it makes autograd's graph begin at the layer's output."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.attention import math_attention
from shapleycam.tracing.channels_last import BypassMonitor, MemoryOrder
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.layer_output import LayerOutput, activation_in
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.reduced_precision import ReducedPass


@dataclass(frozen=True)
class GraphStart:
    """The interceptor of the layer in a traced pass: the graph begins at the layer's output.

    Attributes:
        name: the layer's name.
        layer: the layer.
        head_contexts: the stack of contexts that are open from the layer to the end of the pass.
        recorder: records the model's last softmax or sigmoid.
        twice: whether what comes after the layer must have second derivatives.
        order: the memory order to put the activation in; None leaves it as it is.
        monitor: watches what the head reads.
        reduced: the part of the pass in bfloat16, which ends at the layer.
        activations: the activation, a leaf of the graph, after the layer has run.
        outputs: the structure of what the layer returned, once for each run.
    """

    name: str
    layer: nn.Module
    head_contexts: ExitStack
    recorder: NonlinearityRecorder
    twice: bool
    order: MemoryOrder | None = None
    monitor: BypassMonitor | None = None
    reduced: ReducedPass | None = None
    activations: list[Tensor] = field(default_factory=list)
    outputs: list[LayerOutput] = field(default_factory=list)

    def __call__(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        activation = activation_in(value, self.name)
        self.outputs.append(LayerOutput.of(value, self.layer))
        if len(self.outputs) > 1:
            return value
        if self.reduced is not None:
            activation = self.reduced.begin_head(activation.detach())
        # These contexts are entered here, in the middle of the pass, and exited in `SinglePass._run_model` at the end
        # of the pass. Only what comes after the layer is differentiated, and what comes before it must keep PyTorch's
        # own operations (docs/decisions.md, "Convolutions of the head are our own autograd function ...").
        if self.twice:
            self.head_contexts.enter_context(math_attention())
        self.head_contexts.enter_context(Differentiation(twice=self.twice))
        self.head_contexts.enter_context(self.recorder)
        leaf = activation.detach() if self.order is None else self.order.apply(activation.detach())
        if self.monitor is not None:
            self.monitor.add(leaf)
            self.head_contexts.enter_context(self.monitor)
        leaf = leaf.requires_grad_()
        self.activations.append(leaf)
        torch.set_grad_enabled(mode=True)  # a model may run the layer under no_grad, for example in a frozen backbone
        return self.outputs[0].fill(leaf.clone(), self.layer)  # a copy, because the head may write into it in place
