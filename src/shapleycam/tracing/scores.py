"""Class scores of what a model returns: the logits themselves, what entered its softmax or sigmoid, or log p."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from shapleycam.errors import ModelError
from shapleycam.models.outputs import check_rows
from shapleycam.tracing.combinations import combined_of, is_rounded, is_sorted
from shapleycam.tracing.finals import Activation, Final, Finals
from shapleycam.tracing.graph import last_activation
from shapleycam.tracing.nested import numbers_of
from shapleycam.tracing.sums import BOUNDED, ROUNDED, are_log_probabilities, are_probabilities, check_sums

Form: TypeAlias = Literal["logits", "sigmoid logits", "probabilities", "log-probabilities"]
"""What the numbers of an output are; those of "sigmoid logits" stand beside each other."""
Reads: TypeAlias = Literal["scores", "numbers", "output"]
"""What a question is asked of: class scores, the output with one row an image, or the output as the model has it."""

_EQUAL = 1e-5
_ROUNDINGS = 4
"""Up to how many roundings of coarse numbers (half precision) equal probabilities may differ by."""
_ACTIVATED: dict[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda z: z.softmax(1),
    "log_softmax": lambda z: z.log_softmax(1),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": logsigmoid,
}
_WORDS = {"softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid", "log_sigmoid": "log-sigmoid"}


@dataclass(frozen=True)
class Scores:
    """How class scores are had from a model's output, one row an image.

    `form` is what the output's own numbers are; `has_logits`, whether the scores are logits, or only log p; `final`
    the model's last activation where it has one; `remark` what the user should know, if anything.
    """

    form: Form = "logits"
    has_logits: bool = True
    final: Activation | None = None
    remark: str | None = None
    convert: Callable[[Tensor, Final | None], Tensor] = lambda output, _: output
    needs_finals: bool = False

    def of(self, output: Tensor, finals: Finals | None) -> Tensor:
        """The class scores of an output that the same model returned.

        Raises:
            ModelError: they cannot be had from this one.
        """
        final = finals.of(output) if finals is not None else None
        if self.needs_finals and (final is None or final.kind != self.final):
            raise ModelError(
                f"the model ends in a {_WORDS[self.final or 'softmax']} for the images and not for coalitions of them; "
                "expected the same operations for both: give the model without it"
            )
        return self.convert(output, final)


@dataclass(frozen=True)
class Returned:
    """What a pass returned of what is explained: the `output`, the recorded call that it is the result of if there is
    one, and what the model returned `beside` it in the same form.
    """

    output: Any
    final: Final | None
    beside: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, output: Any, everything: Any, finals: Finals) -> Returned:
        """The selected output of a pass that returned `everything`."""
        same = [t.detach() for t in numbers_of(everything) if isinstance(output, Tensor) and t.shape == output.shape]
        return cls(output, finals.of(output), tuple(same))


def scores_of(output: Tensor, returned: Returned, leaf: Tensor) -> Scores:
    """How class scores are had from an output (b,) or (b, classes, ...) with a row for each image.

    `returned` is the same output as the model had it, with what is known of it; `leaf` is what the output was computed
    from, in autograd's graph.

    Raises:
        ModelError: it is a part of a softmax's result, or a softmax that runs over something else than classes.
    """
    _check_columns(output)
    if returned.final is not None:
        return _entered(output, returned.final)
    last = last_activation(output)
    if last is not None and (_is_single(output) or "sigmoid" in last):
        logarithm = last.startswith("log")
        form: Form = "log-probabilities" if logarithm else "probabilities"
        return Scores(form, True, last, _INVERTED.format(_WORDS[last]), _inverse_log if logarithm else _inverse)
    if not _is_single(output):
        if are_probabilities(output, leaf, BOUNDED if last == "softmax" else ROUNDED):
            return Scores("probabilities", False, "softmax", _LOST.format("probabilities"), _log)
        if are_log_probabilities(output, leaf):
            return Scores("log-probabilities", False, "log_softmax", _LOST.format("log-probabilities"))
        if are_log_probabilities(-output, leaf):
            raise ModelError(
                "the model returns negative logarithms of probabilities, of which the smallest is of the most probable "
                "class; expected logits or log-probabilities: give output=lambda o: -o"
            )
        check_sums(output, leaf)
    if last is not None:
        raise _part(output, last)
    kinds = combined_of(output)
    if kinds and (_is_single(output) or _is_within_0_and_1(output)):
        return _combined(output, kinds)
    activation = _activation_beside(output, returned.beside)
    return Scores("sigmoid logits" if activation == "sigmoid" else "logits", final=activation)


def _combined(output: Tensor, kinds: frozenset[Activation]) -> Scores:
    """How class scores are had of probabilities that are combined of others (by an ensemble, a sum of classes)."""
    if not _is_within_0_and_1(output):
        least, most = output.detach().aminmax()
        raise ModelError(
            f"the model's only number is made of results of a {_WORDS[min(kinds)]} and is no probability (from "
            f"{float(least):.4g} to {float(most):.4g}); expected one logit, or a probability from 0 to 1: ask of the "
            "number itself with utility='value', or scale it by output=, a function"
        )
    if not _is_single(output) and "sigmoid" not in kinds:
        raise _part(output, "softmax")
    return Scores("probabilities", True, "sigmoid", _COMBINED, _inverse)


def _check_columns(output: Tensor) -> None:
    """Refuse numbers that belong to no class of their own, or have no derivative.

    Raises:
        ModelError: they are sorted, or rounded.
    """
    if is_rounded(output):
        raise ModelError(
            "the model rounds its output, and a rounded number has derivative 0 wherever it has one; "
            "expected it as it is before: give the model without rounding"
        )
    if is_sorted(output):
        raise ModelError(
            f"the columns of the model's output of shape {tuple(output.shape)} are sorted by their numbers (sort, "
            "topk), so that none belongs to a class; expected one column a class: give the model without it, or "
            "utility 'value' for the numbers themselves"
        )


def _is_within_0_and_1(output: Tensor) -> bool:
    return bool(((output.detach() >= 0) & (output.detach() <= 1)).all())


def _is_single(output: Tensor) -> bool:
    return output.dim() == 1 or output.shape[1] == 1


def is_of_classes(output: Any) -> bool:
    """Whether an output may be of classes: (b,) of one logit, (b, classes), or of pixels (b, classes, h, w)."""
    return isinstance(output, Tensor) and output.dim() in {1, 2, 4} and output.is_floating_point()


def in_rows(output: Any, rows: int, what: str, reads: Reads) -> Any:
    """The output with one row for each image or coalition; one that a function of the user's reads, if it can be so."""
    if not isinstance(output, Tensor):
        return output
    may_be_other = output.dim() > 1 if rows == 1 else output.dim() > 0 and len(output) > 1
    return output if reads == "output" and may_be_other else check_rows(output, rows, what)


