"""What a coalition is worth: the places that are in, v(S), and what their Shapley values predict for it.

It is a part of the tab Coalitions with an address of its own, which the page asks for after each click on the board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from shapleycam.errors import OptionError
from shapleycam.values._stream_sums import error_of_samples
from shapleycam.web.map_stage import unit_of
from shapleycam.web.played_game import PlayedGame, played_game
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, Render, View
from shapleycam.wording import number, percent

ORDERS = 128
"""Random orders that the predicting Shapley values are sampled by: their error is said."""
_SURE = 2.0
"""Standard errors from which on a difference is more than sampling."""
_ROUNDING = 1e-5
"""Of v(N): what float32 may leave of a difference that is none."""


@dataclass(frozen=True)
class CoalitionValue:
    """What a coalition of places is worth, in units of the utility.

    Attributes:
        label: the class.
        inside: how many places are in, of `places`.
        value: v(S), `grand` that of everybody.
        predicted: the sum of its members' Shapley values, with the standard error `stderr`.
        probability: of the class, with these places; `of_all` with all, `of_none` without any; or None.
    """

    label: str
    unit: str
    inside: int
    places: int
    has_prefix: bool
    value: float
    grand: float
    predicted: float
    stderr: float
    probability: float | None
    of_all: float | None
    of_none: float | None

    @property
    def difference(self) -> float:
        """Return v(S) less the prediction: interaction."""
        return self.value - self.predicted

    @property
    def sentence(self) -> str:
        """Return what the model says with these places in, in words."""
        if self.probability is None:
            return f"{self.inside} of {self.places} places are in; they are worth {number(self.value)} of {self.unit}."
        shown = percent(self.probability, 1)
        if self.inside == self.places:
            return f"With all {self.places} places in, the model gives {self.label} {shown}."
        all_places = "" if self.of_all is None else f"; with all of them {percent(self.of_all, 1)}"
        if self.inside == 0:
            return f"With no place in, the model still gives {self.label} {shown}{all_places}."
        none = "" if self.of_none is None else f", with none {percent(self.of_none, 1)}"
        return f"With {self.inside} of {self.places} places in, the model gives {self.label} {shown}{all_places}{none}."

    @property
    def meaning(self) -> str:
        """Return what the difference from the prediction says of these places, in words."""
        if self.inside in {0, self.places}:
            return "Shapley values add up to v(N): of everybody, and of nobody, the prediction is exact."
        if not self.is_sure:
            return "That is what the Shapley values of these places predict, within their error."
        if self.difference > 0:
            return (
                "These places are worth more by themselves than their Shapley values say: with the others in, they add "
                "less, since the others show some of the same."
            )
        return (
            "These places are worth less by themselves than their Shapley values say: some of what they add needs "
            "places that are out."
        )

    def details(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield names, figures, and the term that explains each."""
        yield "Places in", f"{self.inside} of {self.places}", "coalition"
        if self.probability is not None:
            yield "Probability of the class", percent(self.probability, 2), None
        yield "v(S), what they are worth", f"{self.value:.4f} of {self.unit}", "v(S)"
        error = "" if self.stderr == 0 else f" ± {max(self.stderr, 0.0001):.4f}"
        yield "Predicted by their Shapley values", f"{self.predicted:.4f}{error}", "Shapley value"
        yield "v(S) less the prediction", f"{self.difference:+.4f}", "interaction"
        yield "v(N), what all are worth", f"{self.grand:.4f}", "v(N)"

    @property
    def is_sure(self) -> bool:
        """Return whether the difference is more than the prediction's error, and than rounding."""
        return abs(self.difference) > max(_SURE * self.stderr, _ROUNDING * abs(self.grand))


def absent_places(text: str, places: int) -> list[int]:
    """Return the places that an address leaves out, in order.

    Raises:
        OptionError: not numbers of places, joined by dots.

    Examples:
        >>> from shapleycam.web.views.coalition_value import absent_places
        >>> absent_places("", 49), absent_places("10.3", 49)
        ([], [3, 10])
    """
    words = text.split(".") if text else []
    if not all(word.isascii() and word.isdigit() and len(word) < 6 and int(word) < places for word in words):
        raise OptionError(
            f"absent in the address is {text[:80]!r}; expected numbers of places, each from 0 to {places - 1}, joined "
            "by dots, such as 3.10: remove it to begin with all places"
        )
    return sorted({int(word) for word in words})


@torch.no_grad()
def coalition_value(played: PlayedGame, absent: list[int], check: Callable[[], None]) -> CoalitionValue:
    """Return what the coalition of all players but some is worth; prefix tokens, which have no place, are in."""
    members = torch.ones(1, played.game.n_players, dtype=torch.bool, device="cpu")
    members[0, absent] = False
    predicted, stderr = _predict(played, members[0], check)
    probability, of_all, of_none = _probabilities(played, members)
    return CoalitionValue(
        label=played.image.label(),
        unit=unit_of(played.image),
        inside=played.places - len(absent),
        places=played.places,
        has_prefix=played.game.layout.prefix > 0,
        value=float(played.game.value(members)[0, 0]),
        grand=float(played.game.grand[0]),
        predicted=predicted,
        stderr=stderr,
        probability=probability,
        of_all=of_all,
        of_none=of_none,
    )


def _predict(played: PlayedGame, members: torch.Tensor, check: Callable[[], None]) -> tuple[float, float]:
    """Return the sum of the members' Shapley values, and its standard error over the samples."""
    if played.is_exact:
        return float(played.shares(ORDERS, check).values[0, members].sum()), 0.0
    sums = played.samples(ORDERS, check)[0][:, members].sum(1)
    return float(sums.mean()), float(error_of_samples(sums))


def _probabilities(played: PlayedGame, members: torch.Tensor) -> tuple[float | None, float | None, float | None]:
    """Return the class's probability with the members, with all players, and with none."""
    game = played.probability
    if game is None:
        return None, None, None
    none = float(game.empty[0])
    return float(game.value(members)[0, 0]) + none, float(game.full[0]), none


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    played = played_game(resolved)
    absent = absent_places(resolved.question.absent, played.places)
    yield render("coalition_value.html", worth=coalition_value(played, absent, resolved.check))


VIEW = View("coalition-value", "", (*ABOUT_A_PHOTOGRAPH, "absent"), _answer, part_of="coalitions")
