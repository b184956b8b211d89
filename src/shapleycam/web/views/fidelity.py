"""The tab Fidelity: the true Shapley values, sampled while one watches, and the methods measured against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error
from shapleycam.values.shares import ShapleyValues
from shapleycam.web.addresses import picture_address
from shapleycam.web.defaults import DEFAULT_METHOD
from shapleycam.web.error_curve import error_curve
from shapleycam.web.map_stage import MapStage, grid_of_values, unit_of
from shapleycam.web.played_game import METHODS_MEASURED, ORDERS, PlayedGame, played_game
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, Render, View
from shapleycam.wording import counted, number, percent, signed

DEFAULT_ERROR = "0.5"
"""To so many percent of the values the standard error is brought, where the address does not say."""
ERRORS = ("5", "2", "1", DEFAULT_ERROR, "0.2", "0.1")
"""What the view's control offers."""
_FINE = 0.01
"""Errors below this are written with two decimals of a percent."""
_SMALLEST, _LARGEST = 0.01, 100.0
_ENOUGH = 32
"""Orders from which on a standard error can be believed: it is estimated too."""
_MARKS = (8, 32, 128, 512)
"""Numbers of orders at the curve's scale, which ends at the last of `ORDERS`."""


@dataclass(frozen=True)
class Score:
    """How far a method is from the true values: as fractions; None where a figure means nothing."""

    method: str
    error: float | None
    rank: float | None
    gap: float | None

    @property
    def absent(self) -> str:
        """Return why a figure of size is not there."""
        return "undefined" if METHODS[self.method].in_units else "no units"


def tolerance_of(text: str) -> float:
    """Return the standard error that an address asks for, as a fraction of the values.

    Raises:
        OptionError: it is no number of percent, or one that is out of range.
    """
    try:
        percentage = float(text or DEFAULT_ERROR)
    except ValueError:
        percentage = float("nan")
    if not _SMALLEST <= percentage <= _LARGEST:
        raise OptionError(
            f"error in the address is {text[:40]!r}; expected percent of the values, a number from {_SMALLEST:g} to "
            f"{_LARGEST:g}, such as {DEFAULT_ERROR}"
        )
    return percentage / 100


def scores_of(
    values: Mapping[str, Float[Tensor, "1 n"]], true: Float[Tensor, "1 n"], grand: Float[Tensor, " 1"]
) -> list[Score]:
    """Return the score of each method by name, the nearest first, those without units last."""
    scores = [_score(name, by_player.to(true), true, grand.to(true)) for name, by_player in values.items()]
    return sorted(scores, key=lambda score: (score.error is None, score.error or 0.0, -(score.rank or 0.0)))


def _score(name: str, values: Tensor, true: Tensor, grand: Tensor) -> Score:
    rank = _finite(rank_correlation(values, true))
    if not METHODS[name].in_units:
        return Score(name, None, rank, None)
    return Score(name, _finite(relative_error(values, true)), rank, _finite(efficiency_gap(values, grand)))


def _finite(figure: Tensor) -> float | None:
    return float(figure[0]) if isfinite(float(figure[0])) else None


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    tolerance = tolerance_of(resolved.question.error)
    chosen = resolved.question.method or DEFAULT_METHOD
    played = played_game(resolved)
    yield render("progress.html", text=f"{counted(len(METHODS_MEASURED), 'method')} are computed …")
    measured = resolved.cached("measured methods", played.measure)
    yield render("progress.html", text="The first random orders are drawn …")
    steps: list[tuple[int, float]] = []
    for orders in ORDERS:
        shares = played.shares(orders, resolved.check)
        steps.append((orders, float(shares.uncertainty[0])))
        is_done = played.is_exact or (steps[-1][1] <= tolerance and orders >= _ENOUGH) or orders == ORDERS[-1]
        scores = scores_of(measured.values, shares.values, played.game.grand)
        yield render(
            "fidelity.html",
            played=played,
            orders=orders,
            reached=steps[-1][1],
            tolerance=tolerance,
            is_done=is_done,
            sentence=sentence_of(played, steps[-1], tolerance, is_done=is_done),
            verdict=verdict_of(scores, chosen),
            curve=None if played.is_exact else error_curve(steps, tolerance, (*_MARKS, ORDERS[-1])),
            first=steps[0][1],
            first_orders=steps[0][0],
            scores=scores,
            missing=measured.missing,
            chosen=chosen,
            question=resolved.question.but(error=""),
            shown=_map(resolved, played, shares, orders),
            largest=float(played.cells(shares.values).abs().max()),
            details=_details(played, shares),
        )
        if is_done:
            return


