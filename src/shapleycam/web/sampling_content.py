"""The content of Explain while values of the photograph's regions are sampled: the map so far, and its error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil

from shapleycam.web.addresses import view_address
from shapleycam.web.classes import class_title
from shapleycam.web.error_curve import ErrorCurve, error_curve
from shapleycam.web.explained import Explained, explained_after
from shapleycam.web.input_games import is_watched, watched_input
from shapleycam.web.map_stage import map_stage, utility_word
from shapleycam.web.player_choices import DEFAULT_RUNS, RunPlan
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.watched_input import Step
from shapleycam.wording import percent, signed

_AIM = 0.1
"""The standard error of the dashed line in the curve."""
_FURTHER = (500, 1000, 2000, 5000, 10_000)
"""Larger numbers of runs that are offered to continue."""
_WORTH = 1.5
"""A larger number of runs is offered if it is at least this multiple of the planned runs."""
_MINUTE = 60


def sampling_states(resolved: ResolvedQuestion, render: Callable[..., str]) -> Iterator[str]:
    """Yield the states of an answer before its last step; steps that earlier questions have passed are not shown."""
    yield render("progress.html", text="The model is prepared for runs on parts of the photograph …")
    watched = watched_input(resolved)
    if watched is None:
        return
    steps: list[Step] = []
    for step in watched.steps(plan := resolved.run_plan, resolved.check):
        if step.runs == step.allowed:
            return
        if not step.is_shown:
            yield render(
                "progress.html",
                text=f"{progress_of(step.runs, step.allowed, step.seconds_left)} …",
                share=step.runs / step.allowed,
            )
            continue
        steps.append(step)
        if step.runs == watched.runs_drawn(plan):
            made = explained_after(resolved, str(step.runs))
            stop = _with_runs(resolved, watched.stopped_at(step, plan))
            of_regions = [each for each in steps if each.players is watched.game.players]
            content = _content(resolved, made, step) | {"groups": step.players is not watched.game.players}
            curve = _curve(of_regions) if of_regions else None
            yield render("explain_running.html", **content, stop=stop, curve=curve)


def progress_of(runs: int, allowed: int, seconds: float) -> str:
    """Return in words the number of runs so far, the total, and the time that is left.

    Examples:
        >>> from shapleycam.web.sampling_content import progress_of
        >>> progress_of(192, 960, seconds=12.4), progress_of(192, 960, seconds=150.0)
        ('192 of 960 runs of the model; at most 13 s left', '192 of 960 runs of the model; at most 3 min left')
    """
    left = f"{max(1, ceil(seconds))} s" if seconds < 1.5 * _MINUTE else f"{ceil(seconds / _MINUTE)} min"
    return f"{runs:,} of {allowed:,} runs of the model; at most {left} left"


def further_runs(resolved: ResolvedQuestion, made: Explained) -> tuple[str, list[tuple[str, str]]] | None:
    """Return a sentence about the runs, and labels and addresses of continuing questions; None if not watched."""
    e = made.explanation
    if not is_watched(resolved) or not e.notes:
        return None
    (note, *_) = e.notes[0]
    return f"{note[0].upper()}{note[1:]}.", list(_further(resolved, made))


def _further(resolved: ResolvedQuestion, made: Explained) -> Iterator[tuple[str, str]]:
    """Yield labels and addresses of questions that continue the sampling; none if the values are exact."""
    plan = resolved.run_plan
    if plan.is_stopped:
        yield f"Go on to the {plan.planned:,} runs planned", _with_runs(resolved, RunPlan(plan.planned, plan.planned))
    elif made.has_no_error:
        return
    for more in [each for each in _FURTHER if each >= _WORTH * plan.planned][:2]:
        yield f"Go on to {more:,} runs", _with_runs(resolved, RunPlan(more, more))


def _with_runs(resolved: ResolvedQuestion, plan: RunPlan) -> str:
    return view_address(resolved, "explain", runs="" if plan == RunPlan(DEFAULT_RUNS, DEFAULT_RUNS) else plan.text)


def _content(resolved: ResolvedQuestion, made: Explained, step: Step) -> dict[str, object]:
    """Return the content for the template of a running answer."""
    e = made.explanation
    other = None if made.against is None else class_title(made.against, e.labels)
    regions = e.region_values(0)
    return {
        "e": e,
        "label": class_title(int(e.target[0]), e.labels),
        "other": other,
        "unit": utility_word(e),
        "step": step,
        "progress_text": progress_of(step.runs, step.allowed, step.seconds_left),
        "error": step.error,
        "players": made.regions,
        "shown": map_stage(resolved, e, "values", part=str(step.runs)),
        "largest": signed(max(abs(region.value) for region in regions)).lstrip("+"),
        "aim": percent(_AIM),
    }


def _curve(steps: Sequence[Step]) -> ErrorCurve | None:
    """Return the curve of the error; None if its range of runs is too small."""
    first, last = steps[0].runs, steps[0].allowed
    if last < 2 * first:
        return None
    middle = round((first * last) ** 0.5)
    return error_curve([(step.runs, step.error) for step in steps], _AIM, (first, middle, last))
