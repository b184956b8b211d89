"""The models that the operator offers, the last ones used kept loaded."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import ModelError, nearest
from shapleycam.explaining.explainer import Explainer
from shapleycam.models import zoo
from shapleycam.models.network import Network
from shapleycam.models.resolve import default_device
from shapleycam.web.shared_cache import SharedCache

_EXPLAINERS = 4
"""Explainers that a loaded model keeps, one a layer."""


class LoadedModel:
    """A model, and its explainers by layer, which leave with it."""

    def __init__(self, network: Network, device: str | None) -> None:
        self.network, self._device = network, device or default_device()
        self._explainers: SharedCache[Explainer] = SharedCache(_EXPLAINERS)

    def explainer(self, layer: str) -> Explainer:
        """Return the explainer at a layer."""
        return self._explainers.get(layer, lambda: Explainer(self.network, layer=layer, device=self._device))


class ModelCache:
    """`offered` are names as `--model` takes them, the first the default; `most` of them are loaded at a time."""

    def __init__(self, offered: Sequence[str], most: int, device: str | None = None) -> None:
        self.offered, self.device = tuple(offered), device
        self._loaded: SharedCache[LoadedModel] = SharedCache(most)

    def get(self, name: str) -> LoadedModel:
        """Return a model, loaded if it is not; the first that is offered for an empty name.

        Raises:
            ModelError: it is not offered, or cannot be loaded.
        """
        chosen = name or self.offered[0]
        if chosen not in self.offered:
            raise ModelError(f"model {name!r} is not offered by this page; {nearest(name, self.offered)}")
        return self._loaded.get(chosen, lambda: LoadedModel(zoo.load_network(chosen), self.device))

    def __len__(self) -> int:
        """Return how many are loaded."""
        return len(self._loaded)