def _map(resolved: ResolvedQuestion, played: PlayedGame, shares: ShapleyValues, orders: int) -> MapStage:
    """Return the values so far as colours over what the network sees."""
    height, width = played.image.heatmap.shape[1:]
    address = partial(picture_address, resolved, method="", error="")
    return MapStage(
        kind="values",
        title="map of the true values",
        alt=f"Shapley values of {played.image.sources[0].name} for {played.image.label()}",
        width=width,
        height=height,
        box=(0, 0, width, height),
        photo=address("input"),
        shade=address("sampled", part=str(orders)),
        grid=grid_of_values(played.cells(shares.values)[0], "values"),
        unit=unit_of(played.image),
        bar=None,
        shown="",
    )


def _details(played: PlayedGame, shares: ShapleyValues) -> Iterator[tuple[str, str, str | None]]:
    """Yield what was shared out, and among whom."""
    game, unit = played.game, unit_of(played.image)
    yield "To share out", f"{number(float(game.grand[0]))} of {unit}", "v(N)"
    if played.are_regions:
        rows, columns = game.layout.grid
        yield (
            "Places",
            f"{played.rows} x {played.columns} regions, since the layer has {rows} x {columns} cells, too many to play",
            "player",
        )
    else:
        yield "Places", f"{played.rows} x {played.columns}, the layer's cells", "player"
    prefix = game.players.prefix(shares.values)
    if prefix is not None:
        yield "Prefix tokens", f"{signed(float(prefix[0]))} of that, without a place in the image", "prefix tokens"


def sentence_of(played: PlayedGame, step: tuple[int, float], tolerance: float, *, is_done: bool) -> str:
    """Return how well the true values are known after a step (orders, standard error)."""
    orders, reached = step
    label = played.image.label()
    if played.is_exact:
        return f"The shares of {label} are exact: all {2**played.game.n_players:,} coalitions were evaluated."
    known = f"After {orders:,} random orders the shares of {label} are known to {_error(reached)}"
    if not is_done:
        return f"{known}; sampling goes on to {_error(tolerance)}."
    if reached <= tolerance:
        return f"{known}."
    return (
        f"{known}, not to {_error(tolerance)} as asked: this page draws no more. Allow a larger error, or choose a "
        "later layer, which has fewer places."
    )


def _error(share: float) -> str:
    return percent(share, 2 if share < _FINE else 1)


def verdict_of(scores: Sequence[Score], chosen: str) -> str:
    """Return a sentence on the chosen method, where it is measured, and on the nearest."""
    in_units = [score for score in scores if score.error is not None]
    if not in_units:
        return ""
    nearest = in_units[0]
    for score in scores:
        if score.method != chosen:
            continue
        if score.error is None:
            return (
                f"The numbers of {chosen} have no units, only an order; the nearest method, {nearest.method}, is off "
                f"by {_off(nearest)}."
            )
        if score is nearest:
            return f"{chosen} is the nearest method, off by {_off(score)}."
        return f"{chosen} is off by {_off(score)}; the nearest method, {nearest.method}, by {_off(nearest)}."
    return f"The nearest method is {nearest.method}, off by {_off(nearest)}."


def _off(score: Score) -> str:
    return percent(score.error or 0.0, 1)


VIEW = View(
    "fidelity", "Fidelity", (*ABOUT_A_PHOTOGRAPH, "method", "error"), _answer, controls="fidelity_controls.html"
)
