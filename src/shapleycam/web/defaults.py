"""What a question asks for where its address does not say."""

from __future__ import annotations

from shapleycam.tracing.input_layer import INPUT
from shapleycam.web.question import Question

DEFAULT_LAYER, DEFAULT_METHOD, DEFAULT_METHODS = "before-pool", "shapleycam", "paper"
DEFAULT_METHOD_AT_INPUT = "sampledshapley"
"""There each place of a layer is a pixel, of which a derivative says little."""
DEFAULT_REMOVAL = "zero"
DEFAULT_UTILITY, DEFAULT_CONTRAST = "rest", "logit"
"""Of two classes it is the difference of their logits: the log-odds between them."""


def default_method(question: Question) -> str:
    """Return the method of the first tab where the address does not say.

    Examples:
        >>> from shapleycam.web.defaults import default_method
        >>> from shapleycam.web.question import Question
        >>> default_method(Question()), default_method(Question(layer="input"))
        ('shapleycam', 'sampledshapley')
    """
    return DEFAULT_METHOD_AT_INPUT if question.layer == INPUT else DEFAULT_METHOD
