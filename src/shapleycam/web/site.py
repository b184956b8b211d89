"""`Site`: what an operator offers, and the limits of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shapleycam.web.photographs import Limits


@dataclass(frozen=True)
class Site:
    """What an operator offers, and the limits of use.

    Attributes:
        models: names as in the option `--model`; no other model is loaded. The first is the default.
        loaded: the maximum number of models that stay loaded.
        device: the device of the models; None for the GPU if there is one.
        runs: results of evaluate that visitors may open.
        examples: example photographs.
        reference: photographs that replace absent places, one after another, in removal "samples"; without them the
            page does not offer this removal.
        limits: the limits for a photograph.
        keep_hours: the time that a photograph is stored after its last use.
        store_megabytes: the limit for all uploaded photographs together.
        threads: the number of answers that are made at the same time.
        most_waiting: the maximum number of answers that wait.
        has_login: whether visitors log in, and may log out.

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
