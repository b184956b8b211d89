"""Errors and warnings. A message says what was found, what was expected and what to do."""

from __future__ import annotations

import contextlib
import sys
import warnings
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.printable import printable_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class ShapleyCamError(Exception):
    """Base class of all errors that a user can mend; the message is one line and says how.

    Catch it to catch them all. Any other exception is a bug.

    Examples:
        >>> from shapleycam import ShapleyCamError, utilities
        >>> try:
        ...     utilities.resolve_utility("REST2")
        ... except ShapleyCamError as error:
        ...     print(error)
        utility 'REST2' is unknown; did you mean 'rest'?
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_text(message))  # a file name in it may be no UTF-8, which cannot be written


class ImageError(ShapleyCamError):
    """Raised for a photograph that cannot be read, and for a batch of images of the wrong form.

    Get the file again or convert it, or bring the batch into the form that the message expects.
    """


class ModelError(ShapleyCamError):
    """Raised for a network that cannot be loaded or run, or whose output is not finite or has another form.

    Correct the name, the checkpoint or the model's code; `output=` chooses among several outputs.
    """


class DerivativeError(ModelError):
    """Raised where something after the layer has no derivative, or a wrong one, of the order that a method needs.

    Use a method that needs none (sampledshapley) or a lower order (hirescam), or a later layer.
    """


class LayerError(ShapleyCamError):
    """Raised for a layer that does not exist, does not run, runs twice, or has no positions to explain.

    Choose another layer (`shapleycam layers MODEL` lists them), or say how its activation is laid out with `layout=`.
    """


class ReplayError(ShapleyCamError):
    """Raised where what comes after the layer cannot be run on its own with the model's own output as the result.

    Choose another layer, or mend what the message names in the model: randomness, rows that influence each other.
    """


class TargetError(ShapleyCamError):
    """Raised for a class that is out of range, unknown or ambiguous, or left out by the model.

    Give another class, by its number or one of the model's labels.
    """


class OptionError(ShapleyCamError):
    """Raised for an unknown method, utility or other option, and for options that do not fit together.

    Give one of the choices that the message names.
    """


class ShapleyCamWarning(UserWarning):
    """Base class of all warnings: the result is valid, and there is something to know about it.

    Python's `warnings` module filters them, all or by class.

    Examples:
        >>> import warnings
        >>> from shapleycam import ShapleyCamWarning
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", ShapleyCamWarning)
        ...     warnings.warn("the heatmap is zero everywhere", ShapleyCamWarning)
    """


class DatasetWarning(ShapleyCamWarning):
    """Issued where files, samples or columns of a dataset are left out; the message says which.

    Rename them if they are wanted.
    """


class DarkPictureWarning(ShapleyCamWarning):
    """Issued for a picture of 16 bits a sample that is dark, and may have been meant as one of fewer bits.

    If it looks too dark, scale it up, or declare its bits in the file.
    """


class BlankHeatmapWarning(ShapleyCamWarning):
    """Issued for a heatmap that is zero everywhere; the message says why.

    Explain another class, by another method, or at another layer.
    """


class NoCurvatureWarning(ShapleyCamWarning):
    """Issued where the second-order methods equal the first-order ones, since the utility is linear at this layer.

    Choose an earlier layer or another utility to see what curvature does; otherwise a first-order method suffices.
    """


class ScaleInvariantHeadWarning(ShapleyCamWarning):
    """Issued where the head ignores the activation's scale, so that derivatives along it sum to nothing.

    Use sampledshapley, which needs no derivative, or a layer behind the normalisation.
    """


class SaturatedDerivativeWarning(ShapleyCamWarning):
    """Issued where the derivative at the activation is next to nothing beside what there is to divide.

    Use pathcam-h or sampledshapley, which look at more than this one point, or another utility.
    """


class UnnamedClassesWarning(ShapleyCamWarning):
    """Issued where a model scores more classes than there are labels, so that names may be those of other classes.

    Give a label for each, or numbers as targets; nothing is wrong where only classes at the end have no name.
    """


class NothingToDivideWarning(ShapleyCamWarning):
    """Issued where the score is the same with all places removed, so that the values sum to zero.

    They then say what places add beyond the removal's content. Choose another removal to divide the score.
    """


class RemovalNotUsedWarning(ShapleyCamWarning):
    """Issued where a removal was asked for, and a method's formula has none.

    Choose a method in units of the utility (`shapleycam methods` lists them).
    """


class OptionNotUsedWarning(ShapleyCamWarning):
    """Issued where an option of the estimators was given that no method which was asked for has a use for.

    Choose a method that does, as the message says, or leave the option out.
    """


class PlayersNotUsedWarning(OptionNotUsedWarning):
    """Issued where regions were to be the players, and no method that was asked for plays a game among them.

    Choose a method that does, as sampledshapley, or leave the players out.
    """


class MethodLeftOutWarning(ShapleyCamWarning):
    """Issued where a set of methods was asked for, and one of them cannot be had here; the message says why.

    Ask for it by name, at another layer or of another model, as the message says.
    """


class LayerBypassedWarning(ShapleyCamWarning):
    """Issued where a rule found the layer, and the image also reaches the output around it, as by another branch.

    Maps show what goes through the layer alone. Give the layer of each branch, or `layer="input"`.
    """


class LayoutWarning(ShapleyCamWarning):
    """Issued where the given layout is not the one that was proven; the given one is taken.

    Leave `layout=` out unless you know better.
    """


class InputModuleWarning(ShapleyCamWarning):
    """Issued where layer "input" is a module of the model that is called so, and not the image.

    Give the module itself if it is meant; for the image wrap the model: nn.Sequential(nn.Identity(), model), layer "0".
    """


class ToleranceWarning(ShapleyCamWarning):
    """Issued where sampling ended before its standard error was as small as the tolerance.

    Allow more samples, or a larger tolerance.
    """


class RepeatedImageWarning(ShapleyCamWarning):
    """Issued where a photograph is given twice to a measurement over photographs.

    In `fidelity` and `ladder` it counts once; in evaluations, whose rows are the dataset's images, it counts again.
    Give each photograph once.
    """


class ClusterWarning(ShapleyCamWarning):
    """Issued where a cluster has less room than was asked for; the work goes on with what there is.

    Ask for fewer actors, or free some room.
    """


class OldRunWarning(ShapleyCamWarning):
    """Issued where results were written by an earlier version, so that less of them can be verified.

    Evaluate again to have results that are verified in full.
    """


class WeakLockWarning(ShapleyCamWarning):
    """Issued where the file system of the results has no locks, so that a killed run leaves its lock behind.

    Remove the lock's file where no run writes, or write the results to another file system.
    """


class ProbabilitiesWarning(ShapleyCamWarning):
    """Issued where the model returns probabilities; what entered its softmax or sigmoid, or log p, is explained.

    Give the model without its softmax or sigmoid to be sure of what is explained.
    """


class ExclusiveClassesWarning(ShapleyCamWarning):
    """Issued where a multi-label utility is used for classes that seem to exclude each other.

    Use the utility of the same name without "sigmoid_" if they do.
    """


class EfficiencyGapWarning(ShapleyCamWarning):
    """Issued where the values of a path method do not sum to v(N): the efficiency gap is large.

    Give more nodes, or use sampledshapley.
    """


_ignored: ContextVar[tuple[type[ShapleyCamWarning], ...]] = ContextVar("ignored", default=())
"""The warnings that are not issued in this thread; `warnings.catch_warnings` would change the whole process."""


@contextlib.contextmanager
def ignore_warnings(category: type[ShapleyCamWarning] = ShapleyCamWarning) -> Iterator[None]:
    """Issue none of our warnings of a category inside the context, in this thread alone.

    Examples:
        >>> from shapleycam.errors import BlankHeatmapWarning, ignore_warnings, warn
        >>> with ignore_warnings():
        ...     warn(BlankHeatmapWarning, "nobody sees this")
    """
    token = _ignored.set((*_ignored.get(), category))
    try:
        yield
    finally:
        _ignored.reset(token)


def is_ignored(category: type[ShapleyCamWarning]) -> bool:
    """Return whether warnings of a category are issued to nobody here, so that nothing need be computed for them.

    Examples:
        >>> from shapleycam.errors import BlankHeatmapWarning, ignore_warnings, is_ignored
        >>> with ignore_warnings():
        ...     is_ignored(BlankHeatmapWarning)
        True
    """
    return issubclass(category, _ignored.get())


def warn(category: type[ShapleyCamWarning], message: str) -> None:
    """Issue a warning that names the line of the user's own code, not of this package or of PyTorch's decorators."""
    if is_ignored(category):
        return
    torch = sys.modules.get("torch")
    inner = (
        str(Path(__file__).parent),
        contextlib.__file__,
        *([str(Path(str(torch.__file__)).parent)] if torch else []),
    )
    level, frame = 1, sys._getframe()  # noqa: SLF001
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inner):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable_text(message), category, stacklevel=level)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the part of a message that helps after a mistyped name: the nearest names, or all of a short list.

    Examples:
        >>> nearest("gradcan", ["gradcam", "hirescam", "layercam"]), nearest("x", ["gradcam", "layercam"])
        ("did you mean 'gradcam'?", 'known are gradcam, layercam')
    """
    names = list(known)
    if not names:
        return "there are none"
    lower = {known_name.lower(): known_name for known_name in names}
    close = [lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if len(names) <= 20:
        return "known are " + ", ".join(names)
    return f"none of the {len(names)} known names is near it"
