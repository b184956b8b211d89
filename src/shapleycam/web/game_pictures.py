"""The pictures of the tabs Fidelity and Coalitions."""

from __future__ import annotations

from PIL import Image

from shapleycam.errors import OptionError
from shapleycam.web.played_game import ORDERS, played_game
from shapleycam.web.resolved import ResolvedQuestion


def draw_input(resolved: ResolvedQuestion) -> Image.Image:
    """Return the photograph as the network gets it."""
    return Image.fromarray(played_game(resolved).image.picture(0).cpu().numpy())


def draw_sampled(resolved: ResolvedQuestion) -> Image.Image:
    """Return as colours the values that were sampled by the question's number of orders (`part`).

    Raises:
        OptionError: no state with this number is shown.
    """
    part = resolved.question.part
    if part not in map(str, ORDERS):
        raise OptionError(f"part in the address is {part[:40]!r}; expected one of {', '.join(map(str, ORDERS))}")
    played = played_game(resolved)
    return played.draw(played.shares(int(part), resolved.check).values)
