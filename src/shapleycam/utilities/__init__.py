"""Utilities: the number that is explained for each image, computed from the model's output and the target class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.utilities._box import box
    from shapleycam.utilities._box_score import box_score
    from shapleycam.utilities._contrast import any_of, contrast
    from shapleycam.utilities._inside import inside
    from shapleycam.utilities._similar_classes import contrast_with_similar
    from shapleycam.utilities._similarity import similarity
    from shapleycam.utilities.table import UTILITIES, probabilities, resolve_utility
    from shapleycam.utilities.utility import Function, Utility, as_logits

_MODULE_OF = {
    "Function": "utility",
    "UTILITIES": "table",
    "Utility": "utility",
    "any_of": "_contrast",
    "as_logits": "utility",
    "box": "_box",
    "box_score": "_box_score",
    "contrast": "_contrast",
    "contrast_with_similar": "_similar_classes",
    "inside": "_inside",
    "probabilities": "table",
    "resolve_utility": "table",
    "similarity": "_similarity",
}

__all__ = [
    "UTILITIES",
    "Function",
    "Utility",
    "any_of",
    "as_logits",
    "box",
    "box_score",
    "contrast",
    "contrast_with_similar",
    "inside",
    "probabilities",
    "resolve_utility",
    "similarity",
]


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)
