"""`true_values`: the Shapley values with which methods are compared, and a description of how they were computed."""

from __future__ import annotations

from collections.abc import Iterator

from shapleycam.explaining.inputs import Batch
from shapleycam.game import Game
from shapleycam.printable import printable_name
from shapleycam.values._closed_form import closed_form
from shapleycam.values._exact import exact
from shapleycam.values._limited_runs import permutation_within
from shapleycam.values._permutation import permutation
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues
from shapleycam.wording import percent

MOST_EXACT = 12
"""Maximum number of players for which true values are computed from all coalitions."""


def true_values(
    game: Game, tolerance: float, seed: int, progress: Progress | None = None, most_runs: int | None = None
) -> ShapleyValues:
    """Return the game's Shapley values: exact if it has a closed form or at most 12 players, otherwise sampled.

    Sampling takes at most `most_runs` runs of the head for each image; None for as many as the tolerance needs.
    """
    if game.n_players <= MOST_EXACT:
        return exact(game, progress=progress)
    shares = closed_form(game)
    if shares is None and most_runs is not None:
        return permutation_within(game, most_runs, tolerance, seed, progress=progress)
    return shares or permutation(game, None, tolerance, seed, progress=progress)


def describe_reference(game: Game, true: ShapleyValues, tolerance: float, most_runs: int | None = None) -> str:
    """Return in words how true values were computed; other arguments as for `true_values`."""
    if true.stderr is not None:
        limit = "" if most_runs is None else f" or {most_runs:,} runs"
        return f"permutation sampling to {percent(tolerance, 2)}{limit}"
    return "all coalitions" if game.n_players <= MOST_EXACT else "closed form"


def notes_of_images(true: ShapleyValues, batch: Batch) -> Iterator[str]:
    """Yield each distinct note on true values; a note that is not on all images starts with the names of its images."""
    for note in dict.fromkeys(note for image_notes in true.notes for note in image_notes):
        names = [batch.sources[image].name for image, image_notes in enumerate(true.notes) if note in image_notes]
        yield note if len(names) == len(true.notes) else f"{', '.join(map(printable_name, names))}: {note}"
