"""Defaults for the fields that are empty in a question."""

from __future__ import annotations

from shapleycam.cams.table import DEFAULT_METHOD
from shapleycam.tracing.input_layer import INPUT
from shapleycam.web.question import Question

DEFAULT_LAYER, DEFAULT_METHODS = "before-pool", "paper"
DEFAULT_METHOD_AT_INPUT = "sampledshapley"
"""At the input each place is a pixel, and derivatives by single pixels say little."""
DEFAULT_REMOVAL = "zero"
DEFAULT_UTILITY, DEFAULT_CONTRAST = "rest", "logit"
"""The contrast of two classes is the difference of their logits: the log-odds between them."""


def default_method(question: Question) -> str:
    """Return the first tab's default method for a question.

    Examples:
        >>> from shapleycam.web.defaults import default_method
        >>> from shapleycam.web.question import Question
        >>> default_method(Question()), default_method(Question(layer="input"))
        ('pathcam-h', 'sampledshapley')
    """
    return DEFAULT_METHOD_AT_INPUT if question.layer == INPUT else DEFAULT_METHOD
