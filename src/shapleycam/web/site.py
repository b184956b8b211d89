"""What an operator offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shapleycam.web.photographs import Limits


@dataclass(frozen=True)
class Site:
    """What an operator offers: models by name, runs by place, photographs to begin with; and what is too much."""

    models: Sequence[str] = ("efficientnet_lite0",)
    loaded: int = 2
    device: str | None = None
    runs: Sequence[str] = ()
    examples: Sequence[Path] = ()
    limits: Limits = field(default_factory=Limits)
