"""The layer "input": the images that a model is called with, as the activation of a layer whose head is all of it.

A private copy of a model holds a module through which `running.run` sends the images on their way into the model. It is
no part of the tree of modules, so that no code of the model meets it, and it is intercepted as any other layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from shapleycam.tracing.modules import submodule

INPUT = "input"
"""The name of this layer, in models that have no module of that name."""
_ENTRANCE = "_shapleycam_entrance"
"""The attribute of a private copy that holds the module."""


class _Entrance(nn.Module):
    """Passes the images on to the model."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def add_entrance(copied: nn.Module) -> None:
    """Give a private copy the module through which the images enter it."""
    vars(copied)[_ENTRANCE] = _Entrance().eval()


def entrance_of(model: nn.Module) -> nn.Module | None:
    """Return the module through which the images enter a private copy; None of a model that is none."""
    entrance: nn.Module | None = vars(model).get(_ENTRANCE)
    return entrance


def is_input(model: nn.Module, layer: str) -> bool:
    """Return whether a layer's name means the model's input, and no module of that name."""
    return layer == INPUT and submodule(model, INPUT) is None


def image_as_layer(layer: str) -> str:
    """Return in words the layer that the images are, where a layer of the name `layer` is inside the model.

    Examples:
        >>> from shapleycam.tracing.input_layer import image_as_layer
        >>> image_as_layer("conv1"), image_as_layer("input")
        ("layer 'input'", "layer 'input' of Sequential(model)")
    """
    return f"layer {INPUT!r}" + (" of Sequential(model)" if layer == INPUT else "")


def layer_module(copied: nn.Module, layer: str) -> nn.Module:
    """Return the module of a private copy that is intercepted for a layer."""
    entrance = entrance_of(copied)
    return entrance if entrance is not None and is_input(copied, layer) else copied.get_submodule(layer)


def modules_by_name(copied: nn.Module, layer: str) -> dict[str, nn.Module]:
    """Return the modules of a private copy that are intercepted where all are, by name; the model itself is left out.

    The entrance is among them where it is the layer.
    """
    modules = {name: module for name, module in copied.named_modules() if name}
    return {INPUT: layer_module(copied, layer), **modules} if is_input(copied, layer) else modules
