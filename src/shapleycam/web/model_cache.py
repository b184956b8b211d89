"""The models that the operator offers, the last ones used kept loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from shapleycam.errors import ModelError, ShapleyCamError
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import batch_of
from shapleycam.explaining.reference import ReferenceSamples
from shapleycam.models import zoo
from shapleycam.models.network import Network
from shapleycam.models.resolve import default_device
from shapleycam.web.model_names import ModelNames
from shapleycam.web.shared_cache import SharedCache

_LOG = logging.getLogger(__name__)
_EXPLAINERS = 4
"""Explainers that a loaded model keeps, one a layer."""


class LoadedModel:
    """A model, with its explainers by layer and the operator's photographs as it takes them, which leave with it."""

    def __init__(self, network: Network, device: str | None, reference: Sequence[Path] = ()) -> None:
        self.network, self._device, self._reference = network, device or default_device(), reference
        self._explainers: SharedCache[Explainer] = SharedCache(_EXPLAINERS)

    def explainer(self, layer: str) -> Explainer:
        """Return the explainer at a layer."""
        return self._explainers.get(layer, lambda: Explainer(self.network, layer=layer, device=self._device))

    @cached_property
    def reference_samples(self) -> ReferenceSamples:
        """The removal by the operator's photographs."""
        return ReferenceSamples(batch_of(list(self._reference), self.network.preprocess, self.network.model))


class ModelCache:
    """`offered` are names as `--model` takes them, the first the default; `most` of them are loaded at a time.

    `reference` are photographs that may stand in for absent places.
    """

    def __init__(
        self, offered: Sequence[str], most: int, device: str | None = None, reference: Sequence[Path] = ()
    ) -> None:
        self.names, self.device, self.reference = ModelNames(offered), device, reference
        self._loaded: SharedCache[LoadedModel] = SharedCache(most)
        self._identities: dict[str, tuple[str, ...]] = {}

    def get(self, name: str, check: Callable[[], None] = lambda: None) -> LoadedModel:
        """Return a model, loaded if it is not; the first that is offered for an empty name.

        `check` is called while another thread loads it, and may end the waiting by an error.

        Raises:
            ModelError: it is not offered, or cannot be loaded, or is another one than when it was loaded before.
        """
        full = self.names.full(name)
        return self._loaded.get(full, lambda: self._load(full), check)

    def is_loaded(self, name: str) -> bool:
        """Return whether a model is loaded already."""
        return self._loaded.peek(self.names.full(name)) is not None

    def _load(self, full: str) -> LoadedModel:
        """Load a model under its short name; why it cannot be loaded is the operator's affair, and is logged."""
        short = self.names.canonical(full)
        try:
            network = zoo.load_network(full)
        except ShapleyCamError as error:
            _LOG.warning("model %s could not be loaded: %s", full, error)
            raise ModelError(
                f"model {short!r} could not be loaded, and the server has logged why; choose another model, or tell "
                "the operator of this page"
            ) from error
        self._check_unchanged(full, short, network)
        return LoadedModel(replace(network, name=short), self.device, self.reference)

    def _check_unchanged(self, full: str, short: str, network: Network) -> None:
        """Refuse a model that was exchanged while it was not loaded.

        Answers, pictures and games of the earlier one are kept, and open in visitors' browsers: parts of one answer
        would be of two models.
        """
        identity = (weights_hash(network.model), code_hash(network.model, full), repr(network.labels))
        if self._identities.setdefault(full, identity) != identity:
            _LOG.warning("model %s was exchanged or changed while the page ran; start the page again", full)
            raise ModelError(
                f"model {short!r} is another one than this page began with, so that answers would mix the two; tell "
                "the operator to start the page again, or choose another model"
            )

    def __len__(self) -> int:
        """Return how many are loaded."""
        return len(self._loaded)
