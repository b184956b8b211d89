"""The models that the operator allows, the last ones used kept loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shapleycam.errors import ModelError, nearest
from shapleycam.explaining.explainer import Explainer
from shapleycam.models import zoo
from shapleycam.models.network import Network
from shapleycam.models.resolve import default_device
from shapleycam.web.kept import Kept

_LAYERS, _GAMES = 4, 16
"""Explainers and games kept for each model that is loaded."""


class Loaded:
    """A model, its explainers by layer, and the games that were played last; all leave together."""

    def __init__(self, network: Network, device: str | None) -> None:
        self.network, self._device = network, device or default_device()
        self._explainers: Kept[Explainer] = Kept(_LAYERS)
        self.games: Kept[Any] = Kept(_GAMES)

    def explainer(self, layer: str) -> Explainer:
        """The explainer at a layer."""
        return self._explainers.get(layer, lambda: Explainer(self.network, layer=layer, device=self._device))


class Shelf:
    """`allowed` are names as `--model` takes them; `most` of them are loaded at a time."""

    def __init__(self, allowed: Sequence[str], most: int = 2, device: str | None = None) -> None:
        self.allowed, self._device = tuple(allowed), device
        self._loaded: Kept[Loaded] = Kept(most)

    def model(self, name: str) -> Loaded:
        """A model, loaded if it is not.

        Raises:
            ModelError: it is not allowed here, or cannot be loaded.
        """
        if name not in self.allowed:
            raise ModelError(f"model {name!r} is not offered by this page; {nearest(name, self.allowed)}")
        return self._loaded.get(name, lambda: Loaded(zoo.load_network(name), self._device))

    def __len__(self) -> int:
        """How many are loaded."""
        return len(self._loaded)
