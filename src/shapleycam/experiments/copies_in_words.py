"""`describe_copies`: the sentence about duplicate images in a dataset, for warnings and tables."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.wording import counted

_NAMED = 3
"""Maximum number of copies that the sentence names."""


def describe_copies(copies: Sequence[tuple[str, str]]) -> str:
    """Return a text that names the images that are copies, and what this means for the results; "" without copies.

    Examples:
        >>> from shapleycam.experiments.copies_in_words import describe_copies
        >>> describe_copies([("b.jpg", "a.jpg")])[:49]
        '1 image is a copy of another: b.jpg (of a.jpg). A'
    """
    if not copies:
        return ""
    named = [f"{name} (of {original})" for name, original in copies[:_NAMED]]
    more = [f"{len(copies) - _NAMED:,} more"] if len(copies) > _NAMED else []
    are = "is a copy of another" if len(copies) == 1 else "are copies of others"
    return (
        f"{counted(len(copies), 'image')} {are}: {', '.join([*named, *more])}. A copy counts again in means, and makes "
        "intervals too narrow: evaluate without it."
    )
