"""Errors and warnings. A message says what was found, what was expected and what to do."""

from __future__ import annotations

import contextlib
import sys
import warnings
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.printable import printable_text

if TYPE_CHECKING:
    from collections.abc import Iterator


class ShapleyCamError(Exception):
    """Base class of all errors that a user can fix; the message is one line and says how.

    Catch this class to catch all of them. Any other exception is a bug.

    Examples:
        >>> from shapleycam import ShapleyCamError, utilities
        >>> try:
        ...     utilities.resolve_utility("REST2")
        ... except ShapleyCamError as error:
        ...     print(error)
        utility 'REST2' is unknown; did you mean 'rest'?
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_text(message))  # a file name in it may not be UTF-8, and could not be printed


class ImageError(ShapleyCamError):
    """Raised if a photograph cannot be read, or a batch of images has the wrong form.

    Get the file again or convert it, or bring the batch into the form that the message expects.
    """


class ModelError(ShapleyCamError):
    """Raised if a network cannot be loaded or run, or its output is not finite or has an unexpected form.

    Correct the name, the checkpoint or the model's code; `output=` chooses among several outputs.
    """


class DerivativeError(ModelError):
    """Raised if an operation after the layer has no derivative of the order that a method needs, or a wrong one.

    Use a method without derivatives (sampledshapley) or of lower order (hirescam), or a later layer.
    """


class LayerError(ShapleyCamError):
    """Raised if a layer does not exist, does not run, runs twice, or has no positions to explain.

    Choose another layer (`shapleycam layers MODEL` lists them), or give the layout of its activation with `layout=`.
    """


class ReplayError(ShapleyCamError):
    """Raised if the head cannot be run on its own, or its result differs from the model's own output.

    Choose another layer, or fix the cause in the model that the message names: randomness, rows that influence each
    other.
    """


class TargetError(ShapleyCamError):
    """Raised if a class is out of range, unknown or ambiguous, or the model leaves it out (its logit is -infinity).

    Give another class, by its number or one of the model's labels.
    """


class OptionError(ShapleyCamError):
    """Raised if a method, utility or other option is unknown, or options do not fit together.

    Give one of the choices that the message names.
    """


class ShapleyCamWarning(UserWarning):
    """Base class of all warnings: the result is valid, but the user should know something about it.

    Filter them with Python's `warnings` module, all together or by class.

    Examples:
        >>> import warnings
        >>> from shapleycam import ShapleyCamWarning
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", ShapleyCamWarning)
        ...     warnings.warn("the heatmap is zero everywhere", ShapleyCamWarning)
    """


class DatasetWarning(ShapleyCamWarning):
    """Issued if files, samples or columns of a dataset are left out; the message says which.

    Rename them to include them.
    """


class DoubtfulClassWarning(ShapleyCamWarning):
    """Issued if the labels of a dataset may mean other classes than the model's of these numbers; the message says why.

    Check a few rows, or give labels by the model's own names or numbers.
    """


class DarkPictureWarning(ShapleyCamWarning):
    """Issued if a picture of 16 bits per sample is so dark that its samples may really have fewer bits.

    If it looks too dark, scale its samples up, or declare their number of bits in the file.
    """


class ColourProfileWarning(ShapleyCamWarning):
    """Issued if a picture has a colour profile that would make a quite different picture, since profiles are not
    applied.

    Convert the picture to sRGB if the colours that browsers show are meant.
    """


class BlankHeatmapWarning(ShapleyCamWarning):
    """Issued if a heatmap is zero everywhere; the message says why.

    Explain another class, by another method, or at another layer.
    """


class NoCurvatureWarning(ShapleyCamWarning):
    """Issued if second-order methods equal first-order methods, because the utility is linear at this layer.

    Choose an earlier layer or another utility to see the effect of curvature; otherwise a first-order method suffices.
    """


class ScaleInvariantHeadWarning(ShapleyCamWarning):
    """Issued if the head ignores the activation's scale, so that gradient x activation sums to zero.

    Use sampledshapley, which needs no derivative, or a layer after the normalisation.
    """


class SaturatedDerivativeWarning(ShapleyCamWarning):
    """Issued if the derivative at the activation is nearly zero compared with the score that is to be divided.

    Use pathcam-h or sampledshapley, which evaluate the head at more than this one point, or another utility.
    """


class UnnamedClassesWarning(ShapleyCamWarning):
    """Issued if a model scores more classes than there are labels, so that names may belong to other classes.

    Give a label for each class, or numbers as targets. Names are right if only the last classes have no label.
    """


class NothingToDivideWarning(ShapleyCamWarning):
    """Issued if the score is the same with all places removed, so that the values sum to zero.

    The values then say what each place adds compared with the content that the removal puts there. Choose another
    removal to divide the score.
    """


class RemovalNotUsedWarning(ShapleyCamWarning):
    """Issued if a removal was given, but a method's formula does not use it.

    Choose a method in units of the utility (`shapleycam methods` lists them).
    """


class OptionNotUsedWarning(ShapleyCamWarning):
    """Issued if an option of the estimators was given, but none of the chosen methods uses it.

    Choose a method that uses it, as the message says, or leave the option out.
    """


class PlayersNotUsedWarning(OptionNotUsedWarning):
    """Issued if regions were given as players, but none of the chosen methods uses players.

    Choose a method that does, such as sampledshapley, or leave the players out.
    """


class MethodLeftOutWarning(ShapleyCamWarning):
    """Issued if a set of methods was chosen, and one of them cannot be computed here; the message says why.

    Choose this method by its name, at another layer or for another model, as the message says.
    """


class LayerBypassedWarning(ShapleyCamWarning):
    """Issued if a rule found the layer, but the image also reaches the output without passing it, by another branch.

    Maps show only what passes through the layer. Give the layer of each branch, or `layer="input"`.
    """


class LayoutWarning(ShapleyCamWarning):
    """Issued if the given layout differs from the proven one; the given one is used.

    Leave `layout=` out unless you are sure.
    """


class InputModuleWarning(ShapleyCamWarning):
    """Issued if the model has a module named "input", so that layer "input" is this module and not the image.

    Give the module itself if it is meant. For the image wrap the model: nn.Sequential(nn.Identity(), model), layer "0".
    """


class ToleranceWarning(ShapleyCamWarning):
    """Issued if sampling ended before the standard error reached the tolerance.

    Allow more samples, or a larger tolerance.
    """


class RepeatedImageWarning(ShapleyCamWarning):
    """Issued if a photograph is given twice to a measurement over photographs.

    `fidelity` and `ladder` count it once; evaluations count it each time, because their rows are the dataset's images.
    Give each photograph once.
    """


class ClusterWarning(ShapleyCamWarning):
    """Issued if a cluster has fewer free resources than requested; the work goes on with the available ones.

    Request fewer actors, or free some resources.
    """


class OldRunWarning(ShapleyCamWarning):
    """Issued if results were written by an earlier version, so that they can be verified only in part.

    Evaluate again to get results that can be verified completely.
    """


class MixedVersionsWarning(ShapleyCamWarning):
    """Issued if a run is continued with other versions of packages than it was begun with.

    Its tables then mix figures of several versions. Evaluate into another folder to get figures of one version.
    """


class WeakLockWarning(ShapleyCamWarning):
    """Issued if the results' file system has no locks, so that a killed run leaves its lock file behind.

    Remove the lock file if no run is writing, or write the results to another file system.
    """


class ProbabilitiesWarning(ShapleyCamWarning):
    """Issued if the model returns probabilities; the input of its softmax or sigmoid is explained, or else log p.

    Give the model without its softmax or sigmoid to be sure of what is explained.
    """


class ExclusiveClassesWarning(ShapleyCamWarning):
    """Issued if a multi-label utility is used for classes that seem to exclude each other.

    If they do, use the utility of the same name without "sigmoid_".
    """


class EfficiencyGapWarning(ShapleyCamWarning):
    """Issued if the values of a path method do not sum to v(N), so that the efficiency gap is large.

    Use more nodes, or sampledshapley.
    """


_ignored: ContextVar[tuple[type[ShapleyCamWarning], ...]] = ContextVar("ignored", default=())
"""The warnings that are disabled in this thread; `warnings.catch_warnings` would change the whole process."""


@contextlib.contextmanager
def ignore_warnings(category: type[ShapleyCamWarning] = ShapleyCamWarning) -> Iterator[None]:
    """Disable this package's warnings of a category inside the context, in this thread only.

    Examples:
        >>> from shapleycam.errors import BlankHeatmapWarning, ignore_warnings, warn
        >>> with ignore_warnings():
        ...     warn(BlankHeatmapWarning, "this is not shown")
    """
    token = _ignored.set((*_ignored.get(), category))
    try:
        yield
    finally:
        _ignored.reset(token)


def is_ignored(category: type[ShapleyCamWarning]) -> bool:
    """Return whether warnings of a category are disabled here, so that their causes need not be computed.

    Examples:
        >>> from shapleycam.errors import BlankHeatmapWarning, ignore_warnings, is_ignored
        >>> with ignore_warnings():
        ...     is_ignored(BlankHeatmapWarning)
        True
    """
    return issubclass(category, _ignored.get())


def warn(category: type[ShapleyCamWarning], message: str) -> None:
    """Issue a warning with the line of the user's own code, not one of this package or of PyTorch's decorators."""
    if is_ignored(category):
        return
    torch = sys.modules.get("torch")
    inner = (
        str(Path(__file__).parent),
        contextlib.__file__,
        *([str(Path(str(torch.__file__)).parent)] if torch else []),
    )
    level, frame = 1, sys._getframe()  # noqa: SLF001  # documented, despite its name
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inner):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable_text(message), category, stacklevel=level)
