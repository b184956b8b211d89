"""Explain an image model's decision as a fair division: class activation maps as Shapley values.

`Explainer` explains photographs; what it returns is an `Explanation`. Names are imported when they are first used, so
that the command line answers at once (docs/decisions.md, "Imports in `shapleycam/__init__.py` are lazy").
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shapleycam.version import __version__

if TYPE_CHECKING:
    from shapleycam import bridge, drawing, experiments, fidelity, metrics, utilities, values
    from shapleycam.bridge import ladder
    from shapleycam.cams import METHODS, Method, methods
    from shapleycam.errors import ShapleyCamError, ShapleyCamWarning
    from shapleycam.explaining.detection import Detection
    from shapleycam.explaining.detector import Detector
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.outlined_objects import players_from_masks
    from shapleycam.explanations.explanation import Explanation
    from shapleycam.game import Game
    from shapleycam.models.network import Network
    from shapleycam.models.next_token import next_token
    from shapleycam.models.preprocess import Preprocess
    from shapleycam.models.zero_shot import zero_shot
    from shapleycam.tracing import Trace, trace

_MODULE_OF = {
    "Detection": "explaining.detection",
    "Detector": "explaining.detector",
    "Explainer": "explaining",
    "Explanation": "explanations",
    "Game": "game",
    "METHODS": "cams",
    "Method": "cams",
    "Network": "models.network",
    "Preprocess": "models.preprocess",
    "ShapleyCamError": "errors",
    "ShapleyCamWarning": "errors",
    "Trace": "tracing",
    "ladder": "bridge",
    "methods": "cams",
    "players_from_masks": "explaining.outlined_objects",
    "next_token": "models.next_token",  # nosec B105  # no password
    "trace": "tracing",
    "zero_shot": "models.zero_shot",
}
_SUBPACKAGES = ("bridge", "drawing", "experiments", "fidelity", "metrics", "utilities", "values")

__all__ = [
    "METHODS",
    "Detection",
    "Detector",
    "Explainer",
    "Explanation",
    "Game",
    "Method",
    "Network",
    "Preprocess",
    "ShapleyCamError",
    "ShapleyCamWarning",
    "Trace",
    "__version__",
    "bridge",
    "drawing",
    "experiments",
    "fidelity",
    "ladder",
    "methods",
    "metrics",
    "next_token",
    "players_from_masks",
    "trace",
    "utilities",
    "values",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF and name not in _SUBPACKAGES:
        raise AttributeError(f"module 'shapleycam' has no attribute {name!r}")
    with import_module("shapleycam.installation").clear_import_errors():
        module = import_module(f"shapleycam.{_MODULE_OF.get(name, name)}")
    return getattr(module, name) if name in _MODULE_OF else module


def __dir__() -> list[str]:
    return sorted(__all__)
