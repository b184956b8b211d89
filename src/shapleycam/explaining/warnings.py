"""Warnings about valid results: blank maps, no curvature, probabilities in place of logits, methods left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import is_blank
from shapleycam.cams.method import Method
from shapleycam.errors import (
    BlankHeatmapWarning,
    ExclusiveClassesWarning,
    MethodLeftOutWarning,
    NoCurvatureWarning,
    OptionNotUsedWarning,
    PlayersNotUsedWarning,
    ProbabilitiesWarning,
    RemovalNotUsedWarning,
    warn,
)
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.players import Regions
from shapleycam.game.removal import Removal
from shapleycam.tracing import Trace
from shapleycam.utilities import Utility
from shapleycam.utilities.checks import classes_exclude_each_other
from shapleycam.values.options import EstimatorOptions

_TUNED = {"nodes": "'pathcam-h'", "tolerance": "'sampledshapley' or 'owen'"}
"""Options that change the values of some methods, each with an example of such a method."""


def warn_of_blank_maps(explanation: Explanation) -> None:
    """Warn of each heatmap that is zero everywhere, and say why."""
    for index in is_blank(explanation.values).nonzero().flatten().tolist():
        warn(BlankHeatmapWarning, _blank_reason(explanation, index))


def warn_of_left_out(reasons: Mapping[str, str], messages: set[str]) -> None:
    """Warn once of each method that is left out of a set, and say why; `messages` are the messages issued so far."""
    for name, reason in reasons.items():
        message = f"method {name!r} is left out of the set: {reason}"
        if message not in messages:
            messages.add(message)
            warn(MethodLeftOutWarning, message)


def warn_of_unused_removal(rows: Iterable[Method], removal: Removal, messages: set[str]) -> None:
    """Warn once of methods whose formula has no removal; `messages` are the messages issued so far."""
    names = [row.name for row in rows if not row.uses_removal]
    message = (
        f"removal {removal.name!r} is not used by {', '.join(names)}: a formula that does not divide the score has "
        "none, so the values are the same for every removal; choose a method in units of the utility"
    )
    if names and not removal.is_zero and message not in messages:
        messages.add(message)
        warn(RemovalNotUsedWarning, message)


def warn_of_unused_players(rows: Iterable[Method], players: Regions, messages: set[str]) -> None:
    """Warn once of players that no method uses in a game; `messages` are the messages issued so far."""
    rows = tuple(rows)
    message = (
        f"players= is not used by {', '.join(row.name for row in rows)}: without a game to play a map is the same "
        "whatever the players; choose a method that plays it among regions, 'sampledshapley' or 'owen' say"
    )
    is_used = players is None or any(row.basis.fewest_runs is not None for row in rows)
    if not is_used and message not in messages:
        messages.add(message)
        warn(PlayersNotUsedWarning, message)


def warn_of_unused_options(rows: Iterable[Method], options: EstimatorOptions, messages: set[str]) -> None:
    """Warn once of each changed option that no method depends on; `messages` are the messages issued so far."""
    rows = tuple(rows)
    for name, example in _TUNED.items():
        is_default = getattr(options, name) == getattr(EstimatorOptions, name)
        message = (
            f"{name}= is not used by {', '.join(row.name for row in rows)}: the values are the same whatever it is; "
            f"choose a method that depends on it, {example} say, or leave it out"
        )
        if not is_default and not any(name in row.basis.options for row in rows) and message not in messages:
            messages.add(message)
            warn(OptionNotUsedWarning, message)


def warn_of_nothing_in_common(explanation: Explanation) -> None:
    """Warn of each heatmap fused from several layers that is zero everywhere."""
    for index in (~explanation.heatmap.flatten(1).any(1)).nonzero().flatten().tolist():
        name, subject = explanation.sources[index].name, _subject(explanation, index)
        warn(
            BlankHeatmapWarning,
            f"{name}: the {explanation.method} heatmap for {subject} is blank: the layers {explanation.layer} have no "
            "place in common; fuse them by mean or maximum",
        )


def warn_of_no_curvature(curvature: Float[Tensor, " b"], layer: str, utility: str, removal: str) -> None:
    """Warn if second-order methods equal first-order methods for the whole batch."""
    if float(curvature.max()) < 1e-6:
        remedy = "an earlier layer" if utility == "rest" else "utility 'rest' or an earlier layer"
        product, remedy = (
            ("H·A = 0", remedy)
            if removal == "zero"
            else (f"H·(A - R) = 0, with R of removal {removal!r}", f"another removal, {remedy}")
        )
        warn(
            NoCurvatureWarning,
            f"utility {utility!r} has no curvature behind layer {layer!r} ({product}), so shapleycam equals gradcam "
            f"there, shapleycam-h hirescam and so on; for a second order choose {remedy}",
        )


def warn_about_scores(utility: Utility, traced: Trace, labels: Sequence[str] | None, messages: set[str]) -> None:
    """Warn once if logits are explained although the model returns probabilities, or if a utility does not fit.

    A sigmoid utility does not fit if the model's classes exclude each other: it is for multi-label outputs. `messages`
    are the messages issued so far; new ones are added.
    """
    scores = traced.score_conversion
    if scores is None:
        return
    if scores.remark is not None and scores.remark not in messages:
        messages.add(scores.remark)
        warn(ProbabilitiesWarning, scores.remark)
    may_exclude = utility.multi_label and scores.nonlinearity is None and utility.name not in messages
    if may_exclude and traced.output.dim() == 2 and classes_exclude_each_other(traced.output.detach(), labels):
        messages.add(utility.name)
        warn(
            ExclusiveClassesWarning,
            f"utility {utility.name!r} is of labels that may stand beside others, and the classes of this model seem "
            f"to exclude each other; if they do, use {utility.name.removeprefix('sigmoid_')!r}",
        )


def _blank_reason(explanation: Explanation, index: int) -> str:
    smallest, largest = (float(value) for value in explanation.values[index].aminmax())
    if smallest < 0 and largest <= 0:
        reason = "no position speaks for the class; look at the signed values, or explain another class"
    elif largest == 0:
        utility = explanation.utility_name
        suggestions = [
            *(["method 'hirescam'"] if explanation.method != "hirescam" else []),
            *(["utility 'rest'"] if utility != "rest" else []),
            "another layer",
        ]
        cause = f"every value is zero: nothing speaks for the class, or utility {utility!r} is flat here"
        reason = f"{cause}; try {' or '.join(suggestions)}"
    else:
        reason = "all positions have the same value; choose a layer with a finer grid"
    name, subject = explanation.sources[index].name, _subject(explanation, index)
    return f"{name}: the {explanation.method} heatmap for {subject} is blank: {reason}"


def _subject(explanation: Explanation, index: int) -> str:
    """Return what a map explains: the class, or the utility if the output has no classes."""
    return f"utility {explanation.utility_name!r}" if explanation.form is None else repr(explanation.label(index))
