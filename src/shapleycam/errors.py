"""What can go wrong, in words for the user: what was found, what was expected, what to do."""

from __future__ import annotations

import contextlib
import sys
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ShapleyCamError(Exception):
    """Something the user can mend; the message is one line and says how."""


class ImageError(ShapleyCamError):
    """A photograph that cannot be read, or a batch of the wrong form."""


class ModelError(ShapleyCamError):
    """A network that cannot be loaded, or that gives numbers which are not finite."""


class DerivativeError(ModelError):
    """Something after the layer has no derivative of the order that a method needs."""


class LayerError(ShapleyCamError):
    """A layer that does not exist, does not run, runs twice, or has no positions to explain."""


class ReplayError(ShapleyCamError):
    """What comes after the layer cannot be run on its own and give the model's own output."""


class TargetError(ShapleyCamError):
    """A class that is out of range, unknown or ambiguous."""


class OptionError(ShapleyCamError):
    """An unknown method, utility or other choice."""


class ShapleyCamWarning(UserWarning):
    """The result is valid, and there is something to know about it."""


class DarkPictureWarning(ShapleyCamWarning):
    """A picture of 16 bits a sample has none above half of them, and may be meant as one of fewer bits."""


class BlankHeatmapWarning(ShapleyCamWarning):
    """A heatmap is zero everywhere."""


class NoCurvatureWarning(ShapleyCamWarning):
    """The second-order methods equal the first-order ones here."""


class ScaleInvariantHeadWarning(ShapleyCamWarning):
    """The head ignores the scale of the activation, so that derivatives at it sum to nothing."""


class LayoutWarning(ShapleyCamWarning):
    """The given layout is not the one that is proven."""


class ToleranceWarning(ShapleyCamWarning):
    """Sampling ended before its standard error was as small as asked."""


class ClusterWarning(ShapleyCamWarning):
    """A cluster has less room than was asked for."""


class ProbabilitiesWarning(ShapleyCamWarning):
    """The model returns probabilities; what entered its softmax or sigmoid, or log p, is explained."""


class ExclusiveClassesWarning(ShapleyCamWarning):
    """A question of labels that stand beside others was put to classes that seem to exclude each other."""


class EfficiencyGapWarning(ShapleyCamWarning):
    """Values along the path do not sum to v(N)."""


def warn(category: type[ShapleyCamWarning], message: str) -> None:
    """Warn at the line of the caller's own code: beyond ours, and beyond the decorators that lie between."""
    torch = sys.modules.get("torch")
    inner = (
        str(Path(__file__).parent),
        contextlib.__file__,
        *([str(Path(str(torch.__file__)).parent)] if torch else []),
    )
    level, frame = 1, sys._getframe()  # noqa: SLF001
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inner):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def nearest(name: str, known: Iterable[str]) -> str:
    """The part of a message that helps after a mistyped name: the nearest names, or all of a short list."""
    names = list(known)
    if not names:
        return "there are none"
    lower = {each.lower(): each for each in names}
    close = [lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if len(names) <= 20:
        return "known are " + ", ".join(names)
    return f"none of the {len(names)} known names is near it"
