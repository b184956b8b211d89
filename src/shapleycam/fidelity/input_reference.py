"""`InputQuestion`: the game at the input, whose Shapley values are compared with values at layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from shapleycam.errors import LayerError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Images
from shapleycam.explaining.question import RemovalOption, UtilityChoice
from shapleycam.fidelity._split_values import SplitValues, split_values
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.images import Source
from shapleycam.printable import printable_name
from shapleycam.tracing.input_layer import INPUT
from shapleycam.values.distance import linear_correlation, relative_error
from shapleycam.values.progress import Progress

INPUT_PLAYERS = (7, 7)
"""The default grid of regions of the image."""
INPUT_RUNS = 2000
"""The default number of runs for an image's values; each half has the default number of a method at the input."""


@dataclass(frozen=True)
class InputQuestion:
    """The game at the input: its players, its removal, and how its values are sampled.

    Attributes:
        players: the regions of the image, as in `shapleycam.values.EstimatorOptions`.
        removal: what replaces the content of absent regions; None for the explainer's own removal.
        reference: photographs for removal "mean".
        runs: maximum number of runs of the model for one image, for both halves together.
        seed: the seed of the orders; the image's content is mixed into it.

    Examples:
        >>> from shapleycam.fidelity import InputQuestion
        >>> InputQuestion(removal="blur").players
        (7, 7)
    """

    players: Regions = INPUT_PLAYERS
    removal: RemovalOption = "zero"
    reference: Images | None = None
    runs: int = INPUT_RUNS
    seed: int = 0

    def at_input(self, explainer: Explainer) -> Explainer:
        """Return an explainer of the same model at its input, in full precision, with the removal of this question."""
        return explainer.in_full_precision().at_layer(INPUT, removal=self.removal, reference=self.reference)

    def game(self, at_input: Explainer, batch: Batch, utility: UtilityChoice = None) -> Game:
        """Return the game of the image's regions, for the predicted class.

        Raises:
            LayerError: the model has a module that is called "input".
            ShapleyCamError: as `Explainer.game`.
        """
        game = at_input.game(batch, utility=utility, players=self.players)
        if not game.is_at_input:
            raise LayerError(
                f"the model has a module that is called {INPUT!r}, the name of the layer of its input image; explain "
                "Sequential(model), whose modules have other names"
            )
        return game

    def values(self, game: Game, progress: Progress | None = None) -> SplitValues:
        """Return the game's values in two halves; the seeds differ from those of methods that are compared with them.

        Raises:
            OptionError: there are too few runs for the number of players.
        """
        return split_values(game, self.runs, self.seed + 1, progress=progress)


@dataclass(frozen=True)
class InputValues:
    """The accuracy of the input's values of one image, and the utility that they divide.

    Attributes:
        image: the image's path or name.
        utility: the name of the utility.
        regions: the number of regions.
        agreement: Pearson's correlation of the two halves; None if a half is constant.
        noise: estimated relative distance of the values from values without noise; 0 for exact values.
        runs: number of runs of the model for both halves.
        utility_whole: the utility of the whole image.
        utility_removed: the utility of the image with all regions removed.

    Examples:
        >>> from shapleycam.fidelity import InputValues
        >>> InputValues("cat.jpg", "rest", 49, 0.9, 0.2, 1920, 8.0, 1.0).agreement
        0.9
    """

    image: str
    utility: str
    regions: int
    agreement: float | None
    noise: float
    runs: int
    utility_whole: float
    utility_removed: float


def describe_input_values(game: Game, values: SplitValues, sources: Sequence[Source]) -> list[InputValues]:
    """Return the accuracy of the values of a game at the input, for each image."""
    agreement = linear_correlation(values.first, values.second).tolist()
    noise = (relative_error(values.first, values.values)).tolist()
    whole, removed = game.full.tolist(), game.empty.tolist()
    return [
        InputValues(
            name_of(source),
            game.utility.name,
            game.n_players,
            None if isnan(agreement[image]) else agreement[image],
            0.0 if isnan(noise[image]) else noise[image],
            int(values.runs[image]),
            whole[image],
            removed[image],
        )
        for image, source in enumerate(sources)
    ]


def name_of(source: Source) -> str:
    """Return an image's path, or its name if it has no path."""
    return printable_name(str(source.photo)) if isinstance(source.photo, Path) else source.name
