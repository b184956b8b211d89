"""Which module a user means by a layer, and how often it runs in a pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import LayerError, nearest
from shapleycam.trace.guest import patched


def layer_name(model: nn.Module, layer: str | nn.Module) -> str:
    """The dotted name of a layer given by name or as the module itself.

    Raises:
        LayerError: not a part of the model.
    """
    names: dict[nn.Module, str] = {module: name for name, module in model.named_modules()}
    if isinstance(layer, nn.Module):
        if not names.get(layer):
            raise LayerError(f"the given {type(layer).__name__} is not a part of the model; give one of its modules")
        return names[layer]
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    if layer not in known:
        raise LayerError(f"layer {layer!r} is not in the model; {nearest(layer, known)}")
    return layer


def check_runs_once(model: nn.Module, layer: str, images: Tensor) -> None:
    """Run the model to see that the layer runs exactly once and returns one tensor.

    Raises:
        LayerError: it does not; the message names the calls, or what it returns.
    """
    calls: list[str] = []
    last = "the input"

    def watching(name: str, original: Callable[..., Any], *, is_layer: bool) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            if is_layer:
                calls.append(f"after {last}")
            value = original(*args, **kwargs)
            if is_layer:
                check_tensor(value, layer)
            last = name
            return value

        return forward

    chosen = model.get_submodule(layer)
    watched = {m: watching(name, m.forward, is_layer=m is chosen) for name, m in model.named_modules() if name}
    with patched(watched):
        model(images)
    if not calls:
        raise LayerError(
            f"layer {layer!r} never runs in a forward pass in eval mode; choose one that does "
            "(shapleycam layers MODEL lists them)"
        )
    if len(calls) > 1:
        raise LayerError(
            f"layer {layer!r} runs {len(calls)} times in a forward pass ({', '.join(calls)}), so it has no one "
            "activation; choose the block around it, or another layer"
        )


def check_tensor(value: Any, layer: str) -> None:
    """A layer can be explained whose output is one tensor of numbers.

    Raises:
        LayerError: it is something else.
    """
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return
    found = f"{value.dtype} numbers" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
    raise LayerError(
        f"layer {layer!r} returns {found}; expected one floating-point tensor: choose a layer inside or around it"
    )
