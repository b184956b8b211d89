"""What a layer returns: its activation, alone or inside a tuple, list or dict, and attributes that refer to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.tracing.nested import is_in_transform, map_tensors, only_tensor, tensors_of


@dataclass(frozen=True)
class LayerOutput:
    """The structure of what a layer returns.

    Attributes:
        template: what the layer returned, with an empty tensor in place of the activation.
        attributes: the names of the layer's attributes that are the activation too; later parts of the model may read
            them.
    """

    template: Any
    attributes: tuple[str, ...]

    @classmethod
    def of(cls, value: Any, layer: nn.Module) -> LayerOutput:
        """Return the structure of `value`, which the layer has just returned."""
        activation = only_tensor(value)
        attributes = (
            name for name, attribute in vars(layer).items()
            if isinstance(attribute, Tensor) and activation is not None and _is_same_view(attribute, activation)
        )  # fmt: skip
        return cls(map_tensors(lambda tensor: tensor.new_empty(0), value), tuple(attributes))

    def fill(self, activation: Tensor, layer: nn.Module) -> Any:
        """Return what the layer returns for an activation; also set the layer's attributes to the activation."""
        vars(layer).update(dict.fromkeys(self.attributes, activation))
        return map_tensors(lambda _: activation, self.template)


def activation_in(value: Any, layer: str) -> Tensor:
    """Return the activation in what a layer returns: the only tensor, alone or in a tuple, list or dict.

    Raises:
        LayerError: the layer does not return exactly one floating-point tensor, or runs inside a function transform.
    """
    activation = only_tensor(value)
    if activation is not None and is_in_transform(activation):
        raise LayerError(
            f"layer {layer!r} runs inside a function transform of PyTorch (vmap, grad, jvp), which shows it other rows "
            "than the images; expected an activation with one row for each image: choose a layer outside of the "
            "transform, or layer 'input', or call the layer on the whole batch"
        )
    if activation is not None and activation.is_floating_point():
        return activation
    if activation is not None and activation.is_quantized:
        raise LayerError(
            f"layer {layer!r} returns quantised numbers ({activation.dtype}), which have no derivative; expected "
            "floating-point ones: choose a layer before or behind the quantised part, or give the model as it was "
            "before it was quantised"
        )
    description = f"{value.dtype} numbers" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
    if activation is None and not isinstance(value, torch.Tensor):
        description = f"{description} of {len(tensors_of(value))} tensors"
    raise LayerError(
        f"layer {layer!r} returns {description}; expected one floating-point tensor: choose a layer inside or around it"
    )


def _is_same_view(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors show the same memory with the same shape."""
    same_shape = first.shape == second.shape and first.stride() == second.stride()
    return same_shape and first.data_ptr() == second.data_ptr()
