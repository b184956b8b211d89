"""What an operator offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shapleycam.web.photographs import Limits


@dataclass(frozen=True)
class Site:
    """What an operator offers, and what is too much.

    Attributes:
        models: names as `--model` takes them; no other is loaded. The first is the default.
        loaded: how many models are kept loaded at a time.
        device: where they run; None for the GPU if there is one.
        runs: results of evaluate that visitors may open.
        examples: photographs to begin with.
        reference: photographs that stand in for absent places, in turn, by removal "samples"; without any the page does
            not offer it.
        limits: of a photograph.
        keep_hours: how long a photograph stays after it was last used.
        store_megabytes: bytes of all visitors' photographs together.
        threads: answers that are worked on at once.
        most_waiting: answers that may wait.
        has_login: whether visitors have logged in, and may log out.

    Examples:
        >>> from shapleycam.web import Site
        >>> Site(models=["efficientnet_lite0", "resnet50"], keep_hours=0.5).models[0]
        'efficientnet_lite0'
    """

    models: Sequence[str] = ("efficientnet_lite0",)
    loaded: int = 2
    device: str | None = None
    runs: Sequence[str] = ()
    examples: Sequence[Path] = ()
    reference: Sequence[Path] = ()
    limits: Limits = field(default_factory=Limits)
    keep_hours: float = 1
    store_megabytes: float = 256
    threads: int = 2
    most_waiting: int = 64
    has_login: bool = False
