"""The layer "input": the images are the activation, and the whole model is the head.

A private copy of a model has an additional module, the entrance; `running.run` passes the images through it to the
model. The entrance is not registered as a submodule, so the model's own code does not see it. It is intercepted like
any other layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from shapleycam.tracing.modules import submodule

INPUT = "input"
"""The name of this layer; in a model with a module of this name it means that module."""
_ENTRANCE = "_shapleycam_entrance"
"""The name of the private copy's attribute that contains the entrance."""


class _Entrance(nn.Module):
    """Returns the images, so that an interceptor can replace them before they reach the model."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def add_entrance(copied: nn.Module) -> None:
    """Add the entrance to a private copy."""
    vars(copied)[_ENTRANCE] = _Entrance().eval()


def entrance_of(model: nn.Module) -> nn.Module | None:
    """Return the entrance of a private copy; None if the model is not a private copy."""
    entrance: nn.Module | None = vars(model).get(_ENTRANCE)
    return entrance


def is_input(model: nn.Module, layer: str) -> bool:
    """Return whether a layer's name means the model's input, not a module of that name."""
    return layer == INPUT and submodule(model, INPUT) is None


def image_as_layer(layer: str) -> str:
    """Return how a message should name the layer of the images to a user who chose the module `layer`.

    Examples:
        >>> from shapleycam.tracing.input_layer import image_as_layer
        >>> image_as_layer("conv1"), image_as_layer("input")
        ("layer 'input'", "layer 'input' of Sequential(model)")
    """
    return f"layer {INPUT!r}" + (" of Sequential(model)" if layer == INPUT else "")


def layer_module(copied: nn.Module, layer: str) -> nn.Module:
    """Return the module of a private copy to intercept for a layer: the entrance or a module of the model."""
    entrance = entrance_of(copied)
    return entrance if entrance is not None and is_input(copied, layer) else copied.get_submodule(layer)


def modules_by_name(copied: nn.Module, layer: str) -> dict[str, nn.Module]:
    """Return all modules of a private copy to intercept, by name, without the model itself.

    The entrance is included if it is the layer.
    """
    modules = {name: module for name, module in copied.named_modules() if name}
    return {INPUT: layer_module(copied, layer), **modules} if is_input(copied, layer) else modules
