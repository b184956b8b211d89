"""The input's Shapley values of images, which values at layers are compared with."""

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
"""The regions of the image, unless the user gives others."""
INPUT_RUNS = 2000
"""Runs of the model, an image, for the input's values: two halves of as many as a method takes there by default."""


@dataclass(frozen=True)
class InputQuestion:
    """What is asked of the input.

    Attributes:
        players: the regions of the image, as in `shapleycam.values.EstimatorOptions`.
        removal: what stands in for absent regions; None for the explainer's own.
        reference: photographs for removal "mean".
        runs: of the model, an image, for both halves together.
        seed: with the image's content, what the orders are drawn from.

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
        """Return an explainer of the same model at its input, in the model's own precision, with this removal."""
        return explainer.in_full_precision().at_layer(INPUT, removal=self.removal, reference=self.reference)

    def game(self, at_input: Explainer, batch: Batch, utility: UtilityChoice = None) -> Game:
        """Return the game of the image's regions, of the predicted class.

        Raises:
            LayerError: the model has a module that is called "input".
            ShapleyCamError: as `Explainer.game`.
        """
        game = at_input.game(batch, utility=utility, players=self.players)
        if not game.is_at_input:
            raise LayerError(
                f"the model has a module that is called {INPUT!r}, so that its image has no name; explain "
                "Sequential(model), whose layer it then is"
            )
        return game

    def values(self, game: Game, progress: Progress | None = None) -> SplitValues:
        """Return the game's values; other seeds than methods have, which are compared with them.

        Raises:
            OptionError: too few runs for the players.
        """
        return split_values(game, self.runs, self.seed + 1, progress=progress)


@dataclass(frozen=True)
class InputValues:
    """How sure the input's values of one image are, and what they divide.

    Attributes:
        image: its path or name.
        utility: the name of the utility.
        regions: how many there are.
        agreement: Pearson's correlation of the two halves; None where one is constant.
        noise: how far the mean of both is from values without noise, as a share of the values; 0 for exact ones.
        runs: of the model that both took.
        utility_whole: U of the whole image.
        utility_removed: U of the image of which every region was removed: what the model still sees.

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
    """Return how sure the values of a game at the input are, image by image."""
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
    """Return an image's path, or its name where it has none."""
    return printable_name(str(source.photo)) if isinstance(source.photo, Path) else source.name
