"""The tab Ladder: layers from the last to the photograph itself, each with its price and how close its values come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shapleycam.fidelity import LAYER_VALUES, InputDistance
from shapleycam.web.addresses import view_address
from shapleycam.web.climbed import Climb, climb
from shapleycam.web.question_boxes import REMOVALS
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.view import Render, View
from shapleycam.wording import counted, measured_count, number, percent


@dataclass(frozen=True)
class Row:
    """A row of the table: values at a layer, the address that explains by them, and what is said of them."""

    layer: str
    values: str
    address: str
    passes: str
    correlation: float | None
    correlation_text: str
    raw: str
    rank: str


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    yield render("progress.html", text="The layers are searched for …")
    for state in climb(resolved):
        if state.input is None:
            yield render("progress.html", text=f"{_begin(state)} …", share=_share(state))
        else:
            yield render("ladder.html", **_content(resolved, state))


def _begin(state: Climb) -> str:
    made, of = state.runs
    runs = f": {made:,} of {of:,} runs of the model" if of else ""
    return f"First, {state.at_work}, which {counted(len(state.layers) - 1, 'layer')} will be compared with{runs}"


def _share(state: Climb) -> float | None:
    made, of = state.runs
    return made / of if of else None


def _content(resolved: ResolvedQuestion, state: Climb) -> dict[str, object]:
    done, sure, at_work = state.measured, state.input, state.at_work
    return {
        "state": state,
        "label": state.label,
        "sentence": sentence_of(state),
        "progress_text": at_work and f"Now layer {at_work}, {len(done) + 1} of {len(state.layers)} …",
        "share": len(done) / len(state.layers),
        "stop": view_address(resolved, "ladder", layers=",".join(done)) if at_work and done else "",
        "rows": [_row(resolved, each) for each in state.distances],
        "facts": [] if sure is None else _facts(resolved, state),
        "whole": view_address(resolved, "ladder", layers="") if resolved.question.layers else "",
    }


def sentence_of(state: Climb) -> str:
    """Return what the layers so far show of this one photograph."""
    own = [each for each in state.distances if each.method == LAYER_VALUES]
    resolved = [each for each in own if each.pearson_corrected is not None]
    price = f"The photograph's own values took {measured_count(state.input_passes, 'forward pass')}."
    if not own:
        return price
    if not resolved:
        return f"No layer's correlation with the photograph's own values is resolved above their noise. {price}"
    nearest = max(resolved, key=lambda each: each.pearson_corrected or 0.0)
    passes = measured_count(nearest.passes, "forward pass")
    bought = f"a correlation of {nearest.pearson_corrected:.2f}, for {passes}"
    if len(own) == 1:
        return f"With the photograph's own values the Shapley values of {nearest.layer} have {bought}. {price}"
    return (
        f"Of {counted(len(own), 'layer')} on this photograph, the Shapley values of {nearest.layer} are closest to the "
        f"photograph's own: {bought}. {price}"
    )


def _row(resolved: ResolvedQuestion, each: InputDistance) -> Row:
    method = "sampledshapley" if each.method == LAYER_VALUES else each.method
    figure = each.pearson_corrected
    return Row(
        each.layer,
        "Shapley values" if each.method == LAYER_VALUES else each.method,
        view_address(resolved, "explain", layer=each.layer, method=method, layers=""),
        measured_count(each.passes),
        None if figure is None else min(1.0, max(0.0, figure)),
        _figure(figure, "not resolved"),
        _figure(each.pearson, "no units"),
        _figure(each.spearman, "undefined"),
    )


def _figure(figure: float | None, absent: str) -> str:
    return absent if figure is None else f"{figure:.2f}"


def _facts(resolved: ResolvedQuestion, state: Climb) -> list[tuple[str, str, str | None]]:
    sure = state.input
    if sure is None:
        return []
    runs, halves = f"{sure.runs:,}", "undefined" if sure.agreement is None else f"{sure.agreement:.2f}"
    if sure.noise > 0:
        runs += ", in two halves"
    else:  # they were not sampled in halves
        halves = "no halves: the values have no noise"
    return [
        ("Regions of the photograph", f"{sure.regions:,}", "player"),
        ("Runs of the model for their values", runs, None),
        ("Correlation of the two halves", halves, None),
        ("Noise of the values", percent(sure.noise, 1), "standard error"),
        ("What stands in for absent regions", f"{resolved.removal}: {REMOVALS[resolved.removal]}", "removal"),
        ("What stands in for absent places at the layers", f"zero: {REMOVALS['zero']}", "removal"),
        ("Utility of the photograph", f"{number(sure.utility_whole)} of {sure.utility}", "utility"),
        ("The same with everything removed", number(sure.utility_removed), None),
        ("Model", resolved.model_name, None),
    ]


VIEW = View("ladder", "Ladder", ("photo", "model", "utility", "removal", "method", "players", "layers"), _answer)
