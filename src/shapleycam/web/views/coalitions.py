"""The tab Coalitions: the game itself, playable: which places are in, what they are worth, and what was predicted."""

from __future__ import annotations

from collections.abc import Iterator

from shapleycam.web.addresses import answer_address
from shapleycam.web.played_game import PlayedGame, played_game
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.coalition_value import absent_places, coalition_value
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, Render, View, picture_address


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    played = played_game(resolved)
    absent = absent_places(resolved.question.absent, played.places)
    rows, columns = played.sides
    yield render(
        "coalitions.html",
        name=played.image.sources[0].name,
        size=tuple(played.image.heatmap.shape[1:]),
        target=int(played.image.target[0]),
        rows=rows,
        columns=columns,
        absent=set(absent),
        worth=coalition_value(played, absent, resolved.check),
        address=answer_address(resolved, "coalition-value", absent=""),
        picture=picture_address(resolved, "input", absent=""),
        regions=_regions(played),
    )


def _regions(played: PlayedGame) -> str:
    """Return a sentence where the places are regions; "" where they are the layer's cells."""
    if not played.are_regions:
        return ""
    rows, columns = played.game.layout.grid
    return (
        f"A place here is a region of the layer's cells: the layer has {rows} x {columns} cells, more than can be "
        f"played, and {played.rows} x {played.columns} regions of them are the players."
    )


VIEW = View("coalitions", "Coalitions", (*ABOUT_A_PHOTOGRAPH, "absent"), _answer)
