"""`Resources`: what all answers of a server share: models, photographs, runs, and caches of results."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from shapleycam.errors import ShapleyCamError
from shapleycam.web.hidden_paths import HiddenPaths
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.photograph_store import PhotographStore
from shapleycam.web.runs import Runs
from shapleycam.web.shared_cache import SharedCache
from shapleycam.web.visitor_words import visitor_words

_LOG = logging.getLogger(__name__)
_CACHED, _CACHED_MEGABYTES = 24, 64
"""Limits of the cache of explanations and other results; a usual photograph has about 1.5 MB of them."""
_GAMES = 6
"""Maximum number of cached games; each holds the recordings of its forward pass."""


@dataclass(frozen=True)
class Resources:
    """The objects that all answers share."""

    models: ModelCache
    photographs: PhotographStore
    runs: Runs
    results: SharedCache[Any]
    games: SharedCache[Any]
    hidden: HiddenPaths
    server: str = field(default_factory=lambda: secrets.token_hex(4))
    """A name that no other start of a server has; the addresses of parts of a page contain it."""

    @classmethod
    def of(cls, models: ModelCache, photographs: PhotographStore, runs: Runs) -> Resources:
        """Return resources with empty caches."""
        hidden = HiddenPaths(models.names.by_full_name, runs.places)
        results: SharedCache[Any] = SharedCache(_CACHED, _CACHED_MEGABYTES)
        return cls(models, photographs, runs, results, SharedCache(_GAMES), hidden)

    def words_of(self, error: ShapleyCamError) -> str:
        """Return the message of an error in words for visitors; if they differ, the original message is logged."""
        text = self.hidden.hide(visitor_words(str(error)))
        if text != str(error):
            _LOG.warning("an answer was refused: %s", error)
        return text

    @property
    def caches(self) -> tuple[SharedCache[Any], ...]:
        """The caches of results that were made from photographs."""
        return tuple(value for value in vars(self).values() if isinstance(value, SharedCache))
