"""What Explain shows while values of the photograph's regions are sampled: a running picture, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil

from shapleycam.web.addresses import view_address
from shapleycam.web.classes import class_title
from shapleycam.web.error_curve import ErrorCurve, error_curve
from shapleycam.web.explained import Explained, explained_after
from shapleycam.web.map_stage import map_stage, utility_word
from shapleycam.web.player_choices import DEFAULT_RUNS
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.sampled_input import Step, is_sampled_at_input, sampled_input
from shapleycam.wording import percent, signed

_FIRST_SHOWN = 3
"""Samples of four orders from which on a standard error means something."""
_AIM = 0.1
"""The standard error at which the curve has its dashed line."""
_FURTHER = (500, 1000, 2000, 5000, 10_000)
"""Numbers of runs that are offered to go on to."""
_WORTH = 1.5
"""How many times the runs that were made others must be to be offered."""
_MINUTE = 60


def sampling_states(resolved: ResolvedQuestion, render: Callable[..., str]) -> Iterator[str]:
    """Yield the states of an answer until its last runs: what was kept of earlier questions is not shown again."""
    yield render("progress.html", text="The model is prepared for runs on parts of the photograph …")
    sampled = sampled_input(resolved)
    if sampled is None:
        return
    steps: list[Step] = []
    for number, step in enumerate(sampled.steps(resolved.runs or DEFAULT_RUNS, resolved.check), start=1):
        if step.runs == step.allowed:
            return
        if number < _FIRST_SHOWN:
            yield render("progress.html", text=f"{progress_of(step)} …", share=step.runs / step.allowed)
            continue
        steps.append(step)
        if step.runs == sampled.runs_drawn:
            made = explained_after(resolved, str(step.runs))
            yield render("explain_running.html", **_content(resolved, made, steps))


def progress_of(step: Step) -> str:
    """Return how many runs of the model were made, of how many, and how long the others take.

    Examples:
        >>> import torch
        >>> from shapleycam.values import ShapleyValues
        >>> from shapleycam.web.sampled_input import Step
        >>> from shapleycam.web.sampling_content import progress_of
        >>> shares = ShapleyValues(torch.ones(1, 2), None, torch.tensor([8]))
        >>> progress_of(Step(192, 960, shares, 12.4)), progress_of(Step(192, 960, shares, 150.0))
        ('192 of 960 runs of the model; at most 13 s left', '192 of 960 runs of the model; at most 3 min left')
    """
    seconds = step.seconds_left
    left = f"{max(1, ceil(seconds))} s" if seconds < 1.5 * _MINUTE else f"{ceil(seconds / _MINUTE)} min"
    return f"{step.runs:,} of {step.allowed:,} runs of the model; at most {left} left"


def further_runs(resolved: ResolvedQuestion, made: Explained) -> tuple[str, list[tuple[str, str]]] | None:
    """Return what the runs reached, and labels and addresses of questions that go on; None where none were watched."""
    e = made.explanation
    if not is_sampled_at_input(resolved) or not e.notes:
        return None
    runs = resolved.runs or DEFAULT_RUNS
    more = [each for each in _FURTHER if each >= _WORTH * runs][:2]
    links = [(f"Go on to {each:,} runs", _with_runs(resolved, each)) for each in more]
    (note, *_) = e.notes[0]
    return f"{note[0].upper()}{note[1:]}.", links


def _with_runs(resolved: ResolvedQuestion, runs: int) -> str:
    return view_address(resolved, "explain", runs="" if runs == DEFAULT_RUNS else str(runs))


def _content(resolved: ResolvedQuestion, made: Explained, steps: Sequence[Step]) -> dict[str, object]:
    """Return what the template of a running answer shows."""
    e, step = made.explanation, steps[-1]
    other = None if made.against is None else class_title(made.against, e.labels)
    regions = e.region_values(0)
    return {
        "e": e,
        "label": class_title(int(e.target[0]), e.labels),
        "other": other,
        "unit": utility_word(e),
        "step": step,
        "progress_text": progress_of(step),
        "error": step.error,
        "players": made.regions,
        "shown": map_stage(resolved, e, "values", part=str(step.runs)),
        "largest": signed(max(abs(region.value) for region in regions)).lstrip("+"),
        "stop": _with_runs(resolved, step.runs),
        "curve": _curve(steps),
        "aim": percent(_AIM),
    }


def _curve(steps: Sequence[Step]) -> ErrorCurve | None:
    """Return the curve of the error; None where there is no room for one."""
    first, last = steps[0].runs, steps[0].allowed
    if last < 2 * first:
        return None
    middle = round((first * last) ** 0.5)
    return error_curve([(step.runs, step.error) for step in steps], _AIM, (first, middle, last))
