"""Options of the estimators, as one object and as keyword arguments."""

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
    """Options of the estimators, which the explainer passes on to the methods.

    Args:
        nodes: the number of gradients along the path, for path methods; "auto" takes as many as the values need.
        tolerance: ‖standard error‖ / ‖values‖ at which sampledshapley and owen stop sampling.
        seed: randomcam, sampledshapley and owen draw from this seed and the image's content.
        players: None for one player per position; (rows, columns) of a grid of regions; integers (h, w) or (b, h, w)
            that label each cell's region; or, at layer "input", "superpixels", "superpixels:80" or "patches".
        progress: a function that is called during sampling with the number of orders so far and the largest
            ‖standard error‖ / ‖values‖; exactshapley calls it with the number of coalitions so far and NaN. An
            exception ends the work.
        runs: the maximum number of runs of the head for the values of one image. None means no limit, but 1,000 at
            layer "input", where the head is the whole model. Methods of masked or noisy images are refused if they take
            more runs of the whole model.

    Raises:
        OptionError: the players are channels, which have no position on a map; or the number of runs is not positive.

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
    """Refuse an invalid number of runs.

    Raises:
        OptionError: it is neither None nor a positive integer.
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
