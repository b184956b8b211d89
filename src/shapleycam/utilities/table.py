"""The table of named utilities, which the command line, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from shapleycam.errors import OptionError
from shapleycam.names import canonical_name, nearest
from shapleycam.tracing.score_conversion import OutputKind
from shapleycam.utilities.utility import Function, Utility, as_logits

Output = Float[Tensor, "b *classes"]
Target = Int[Tensor, " b"]
Value = Float[Tensor, " b"]


def logit(output: Output, target: Target) -> Value:
    """Return z_c, the class score; for a single logit z it is z for yes (class 1) and -z for no (class 0)."""
    return _pick(as_logits(output), target)


def log_probability(output: Output, target: Target) -> Value:
    """Return log softmax(z)_c; for a single logit z it is log σ(z) for yes and log σ(-z) for no."""
    z = as_logits(output)
    return _pick(logsigmoid(z) if _is_single(output) else z.log_softmax(1), target)


def probability(output: Output, target: Target) -> Value:
    """Return softmax(z)_c; for a single logit z it is σ(z) for yes and σ(-z) for no."""
    z = as_logits(output)
    return _pick(z.sigmoid() if _is_single(output) else z.softmax(1), target)


def rest(output: Output, target: Target) -> Value:
    """Return z_c + log softmax(z)_c, the Residual Softmax Target-class utility (arXiv:2501.06261)."""
    return logit(output, target) + log_probability(output, target)


def log_odds(output: Output, target: Target) -> Value:
    """Return log p_c / (1 - p_c) = z_c - log Σ_{j≠c} exp z_j: the class against all others together."""
    z = as_logits(output)
    if _is_single(output):
        return _pick(z, target)
    others = z.scatter(1, target[:, None], -torch.inf)
    return _pick(z, target) - others.logsumexp(1)


def sigmoid_log_probability(output: Output, target: Target) -> Value:
    """Return log σ(z_c)."""
    return logsigmoid(logit(output, target))


def sigmoid_probability(output: Output, target: Target) -> Value:
    """Return σ(z_c)."""
    return logit(output, target).sigmoid()


def sigmoid_rest(output: Output, target: Target) -> Value:
    """Return z_c + log σ(z_c)."""
    return logit(output, target) + sigmoid_log_probability(output, target)


def value(output: Output, target: Target) -> Value:
    """Return y_c, one number of the model's own output."""
    return _pick(_numbers(output), target)


def _score_utility(name: str, function: Function, formula: str, summary: str) -> Utility:
    """Return a utility of class scores, which may be log p."""
    return Utility(name, function, formula, summary, scores=_logits_in, reads="scores")


def _logit_utility(name: str, function: Function, formula: str, summary: str) -> Utility:
    """Return a utility of class scores, which must be logits."""
    return replace(_score_utility(name, function, formula, summary), needs_logits=True)


def _multi_label_utility(name: str, function: Function, formula: str, summary: str) -> Utility:
    """Return a utility of the logits of labels that do not exclude each other."""
    return replace(_logit_utility(name, function, formula, summary), multi_label=True)


def _logits_in(output: Any, _: Any) -> Any:
    return as_logits(output)


def _numbers_in(output: Any, _: Any) -> Any:
    return _numbers(output)


