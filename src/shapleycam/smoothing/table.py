"""The table of smoothings, which the command line, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.errors import OptionError
from shapleycam.names import canonical_name, nearest
from shapleycam.smoothing.augment import AUGMENTATIONS
from shapleycam.smoothing.noise import SAMPLES

Smooth: TypeAlias = tuple[str, ...]
"""The names of smoothings, in the order of the table; empty without smoothing."""
SmoothChoice: TypeAlias = "str | Sequence[str] | None"
"""What a user may give: a name, several joined by commas or in a sequence, or None."""


@dataclass(frozen=True)
class Smoothing:
    """A row of the table.

    Attributes:
        name: the name, as users write it.
        images: the number of images that are explained for one map.
        more_passes: the number of further runs of the model.
        summary: one line that describes it to users.
    """

    name: str
    images: int
    more_passes: int
    summary: str


AUGMENT = Smoothing(
    "augment",
    len(AUGMENTATIONS),
    1,
    "mean heatmap of the image and its mirror image, each at 0.9, 1 and 1.1 times its values",
)
EIGEN = Smoothing("eigen", 1, 0, "first principal component of what the channels give, in place of their sum")
NOISE = Smoothing(
    "noise", SAMPLES + 1, 0, f"mean values of {SAMPLES} images with noise, its deviation 15% of the image's range"
)
SMOOTHINGS = {smoothing.name: smoothing for smoothing in (AUGMENT, EIGEN, NOISE)}
"""The smoothings by name."""
NONE = "none"
"""The name that is stored or shown if there is no smoothing."""


def parse_smoothing(choice: SmoothChoice) -> Smooth:
    """Return the names of the smoothings that a user chose, each once, in the order of the table.

    Raises:
        OptionError: a name is unknown, the text is blank, or the choice is not a text or a sequence of names.

    Examples:
        >>> from shapleycam.smoothing import parse_smoothing
        >>> parse_smoothing(None), parse_smoothing("none"), parse_smoothing("noise, augment")
        ((), (), ('augment', 'noise'))
    """
    if choice is None or canonical_name(choice, [NONE]) is not None:
        return ()
    entries = choice.split(",") if isinstance(choice, str) else choice
    if not isinstance(entries, Sequence):
        raise OptionError(
            f"smooth={choice!r} is a {type(choice).__name__}; expected one or several of {', '.join(SMOOTHINGS)}"
        )
    if isinstance(choice, str) and not choice.strip():
        raise OptionError(f"smooth={choice!r} names no smoothing; expected some of {', '.join(SMOOTHINGS)}, or None")
    names = set()
    for entry in entries:
        name = canonical_name(entry.strip() if isinstance(entry, str) else entry, SMOOTHINGS)
        if name is None:
            raise OptionError(f"smooth={entry!r} is unknown; {nearest(str(entry), SMOOTHINGS)}")
        names.add(name)
    return tuple(name for name in SMOOTHINGS if name in names)


def smoothing_name(smooth: Smooth) -> str:
    """Return the names joined by commas, as `parse_smoothing` accepts them; "none" without smoothing.

    Examples:
        >>> from shapleycam.smoothing import smoothing_name
        >>> smoothing_name(()), smoothing_name(("augment", "noise"))
        ('none', 'augment,noise')
    """
    return ",".join(smooth) or NONE
