"""The tab Coalitions: the game itself, playable: which places are in, what they are worth, and what was predicted."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from shapleycam.web.played_game import played_game
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.coalition_value import absent_places, coalition_value
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, Render, View, picture_address


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    yield render("waiting.html", place=0)
    played = played_game(resolved)
    absent = absent_places(resolved.question.absent, played.places)
    yield render(
        "coalitions.html",
        played=played,
        absent=set(absent),
        worth=coalition_value(played, absent, resolved.check),
        question=resolved.question.but(absent=""),
        picture=picture_address(resolved, "input", absent=""),
    )


def draw_input(resolved: ResolvedQuestion) -> Image.Image:
    """Return what the network sees of the photograph."""
    return Image.fromarray(played_game(resolved).image.picture(0).cpu().numpy())


VIEW = View("coalitions", "Coalitions", (*ABOUT_A_PHOTOGRAPH, "absent"), _answer)
