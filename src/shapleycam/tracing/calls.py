"""Which module a user means by a layer, and how often it runs in a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import LayerError, nearest
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.isolation import Interceptor, intercepted, run, undisturbed
from shapleycam.tracing.modules import submodule
from shapleycam.tracing.nested import map_tensors, only_tensor, tensors_of


def layer_name(model: nn.Module, layer: str | nn.Module) -> str:
    """The dotted name of a layer given by name or as the module itself.

    Raises:
        LayerError: not a part of the model.
    """
    if isinstance(layer, str) and submodule(model, layer) is not None:
        return layer
    if isinstance(layer, nn.Module):
        names: dict[nn.Module, str] = {module: name for name, module in model.named_modules()}
        if not names.get(layer):
            raise LayerError(f"the given {type(layer).__name__} is not a part of the model; give one of its modules")
        return names[layer]
    if not isinstance(layer, str):
        raise LayerError(f"layer is a {type(layer).__name__}; expected a dotted name or one of the model's modules")
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    raise LayerError(f"layer {layer!r} is not in the model; {nearest(layer, known)}")


def calls_around(
    model: nn.Module, layer: str, images: Tensor, extra: ExtraInputs
) -> tuple[frozenset[tuple[str, int]], Form]:
    """Run a private copy to see that the layer runs exactly once.

    Return inside which calls it runs, as (module, number of its call), and its form.

    Raises:
        LayerError: it never runs, runs several times (the message names the calls), or returns no single tensor.
    """
    chosen, last = model.get_submodule(layer), "the input"
    numbers: Counter[str] = Counter()
    running: list[tuple[str, int]] = []
    calls: list[tuple[str, frozenset[tuple[str, int]]]] = []
    forms: list[Form] = []

    def watching(name: str, module: nn.Module) -> Interceptor:
        def watch(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            nonlocal last
            if module is chosen:
                calls.append((f"after {last}", frozenset(running)))
            running.append((name, numbers[name]))
            numbers[name] += 1
            value = original(*args, **kwargs)
            running.pop()
            if module is chosen:
                activation_in(value, layer)
                forms.append(Form.of(value, module))
            last = name
            return value

        return watch

    functions = {module: watching(name, module) for name, module in model.named_modules() if name}
    with undisturbed(model), intercepted(functions, chosen):
        run(model, images, extra)
    if not calls:
        raise LayerError(
            f"layer {layer!r} never runs in a forward pass in eval mode; choose one that does "
            "(shapleycam layers MODEL lists them)"
        )
    if len(calls) > 1:
        raise LayerError(
            f"layer {layer!r} runs {len(calls)} times in a forward pass ({', '.join(place for place, _ in calls)}), "
            "so it has no one activation; choose the block around it, or another layer"
        )
    return calls[0][1], forms[0]


@dataclass(frozen=True)
class Form:
    """What a layer makes of its activation: the tensor itself, or a tuple around it; and where else it keeps it.

    `empty` is what it returned, without numbers; `held` are the layer's attributes that were the activation, which a
    later part of the model may read.
    """

    empty: Any
    held: tuple[str, ...]

    @classmethod
    def of(cls, value: Any, layer: nn.Module) -> Form:
        """The form of something that a layer just returned."""
        activation = only_tensor(value)
        held = (
            name for name, kept in vars(layer).items()
            if isinstance(kept, Tensor) and activation is not None and is_same_memory(kept, activation)
        )  # fmt: skip
        return cls(map_tensors(lambda tensor: tensor.new_empty(0), value), tuple(held))

    def put(self, activation: Tensor, layer: nn.Module) -> Any:
        """Return what the layer returns for an activation, and let it keep that one."""
        vars(layer).update(dict.fromkeys(self.held, activation))
        return map_tensors(lambda _: activation, self.empty)


def is_same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers in the same place and of the same shape."""
    return one.shape == other.shape and one.stride() == other.stride() and one.data_ptr() == other.data_ptr()


def activation_in(value: Any, layer: str) -> Tensor:
    """What a layer returns: one tensor of numbers, by itself or alone in a tuple.

    Raises:
        LayerError: it is something else.
    """
    activation = only_tensor(value)
    if activation is not None and activation.is_floating_point():
        return activation
    if activation is not None and activation.is_quantized:
        raise LayerError(
            f"layer {layer!r} returns quantised numbers ({activation.dtype}), which have no derivative; expected "
            "floating-point ones: choose a layer before or behind the quantised part, or give the model as it was "
            "before it was quantised"
        )
    found = f"{value.dtype} numbers" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
    if activation is None and not isinstance(value, torch.Tensor):
        found = f"{found} of {len(tensors_of(value))} tensors"
    raise LayerError(
        f"layer {layer!r} returns {found}; expected one floating-point tensor: choose a layer inside or around it"
    )
