"""Options of the estimators: one object that is handed down whole, and its fields as keyword arguments of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from shapleycam.errors import OptionError
from shapleycam.game.channels import CHANNELS
from shapleycam.game.players import Regions
from shapleycam.images import Seed
from shapleycam.values._path import Nodes
from shapleycam.values.progress import Progress


@dataclass(frozen=True)
class EstimatorOptions:
    """Options of the estimators, handed down whole from the explainer to the method that needs them.

    Args:
        nodes: gradients along the path, for the path methods; "auto" takes as many as its values need.
        tolerance: ‖standard error‖ / ‖values‖ to which sampledshapley and owen sample.
        seed: for randomcam, sampledshapley and owen, with the image's content.
        players: None for each position by itself; (rows, columns) of a grid of regions; whole numbers (h, w) or
            (b, h, w) that name each cell's region; or, at layer "input", "superpixels", "superpixels:80" or "patches".
        progress: called while sampling with the orders so far and the largest ‖standard error‖ / ‖values‖; by
            exactshapley with the coalitions so far and NaN. What it raises ends the work.
        runs: of what comes after the layer that values of players may take of an image at most; None for no limit, and
            at layer "input", where each is a run of the whole model, for 1,000. Methods of masked or noisy images that
            take more runs of the whole model are refused.

    Raises:
        OptionError: channels as players, which have no place on a map, or no runs.

    Examples:
        >>> from shapleycam.values import EstimatorOptions
        >>> EstimatorOptions(nodes=16).tolerance
        0.01
    """

    nodes: Nodes = 8
    tolerance: float = 0.01
    seed: Seed = 0
    players: Regions = None
    progress: Progress | None = None
    runs: int | None = None

    def __post_init__(self) -> None:
        check_run_count(self.runs)
        if isinstance(self.players, str) and self.players == CHANNELS:
            raise OptionError(
                f"players={CHANNELS!r} make no map, since a channel has no place; expected positions or regions: "
                f"choose method 'channelshapley', 'ablationcam' or 'liftcam', or Explainer.game(images, "
                f"players={CHANNELS!r}) and a function of values"
            )


def check_run_count(runs: int | None) -> None:
    """Refuse what is no number of runs.

    Raises:
        OptionError: it is neither None nor a whole number from 1 on.
    """
    if runs is not None and not (isinstance(runs, int) and runs >= 1):
        raise OptionError(f"runs is {runs!r}; expected 1 or more, or None")


class EstimatorKeywords(TypedDict, total=False):
    """The fields of `EstimatorOptions` as keyword arguments of public functions."""

    nodes: Nodes
    tolerance: float
    seed: Seed
    players: Regions
    progress: Progress | None
    runs: int | None
