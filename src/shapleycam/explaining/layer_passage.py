"""Whether images pass a layer that a rule found, for the images of each call."""

from __future__ import annotations

import torch
from torch import nn

from shapleycam.errors import LayerBypassedWarning, is_ignored, warn
from shapleycam.explaining.inputs import Batch
from shapleycam.layers.only_way import OnlyWay, prove_only_way
from shapleycam.layers.way_around import has_way_around
from shapleycam.lru_cache import LRUCache
from shapleycam.tracing.output_reading import OutputSelector

_MAX_SIZES = 64
"""For how many image sizes the proofs about a layer are stored."""


class LayerPassage:
    """Warns once if an image also reaches the output without passing a layer that a rule found.

    One run of the model proves for most networks that no image of this size does. For others (several branches, gates,
    code that reads the image) every image is tried, at two runs each.

    Args:
        layer: the layer's dotted name.
        rule: the rule that found it.
    """

    def __init__(self, layer: str, rule: str) -> None:
        self._layer, self._rule = layer, rule
        self._proofs: LRUCache[torch.Size, OnlyWay] = LRUCache(_MAX_SIZES)
        self._has_warned = False

    def check(self, model: nn.Module, batch: Batch, select: OutputSelector) -> None:
        """Warn if there is an image in the batch that reaches the output by another way."""
        if self._has_warned or is_ignored(LayerBypassedWarning):
            return
        images = [batch.rows(torch.tensor([index], device="cpu")) for index in range(len(batch.images))]
        for index, image in enumerate(images):
            if not self._is_proven_for(model, image, select) and has_way_around(
                model, image.images, self._layer, select, image.extra
            ):
                self._warn(index)
                return

    def _is_proven_for(self, model: nn.Module, image: Batch, select: OutputSelector) -> bool:
        size = image.images.shape[1:]
        proof = self._proofs.get(size)
        if proof is None or not proof.holds_with(image.extra):
            proof = prove_only_way(model, image.images, self._layer, select, image.extra)
            self._proofs.put(size, proof)
        return proof.is_proven

    def _warn(self, index: int) -> None:
        self._has_warned = True
        image = f"image {index} of the batch" if index else "the image"
        warn(
            LayerBypassedWarning,
            f"layer {self._layer!r}, which rule {self._rule!r} finds, is not the only way from {image} to the output, "
            "as in a network of several branches or of a branch with a gate: maps show what goes through this layer "
            "alone; give the layers of all branches in layer=, or layer='input'",
        )
