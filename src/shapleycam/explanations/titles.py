"""Titles of figures: the photograph, the explained class, the method, the layer and the utility."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from shapleycam.models.preprocess import Preprocess
from shapleycam.printable import printable_name
from shapleycam.wording import number, percent, precision_phrase, removal_phrase, smoothing_phrase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.explanations.explanation import Explanation

_FRAME_NOTE = "The network sees what is inside the white frame; the rest of the photograph is grey."


def class_title(explanation: Explanation, index: int = 0) -> str:
    """Return the name of an image's explained class, with its number, and its probability if there is one."""
    target, label = int(explanation.target[index]), explanation.label(index)
    name = label if label == f"class {target}" else f"{label} (class {target})"
    probabilities = explanation.probabilities(index)
    return name if probabilities is None else f"{name}, {percent(float(probabilities[target]))}"


def figure_title(
    photo: str, explanations: Sequence[Explanation], methods: str, model: str | None, index: int = 0
) -> tuple[str, ...]:
    """Return the two lines of a figure's title; `explanations` has one for each explained class of the photograph."""
    first = explanations[0]
    choices = removal_phrase(first.removal) + precision_phrase(first.precision) + smoothing_phrase(first.smooth)
    utility = f"utility {first.utility_name}"
    if len(explanations) == 1:
        what = class_title(first, index)
        utility = f"{utility} {number(float(first.utility[index]))}"
    else:
        what = f"the {len(explanations)} most likely classes"
    place = f"layer {first.layer}" if model is None else f"{model}, layer {first.layer}"
    return f"{printable_name(photo)}: {what}", f"{methods}; {place}; {utility}{choices}"


def frame_note(
    explanation: Explanation, picture: tuple[int, int], on: Literal["photo", "input"] | None, index: int = 0
) -> str:
    """Return a sentence that explains the white frame in an overlay of this size; "" if there is no frame.

    `on` is as in `Explanation.overlay`.
    """
    box = explanation.sources[index].box
    sees_all = isinstance(explanation.preprocess, Preprocess) and explanation.preprocess.sees_all
    if box is None or sees_all or not explanation.is_over_photo(index, on):
        return ""
    left, top, right, bottom = box
    width, height = picture
    is_whole = left <= 0 and top <= 0 and abs((right - left) * height - (bottom - top) * width) < max(picture)
    return "" if is_whole else _FRAME_NOTE