_REST = "logit and log-probability together (the paper's ReST)"
_VALUE = Utility(
    "value",
    value,
    "y_c",
    "a number of a regression",
    scores=_numbers_in,
    predicts=False,
    reads="numbers",
)
_ROWS = (
    replace(_logit_utility("rest", rest, "z_c + log softmax(z)_c", _REST), log_softmax_terms=(1.0, 1.0)),
    _logit_utility("logit", logit, "z_c", "the class score before softmax; ignores the other classes"),
    replace(
        _score_utility("log_probability", log_probability, "log softmax(z)_c", "in nats; saturates slowly"),
        log_softmax_terms=(0.0, 1.0),
    ),
    _score_utility("probability", probability, "softmax(z)_c", "saturates: flat where the model is sure"),
    _score_utility("log_odds", log_odds, "log p_c / (1 - p_c)", "the class against all others; never saturates"),
    _multi_label_utility(
        "sigmoid_rest", sigmoid_rest, "z_c + log σ(z_c)", "ReST of a label that may be there beside others"
    ),
    _multi_label_utility("sigmoid_log_probability", sigmoid_log_probability, "log σ(z_c)", "of such a label, in nats"),
    _multi_label_utility("sigmoid_probability", sigmoid_probability, "σ(z_c)", "of such a label; saturates"),
    _VALUE,
)
UTILITIES = {utility.name: utility for utility in _ROWS}
"""The utilities by name. To add one, add a function above and a row here."""
_CLASS_UTILITIES = [name for name, utility in UTILITIES.items() if utility.predicts]


def resolve_utility(choice: str | Utility | Function) -> Utility:
    """Return the utility for a name, or for a callable `(output, target) -> (b,)`.

    Raises:
        OptionError: the name is unknown, or the choice is neither a name nor a callable.

    Examples:
        >>> from shapleycam.utilities import resolve_utility
        >>> resolve_utility("ReST").formula, resolve_utility(lambda output, target: output.sum(1)).formula
        ('z_c + log softmax(z)_c', '<lambda>(output, target)')
    """
    if isinstance(choice, Utility):
        return choice
    if isinstance(choice, str):
        name = canonical_name(choice, UTILITIES)
        if name is None:
            raise OptionError(f"utility {choice!r} is unknown; {nearest(choice, UTILITIES)}")
        return UTILITIES[name]
    if callable(choice):
        name = getattr(choice, "__name__", type(choice).__name__)
        return Utility(name, choice, f"{name}(output, target)", "a function of the user's")
    raise OptionError(
        f"utility {choice!r} is a {type(choice).__name__}; expected a name or a callable (output, target)"
    )


def class_function(choice: str | Utility | Function) -> Callable[[Output, Target], Value]:
    """Return the function of logits (b, classes) of a utility, as a part of other utilities.

    Raises:
        OptionError: the name is unknown, or the utility is not a function of logits and class only.
    """
    utility = resolve_utility(choice)
    if utility.raw or utility.image_data is not None or utility.make_image_data is not None or not utility.predicts:
        raise OptionError(
            f"utility {utility.name!r} is a question of its own; expected one of {', '.join(_CLASS_UTILITIES)}"
        )
    return utility.function


def probabilities(output: Output, utility: str, form: OutputKind = "logits") -> Float[Tensor, "b classes"]:
    """Return the probability of each class, computed from the model's own output.

    If the output contains logits, it is their sigmoid for multi-label utilities and their softmax for others.

    Args:
        output: (b, classes), or one number for each image.
        utility: the name of the utility that is explained.
        form: what the numbers of the output are.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import probabilities
        >>> logits = torch.zeros(1, 4)
        >>> probabilities(logits, "rest"), probabilities(logits, "sigmoid_rest")
        (tensor([[0.2500, 0.2500, 0.2500, 0.2500]]), tensor([[0.5000, 0.5000, 0.5000, 0.5000]]))
    """
    if form in {"probabilities", "log-probabilities"}:
        p = output.float() if form == "probabilities" else output.float().exp()
        single = p.reshape(len(p), -1)
        return torch.cat([1 - single, single], 1) if _is_single(p) else p
    z = as_logits(output.float())
    is_multi_label = form == "sigmoid logits" or utility.startswith("sigmoid")
    return z.sigmoid() if _is_single(output) or is_multi_label else z.softmax(1)


def _is_single(output: Tensor) -> bool:
    return output.dim() == 1 or output.shape[1] == 1


def _numbers(output: Output) -> Float[Tensor, "b numbers"]:
    return output.reshape(len(output), -1)


def _pick(scores: Float[Tensor, "b n"], target: Target) -> Value:
    return scores.gather(1, target[:, None]).squeeze(1)
