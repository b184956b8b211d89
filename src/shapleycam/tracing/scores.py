"""Recognise what a model's output is, and choose how to compute class scores from it.

The scores are
- the output itself, if it contains logits;
- the input of the last softmax or sigmoid, if the output contains probabilities;
- log p, if the output contains probabilities and the logits are not available.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from shapleycam.errors import ModelError
from shapleycam.models.outputs import check_rows
from shapleycam.tracing.node_names import Nonlinearity
from shapleycam.tracing.nonlinearities import NonlinearityCall, NonlinearityRecorder
from shapleycam.tracing.output_graph import (
    combined_nonlinearities,
    is_rounded,
    is_sorted,
    last_nonlinearity,
    scaled_nonlinearity,
)
from shapleycam.tracing.probabilities import (
    CLAMPING_TOLERANCE,
    ROUNDING_TOLERANCE,
    are_log_probabilities,
    are_probabilities,
    check_scale_of_logarithms,
    check_sums,
)
from shapleycam.tracing.score_conversion import (
    COMBINED_REMARK,
    DISPLAY_NAMES,
    INVERTED_REMARK,
    LOST_REMARK,
    RECORDED_REMARK,
    OutputKind,
    ScoreConversion,
    log_of_probabilities,
    logits_of_log_probabilities,
    logits_of_probabilities,
    partial_result_error,
    recorded_log_odds,
    recorded_logits,
    scaled_logarithm_error,
    wrong_dimension_error,
)
from shapleycam.tracing.selected_output import SelectedOutput, has_classes

_EQUAL = 1e-5
"""Relative and absolute tolerance for equal probabilities."""
_ROUNDINGS = 4
"""The tolerance in roundings (machine epsilons), which is larger than `_EQUAL` in half precision."""
_FUNCTIONS: dict[Nonlinearity, Callable[[Tensor], Tensor]] = {
    "softmax": lambda z: z.softmax(1),
    "log_softmax": lambda z: z.log_softmax(1),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": logsigmoid,
}


def identify_scores(output: Tensor, selected: SelectedOutput, leaf: Tensor) -> ScoreConversion:
    """Return how to compute class scores from an output (b,) or (b, classes, ...) with one row for each image.

    Args:
        output: the output.
        selected: the same output as the model returned it, with its recorded softmax or sigmoid.
        leaf: the leaf of autograd's graph from which the output was computed.

    Raises:
        ModelError: the output is a part of a softmax's result, or its softmax does not run over the classes.
    """
    _check_columns(output)
    if selected.nonlinearity_call is not None:
        return _from_recorded_call(output, selected.nonlinearity_call)
    last = last_nonlinearity(output)
    if last is not None and (_is_single(output) or "sigmoid" in last):
        remark = INVERTED_REMARK.format(DISPLAY_NAMES[last])
        convert = logits_of_log_probabilities if last.startswith("log") else logits_of_probabilities
        return ScoreConversion(_output_kind(last), True, last, remark, convert)
    if not _is_single(output):
        from_probabilities = _from_probabilities(output, leaf, last)
        if from_probabilities is not None:
            return from_probabilities
    if last is not None:
        raise partial_result_error(output, last)
    kinds = combined_nonlinearities(output)
    if kinds:
        return _from_combined_probabilities(output, kinds)
    if scaled_nonlinearity(output) == "log_sigmoid":
        raise scaled_logarithm_error(output)
    beside = _nonlinearity_beside(output, selected.beside)
    return ScoreConversion("sigmoid logits" if beside == "sigmoid" else "logits", nonlinearity=beside)


def scores_if_any(output: Tensor, rows: int, recorder: NonlinearityRecorder, leaf: Tensor) -> Tensor:
    """Return the class scores of an output if it has any, otherwise the output as it is.

    Raises:
        ModelError: the model ends in a softmax over the images.
    """
    selected = SelectedOutput.of(output, None, recorder)
    try:
        rowed = check_rows(output, rows)
        return identify_scores(rowed, selected, leaf).apply(rowed, recorder) if has_classes(rowed) else rowed
    except ModelError:
        if selected.nonlinearity_call is not None and selected.nonlinearity_call.is_over_rows:
            raise
        return output


def _check_columns(output: Tensor) -> None:
    """Refuse an output that is rounded (no derivative) or sorted (its columns do not belong to classes).

    Raises:
        ModelError: the output is rounded or sorted.
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


