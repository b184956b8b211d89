"""Find the module that a user means by a layer, and the calls of other modules around it in a forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.names import canonical_name, nearest
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import INPUT, layer_module, modules_by_name
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import run_context
from shapleycam.tracing.layer_output import LayerOutput, activation_in
from shapleycam.tracing.modules import submodule
from shapleycam.tracing.running import run

CallId: TypeAlias = tuple[str, int]
"""A call of a module in a forward pass: the module's dotted name, and the index of this call among its calls."""


def layer_name(model: nn.Module, layer: str | nn.Module) -> str:
    """Return the dotted name of a layer that is given by name or as the module itself.

    "input", in any spelling, is the model's input; if the model has a module of that name, it is that module.

    Raises:
        LayerError: the layer is not in the model.
    """
    if isinstance(layer, str) and submodule(model, layer) is not None:
        return layer
    if isinstance(layer, str) and canonical_name(layer, (INPUT,)) and submodule(model, INPUT) is None:
        return INPUT
    if isinstance(layer, nn.Module):
        names: dict[nn.Module, str] = {module: name for name, module in model.named_modules()}
        if not names.get(layer):
            raise LayerError(f"the given {type(layer).__name__} is not a part of the model; give one of its modules")
        return names[layer]
    if not isinstance(layer, str):
        raise LayerError(f"layer is a {type(layer).__name__}; expected a dotted name or one of the model's modules")
    names_in_model = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    raise LayerError(f"layer {layer!r} is not in the model; {nearest(layer, [*names_in_model, INPUT])}")


def enclosing_calls(
    model: nn.Module, layer: str, images: Tensor, extra: ExtraInputs
) -> tuple[frozenset[CallId], LayerOutput]:
    """Return the calls that are around the layer's own call, and the structure of what the layer returns.

    `model` is a private copy; it is run once, to check that the layer runs exactly once.

    Raises:
        LayerError: the layer never runs, runs several times (the message names the calls), or does not return one
            tensor.
    """
    target, previous = layer_module(model, layer), "the input"
    call_counts: Counter[str] = Counter()
    running: list[CallId] = []
    layer_calls: list[tuple[str, frozenset[CallId]]] = []
    outputs: list[LayerOutput] = []

    def observer(name: str, module: nn.Module) -> Interceptor:
        def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            nonlocal previous
            if module is target:
                layer_calls.append((f"after {previous}", frozenset(running)))
            running.append((name, call_counts[name]))
            call_counts[name] += 1
            value = original(*args, **kwargs)
            running.pop()
            if module is target:
                activation_in(value, layer)
                outputs.append(LayerOutput.of(value, module))
            previous = name
            return value

        return observe

    interceptors = {module: observer(name, module) for name, module in modules_by_name(model, layer).items()}
    with run_context(model), intercept_calls(interceptors, target):
        run(model, images, extra)
    if not layer_calls:
        raise LayerError(
            f"layer {layer!r} never runs in a forward pass in eval mode; choose one that does "
            "(shapleycam layers MODEL lists them)"
        )
    if len(layer_calls) > 1:
        raise LayerError(
            f"layer {layer!r} runs {len(layer_calls)} times in a forward pass "
            f"({', '.join(position for position, _ in layer_calls)}), "
            "so it has no one activation; choose the block around it, or another layer"
        )
    return layer_calls[0][1], outputs[0]


def rerun_layer_error(layer: str, runs: int, rows: int) -> LayerError:
    """Return the error for a layer that runs once for one image, but `runs` times for a batch of `rows`.

    Examples:
        >>> from shapleycam.tracing.calls import rerun_layer_error
        >>> print(rerun_layer_error("features", 3, 3))
        layer 'features' runs 3 times for a batch of 3, and once for one image (a loop over images ...
    """
    return LayerError(
        f"layer {layer!r} runs {runs} times for a batch of {rows}, and once for one image (a loop over images or "
        "chunks of them, or a condition on what they show); expected one run for the whole batch: choose layer "
        "'input', or mend the model"
    )
