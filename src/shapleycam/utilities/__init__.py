"""Utilities: the number an image that is explained, made from the model's output and the class."""

from shapleycam.utilities._box import box
from shapleycam.utilities._contrast import any_of, contrast
from shapleycam.utilities._inside import inside
from shapleycam.utilities._similarity import similarity
from shapleycam.utilities.table import UTILITIES, probabilities, resolve_utility
from shapleycam.utilities.utility import Function, Utility, as_logits

__all__ = [
    "UTILITIES",
    "Function",
    "Utility",
    "any_of",
    "as_logits",
    "box",
    "contrast",
    "inside",
    "probabilities",
    "resolve_utility",
    "similarity",
]