def _from_recorded_call(output: Tensor, call: NonlinearityCall) -> ScoreConversion:
    """Return the conversion for an output that is the result of a recorded softmax or sigmoid.

    Raises:
        ModelError: the softmax does not run over the classes, or the output is a part of its result.
    """
    output_kind, remark = _output_kind(call.kind), RECORDED_REMARK.format(DISPLAY_NAMES[call.kind])
    if "sigmoid" in call.kind:
        return ScoreConversion(output_kind, True, call.kind, remark, recorded_logits, needs_recorder=True)
    if output.dim() > 1 and output.shape[1] > 1:
        if not _agree(_FUNCTIONS[call.kind](call.logits(output)), output, call.precision):
            raise wrong_dimension_error(output, call) if call.is_over_rows else partial_result_error(output, call.kind)
        return ScoreConversion(output_kind, True, call.kind, remark, recorded_logits, needs_recorder=True)
    binary: Nonlinearity = "log_sigmoid" if call.kind == "log_softmax" else "sigmoid"
    is_binary = call.input.shape[call.dim] >= 2
    if not is_binary or not _agree(_FUNCTIONS[binary](call.log_odds(output)), output, call.precision):
        raise partial_result_error(output, call.kind)
    return ScoreConversion(output_kind, True, call.kind, remark, recorded_log_odds, needs_recorder=True)


def _from_probabilities(output: Tensor, leaf: Tensor, last: Nonlinearity | None) -> ScoreConversion | None:
    """Return the conversion for (log-)probabilities of several classes without their logits; None for other outputs.

    Raises:
        ModelError: the numbers are log-probabilities times a constant, or they sum to a constant that is not 1.
    """
    if are_probabilities(output, leaf, CLAMPING_TOLERANCE if last == "softmax" else ROUNDING_TOLERANCE):
        remark = LOST_REMARK.format("probabilities")
        return ScoreConversion("probabilities", False, "softmax", remark, log_of_probabilities)
    if are_log_probabilities(output, leaf):
        return ScoreConversion("log-probabilities", False, "log_softmax", LOST_REMARK.format("log-probabilities"))
    if are_log_probabilities(-output, leaf):
        raise ModelError(
            "the model returns negative logarithms of probabilities, of which the smallest is of the most probable "
            "class; expected logits or log-probabilities: give output=lambda o: -o"
        )
    check_sums(output, leaf)
    check_scale_of_logarithms(output, leaf)
    return None


def _from_combined_probabilities(output: Tensor, kinds: frozenset[Nonlinearity]) -> ScoreConversion:
    """Return the conversion for probabilities that are combined from others (an ensemble, a sum over classes).

    Raises:
        ModelError: a number is not a probability, or several classes are combined from softmaxes.
    """
    if not _is_within_0_and_1(output):
        least, most = output.detach().aminmax()
        kind = DISPLAY_NAMES[min(kinds)]
        what = "only number is made of results of a {} and is no probability"
        several = "numbers are made of results of a {} and are no probabilities"
        raise ModelError(
            f"the model's {(what if _is_single(output) else several).format(kind)} (from {float(least):.4g} to "
            f"{float(most):.4g}); expected logits, or probabilities from 0 to 1: ask of a number itself with "
            "utility='value', or scale and shift them by output=, a function"
        )
    if not _is_single(output) and "sigmoid" not in kinds:
        raise partial_result_error(output, "softmax")
    return ScoreConversion("probabilities", True, "sigmoid", COMBINED_REMARK, logits_of_probabilities)


def _output_kind(nonlinearity: Nonlinearity) -> OutputKind:
    return "log-probabilities" if nonlinearity.startswith("log") else "probabilities"


def _is_within_0_and_1(output: Tensor) -> bool:
    return bool(((output.detach() >= 0) & (output.detach() <= 1)).all())


def _is_single(output: Tensor) -> bool:
    """Return whether an output has one number for each image."""
    return output.dim() == 1 or output.shape[1] == 1


def _nonlinearity_beside(output: Tensor, beside: Sequence[Tensor]) -> Nonlinearity | None:
    """Return the nonlinearity f if the model also returns f(output), in a tensor of `beside`; otherwise None."""
    kinds: tuple[Nonlinearity, ...] = ("sigmoid", "softmax") if output.dim() > 1 else ("sigmoid",)
    for kind in kinds:
        if any(_agree(_FUNCTIONS[kind](output), tensor.reshape(output.shape)) for tensor in beside):
            return kind
    return None


def _agree(computed: Tensor, returned: Tensor, precision: float = 0) -> bool:
    tolerance = max(_EQUAL, _ROUNDINGS * max(precision, torch.finfo(returned.dtype).eps))
    return torch.allclose(computed.detach().to(returned.dtype), returned.detach(), rtol=tolerance, atol=tolerance)
