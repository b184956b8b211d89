"""Explainers for one or several layers, with the layout that a `reshape_transform` implies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from shapleycam.compat.layouts import layout_of_layers
from shapleycam.compat.questions import utility_of
from shapleycam.errors import LayerError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Inputs
from shapleycam.models.layout import Layout


def check_layers(layers: Any) -> list[nn.Module | str]:
    """Return target layers as a list.

    Raises:
        LayerError: `layers` is not a list of at least one layer. A single module that contains others (Sequential) is
            refused too, because its own output may be meant.

    Examples:
        >>> from shapleycam.compat.layer_explainers import check_layers
        >>> check_layers(("layer3", "layer4"))
        ['layer3', 'layer4']
    """
    is_list = isinstance(layers, Iterable) and not isinstance(layers, (str, nn.Module))
    if not is_list and not isinstance(layers, nn.ModuleList):
        raise LayerError(
            f"target_layers is a {type(layers).__name__}; expected a list of the model's modules: [layer] for one"
        )
    checked = list(layers)
    if not checked:
        raise LayerError("target_layers is empty; expected at least one of the model's modules")
    return checked


class LayerExplainers:
    """The explainers of a model at some layers, one for each layout, because the layout depends on the image size.

    Args:
        model: maps images (b, c, h, w) to its output.
        layers: modules of the model, or their names; their heatmaps are fused.
        reshape_transform: maps an activation to (b, c, h, w); None if the layout can be proven.
        fuse: how heatmaps are fused, as in `Explainer`.

    Raises:
        LayerError: a layer does not belong to the model.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[nn.Module | str],
        reshape_transform: Callable[[Any], Tensor] | None,
        fuse: str = "mean",
    ) -> None:
        self._model, self._layers, self._fuse = model, list(layers), fuse
        self._reshape_transform = reshape_transform
        self._explainers: dict[Layout | str | None, Explainer] = {}
        self._layouts: dict[tuple[int, ...], Layout | str | None] = {}
        self.any_layout = self._explainer(None)  # refuses layers that do not belong to the model

    def at(self, images: Tensor, inputs: Inputs = None) -> Explainer:
        """Return the explainer for images of this size; `inputs` are further inputs of the model.

        Raises:
            OptionError: `reshape_transform` implies no single layout, as in `layout_of_layers`.
        """
        size = tuple(images.shape[1:])
        if size not in self._layouts:
            image = images[:1] if inputs is None else images
            self._layouts[size] = layout_of_layers(self._shapes(image, inputs), self._reshape_transform)
        return self._explainer(self._layouts[size])

    def _shapes(self, images: Tensor, inputs: Inputs) -> list[tuple[int, ...]]:
        """Return the shape of each layer's activation."""
        explainers = [Explainer(self._model, layer=layer) for layer in self._layers]
        utility = utility_of(None, len(images))
        batches = [explainer.trace(images, [], utility, inputs=inputs) for explainer in explainers]
        return [tuple(batch.traced.activation.shape) for batch in batches]

    def _explainer(self, layout: Layout | str | None) -> Explainer:
        if layout not in self._explainers:
            self._explainers[layout] = Explainer(self._model, layer=self._layers, layout=layout, fuse=self._fuse)
        return self._explainers[layout]