def scores_if_any(output: Tensor, rows: int, finals: Finals, leaf: Tensor) -> Tensor:
    """The class scores of an output, as far as it has any; otherwise the output as it is."""
    returned = Returned.of(output, None, finals)
    try:
        rowed = check_rows(output, rows)
        return scores_of(rowed, returned, leaf).of(rowed, finals) if is_of_classes(rowed) else rowed
    except ModelError:
        if returned.final is not None and returned.final.is_over_rows:
            raise
        return output


_INVERTED = (
    "the model ends in a {}, and what enters it cannot be had: it is computed back from the probabilities and "
    "explained as the logits; the probabilities shown are the model's own"
)
_COMBINED = (
    "the model returns probabilities that are combined of several: their log-odds are explained as the logits; the "
    "probabilities shown are the model's own"
)
_ENTERED = (
    "the model ends in a {}: what enters it is explained as the logits; the probabilities shown are the model's own"
)
_LOST = (
    "the model returns {}, and the logits behind them cannot be had: what is explained are their logarithms; the "
    "probabilities shown are the model's own"
)


def _entered(output: Tensor, final: Final) -> Scores:
    form: Form = "log-probabilities" if final.kind.startswith("log") else "probabilities"
    remark = _ENTERED.format(_WORDS[final.kind])
    if "sigmoid" in final.kind:
        return Scores(form, True, final.kind, remark, _logits, needs_finals=True)
    if output.dim() > 1 and output.shape[1] > 1:
        if not _agree(_ACTIVATED[final.kind](final.logits(output)), output, final.precision):
            raise _over_rows(output, final) if final.is_over_rows else _part(output, final.kind)
        return Scores(form, True, final.kind, remark, _logits, needs_finals=True)
    binary: Activation = "log_sigmoid" if final.kind == "log_softmax" else "sigmoid"
    if final.entered.shape[final.dim] < 2 or not _agree(
        _ACTIVATED[binary](final.log_odds(output)), output, final.precision
    ):
        raise _part(output, final.kind)
    return Scores(form, True, final.kind, remark, _log_odds, needs_finals=True)


