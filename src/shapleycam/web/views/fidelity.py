"""The third tab: the true Shapley values, sampled while one watches, and the methods measured against them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import isnan, log10

import torch
from torch import Tensor

from shapleycam.cams.heatmaps import resize
from shapleycam.cams.table import METHODS
from shapleycam.drawing import overlays
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values._permutation import Progress, permutation
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error
from shapleycam.values.shares import ShapleyValues
from shapleycam.web import markup
from shapleycam.web.compare import by_all
from shapleycam.web.markup import text
from shapleycam.web.question import Question
from shapleycam.web.steps import said_of, stoppable

_FIRST, _ENOUGH, _LAST = 8, 32, 4096
"""Orders in the first step, each of the next twice as many; from when on an error can be believed; and in the last."""
_SIDE = 8
"""Cells a side at most: in larger grids regions are the players, so that each step is short."""
_WIDE, _HIGH = 360, 120

Step = tuple[int, float]


@torch.no_grad()
def measured(question: Question, tolerance: float) -> Iterator[str]:
    """The page at each step: sampled so far, and the methods against it."""
    estimates = [name for name, method in METHODS.items() if method.spread is not None]
    traced_batch = question.trace(*estimates)
    game = traced_batch.game(question.target, question.utility, question.regions(traced_batch, _SIDE))
    found = by_all(traced_batch, question, estimates)
    steps: list[Step] = []
    orders, page = _FIRST, ""
    while True:
        work = stoppable(partial(_sampled, game, orders))
        true = yield from said_of(work, partial(_meanwhile, page))
        reached = float(true.uncertainty[0])
        steps.append((orders, reached))
        done = (reached <= tolerance and orders >= _ENOUGH) or orders >= _LAST
        page = _page(game, found, true, steps, tolerance, done=done)
        yield page
        if done:
            return
        orders *= 2


def _meanwhile(page: str, orders: int, reached: float) -> str:
    """What is there already, or how far the first step is."""
    return page or markup.sampling(orders, reached)


@torch.no_grad()
def _sampled(game: Game, orders: int, progress: Progress) -> ShapleyValues:
    return permutation(game, orders, progress=progress)


def _page(
    game: Game, found: dict[str, Explanation], true: ShapleyValues, steps: list[Step], tolerance: float, *, done: bool
) -> str:
    first = next(iter(found.values()))
    orders, reached = steps[-1]
    asked = f"{tolerance:.1%} was asked for"
    end = "" if not done else f"; done, {asked}" if reached <= tolerance else f"; stopped there, {asked}"
    state = f"{orders} orders, standard error {reached:.2%} of the values{end}"
    return (
        f'<article class="sc-view" style="--shade:.8"><p class="sc-answer"><strong>{text(first.label())}</strong>, '
        f"{float(game.grand[0]):.4g} of {text(first.utility_name)} divided by {game.n_players} players</p>"
        f'<p class="sc-where" role="status" data-orders="{orders}" data-error="{reached:.6f}">{text(state)}.</p>'
        f'<div class="sc-pair">{_map(game, first, true)}{_curve(steps, tolerance)}</div>{_scores(game, found, true)}'
        "</article>"
    )


def _map(game: Game, e: Explanation, true: ShapleyValues) -> str:
    """The values so far over what the network saw."""
    cells = game.players.cells(true.values)
    size = (int(e.heatmap.shape[1]), int(e.heatmap.shape[2]))
    shade = overlays.signed_shade_of(resize(cells, size)[0], 0.8)
    largest = float(cells.abs().max())
    picture = markup.picture_uri(overlays.on_picture(e.picture(0), shade))
    alt = f"sampled Shapley values of {e.sources[0].name} for {e.label()}"
    unit = f"Shapley value of a place, in units of {e.utility_name}"
    bar = markup.colour_bar(signed=True, low=f"−{largest:.2g}", high=f"+{largest:.2g}", what=unit)
    return (
        f'<figure class="sc-map"><img src="{picture}" alt="{text(alt)}">{bar}<figcaption>So far</figcaption></figure>'
    )


def _curve(steps: list[Step], tolerance: float) -> str:
    """The standard error against the orders, both on logarithmic scales."""
    highest, lowest = max(error for _, error in steps), min(tolerance, *(error for _, error in steps))
    points = [(_across(orders), _down(error, highest, lowest)) for orders, error in steps]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    goal = _down(tolerance, highest, lowest)
    label = (
        f"standard error from {steps[0][1]:.1%} after {steps[0][0]} orders to {steps[-1][1]:.2%} after {steps[-1][0]}"
    )
    return (
        f'<figure class="sc-map"><svg viewBox="-10 -10 {_WIDE + 20} {_HIGH + 20}" role="img" aria-label="{label}">'
        f'<line class="sc-goal" x1="0" x2="{_WIDE}" y1="{goal:.1f}" y2="{goal:.1f}"/>'
        f'<polyline points="{line}"/>{dots}</svg><figcaption>{label}; dashed: what was asked for</figcaption></figure>'
    )


def _across(orders: int) -> float:
    return _WIDE * log10(orders / _FIRST) / log10(_LAST / _FIRST)


def _down(error: float, highest: float, lowest: float) -> float:
    return _HIGH * log10(highest / error) / log10(highest / lowest) if highest > lowest > 0 and error > 0 else 0.0


def _scores(game: Game, found: dict[str, Explanation], true: ShapleyValues) -> str:
    rows = sorted((_score(game, e, true.values) for e in found.values()), key=lambda row: (isnan(row[1]), row[1]))
    shown = [
        (name, *("" if isnan(figure) else form.format(figure) for figure, form in zip(figures, _FORMS, strict=True)))
        for name, *figures in rows
    ]
    heads = ("method", "relative error", "Spearman", "efficiency gap")
    return markup.table(heads, shown, "Each method against the sampled values, nearest first")


_FORMS = ("{:.1%}", "{:.3f}", "{:.1%}")


def _score(game: Game, e: Explanation, true: Tensor) -> tuple[str, float, float, float]:
    """Name, relative error, rank correlation and efficiency gap; NaN where they mean nothing."""
    own = _by_player(game, e).to(true.dtype)
    rank = float(rank_correlation(own, true)[0])
    if not METHODS[e.method].in_units:
        return e.method, float("nan"), rank, float("nan")
    grand = game.grand.to(true.dtype)
    return e.method, float(relative_error(own, true)[0]), rank, float(efficiency_gap(own, grand)[0])


def _by_player(game: Game, e: Explanation) -> Tensor:
    """A method's values (1, n), a region's summed over its cells."""
    cells, member = e.values.flatten(1), game.players.member[:, game.layout.prefix :]
    found = cells.new_zeros(1, game.n_players).scatter_add(1, member, cells)
    if e.prefix is not None:
        found[:, -1] += e.prefix
    return found
