"""`ModelCache`: the models that the operator offers; the most recently used ones stay loaded."""

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
"""Maximum number of cached explainers of a loaded model, one for each layer."""


class LoadedModel:
    """A model with its explainers by layer, and the operator's reference photographs, preprocessed for this model."""

    def __init__(self, network: Network, device: str | None, reference: Sequence[Path] = ()) -> None:
        self.network, self._device, self._reference = network, device or default_device(), reference
        self._explainers: SharedCache[Explainer] = SharedCache(_EXPLAINERS)

    def explainer(self, layer: str) -> Explainer:
        """Return the explainer at a layer."""
        return self._explainers.get(layer, lambda: Explainer(self.network, layer=layer, device=self._device))

    @cached_property
    def reference_samples(self) -> ReferenceSamples:
        """The removal that takes the operator's reference photographs for absent places."""
        return ReferenceSamples(batch_of(list(self._reference), self.network.preprocess, self.network.model))


class ModelCache:
    """Loads the offered models, and keeps the most recently used ones.

    Args:
        offered: names as in the option `--model`; the first is the default.
        most: the maximum number of models that are loaded at a time.
        device: where the models run; None for the default device.
        reference: photographs that may replace absent places.
    """

    def __init__(
        self, offered: Sequence[str], most: int, device: str | None = None, reference: Sequence[Path] = ()
    ) -> None:
        self.names, self.device, self.reference = ModelNames(offered), device, reference
        self._loaded: SharedCache[LoadedModel] = SharedCache(most)
        self._identities: dict[str, tuple[str, ...]] = {}

    def get(self, name: str, check: Callable[[], None] = lambda: None) -> LoadedModel:
        """Return a model, and load it if necessary; an empty name means the first offered model.

        `check` is called while another thread loads the model, and may raise an error to stop waiting.

        Raises:
            ModelError: the model is not offered, cannot be loaded, or has changed since it was loaded before.
        """
        full = self.names.full(name)
        return self._loaded.get(full, lambda: self._load(full), check)

    def is_loaded(self, name: str) -> bool:
        """Return whether a model is loaded."""
        return self._loaded.peek(self.names.full(name)) is not None

    def _load(self, full: str) -> LoadedModel:
        """Load a model under its short name; if this fails, the reason is logged for the operator."""
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
        """Refuse a model that was replaced while it was not loaded.

        Answers, pictures and games of the earlier model are cached, and open in visitors' browsers, so parts of one
        answer would come from two models.
        """
        identity = (weights_hash(network.model), code_hash(network.model, full), repr(network.labels))
        if self._identities.setdefault(full, identity) != identity:
            _LOG.warning("model %s was exchanged or changed while the page ran; start the page again", full)
            raise ModelError(
                f"model {short!r} is another one than this page began with, so that answers would mix the two; tell "
                "the operator to start the page again, or choose another model"
            )

    def __len__(self) -> int:
        """Return the number of loaded models."""
        return len(self._loaded)