def _logits(output: Tensor, final: Final | None) -> Tensor:
    return output if final is None else final.logits(output)


def _log_odds(output: Tensor, final: Final | None) -> Tensor:
    return output if final is None else final.log_odds(output)


def _inverse(output: Tensor, _: Final | None) -> Tensor:
    """Log p / (1 - p), refused where 1 - p is mostly rounding."""
    room = 64 * torch.finfo(output.dtype).eps
    if bool(((output <= 0) | (output >= 1 - room)).any()):
        raise _saturated(output)
    return output.log() - torch.log1p(-output)


def _inverse_log(output: Tensor, _: Final | None) -> Tensor:
    room = 64 * torch.finfo(output.dtype).eps
    if bool((output >= -room).any()):
        raise _saturated(output.exp())
    return output - torch.log(-torch.expm1(output))


def _log(output: Tensor, _: Final | None) -> Tensor:
    """Log p, with a derivative also beside classes of probability 0."""
    nothing = output <= 0
    return output.masked_fill(nothing, 1).log().masked_fill(nothing, -torch.inf)


def _saturated(probability: Tensor) -> ModelError:
    worst = probability.detach().flatten()[(probability.detach().flatten() - 0.5).abs().argmax()]
    return ModelError(
        f"the model ends in a sigmoid that is saturated (it gives {float(worst):.8g}), so that what entered it cannot "
        "be computed back; give the model without its sigmoid, or utility 'value' for its own output"
    )


def _over_rows(output: Tensor, final: Final) -> ModelError:
    return ModelError(
        f"the model ends in a {_WORDS[final.kind]} over dimension 0 of {tuple(output.shape)}, the images; expected one "
        "over the classes, so that no image depends on the others: mend it (dim=1)"
    )


def _part(output: Tensor, kind: Activation) -> ModelError:
    return ModelError(
        f"the model's output of shape {tuple(output.shape)} is a part of what a {_WORDS[kind]} returns, or of one that "
        "runs over another dimension than the classes; expected probabilities (b, classes) that sum to 1 in each row: "
        "give the model without it, or choose its output with output="
    )


def _activation_beside(output: Tensor, beside: Sequence[Tensor]) -> Activation | None:
    """The activation of an output whose result is beside it."""
    kinds: tuple[Activation, ...] = ("sigmoid", "softmax") if output.dim() > 1 else ("sigmoid",)
    for kind in kinds:
        if any(_agree(_ACTIVATED[kind](output), other.reshape(output.shape)) for other in beside):
            return kind
    return None


def _agree(computed: Tensor, other: Tensor, precision: float = 0) -> bool:
    room = max(_EQUAL, _ROUNDINGS * max(precision, torch.finfo(other.dtype).eps))
    return torch.allclose(computed.detach().to(other.dtype), other.detach(), rtol=room, atol=room)
