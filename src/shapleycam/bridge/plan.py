"""`plan_ladder`: estimates the runs and the time of a ladder from a few timed runs at each layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from shapleycam.bridge._ladder import at_rung, single_images
from shapleycam.bridge.protocol import protocol_of
from shapleycam.bridge.rungs import choose_rungs
from shapleycam.bridge.store import Store, check_protocol
from shapleycam.errors import ImageError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Images
from shapleycam.fidelity import InputQuestion
from shapleycam.fidelity._split_values import (
    check_split_runs,
    has_shortcut,
    sampled_runs,
    split_values,
    takes_all_coalitions,
)
from shapleycam.fidelity.against_input import DEFAULT_QUESTION
from shapleycam.fidelity.distinct import distinct_images
from shapleycam.fidelity.layer_values import layer_game
from shapleycam.fidelity.timing import seconds_of
from shapleycam.game import Game
from shapleycam.models.network import Network
from shapleycam.tracing.input_layer import INPUT

_TIMED_COALITIONS = 16
"""Number of coalitions whose runs are timed at a layer, after as many for warm-up."""


@dataclass(frozen=True)
class RungPlan:
    """Cost of the Shapley values at a layer.

    Attributes:
        layer: the layer's dotted name.
        players: number of players at the layer.
        runs: runs of the head for one image; None if coalitions have a shortcut.
        seconds: time for one image.
        images: number of images whose values are not stored yet.

    Examples:
        >>> from shapleycam.bridge import RungPlan
        >>> RungPlan("blocks.4", 49, 1920, seconds=30.0, images=50).total
        1500.0
    """

    layer: str
    players: int
    runs: int | None
    seconds: float
    images: int

    @property
    def total(self) -> float:
        """Return the seconds for all images."""
        return self.seconds * self.images


@dataclass(frozen=True)
class LadderPlan:
    """Cost of a ladder, for each layer from the last to the input; the cost of methods is not included.

    Examples:
        >>> from shapleycam.bridge import LadderPlan, RungPlan
        >>> LadderPlan((RungPlan("input", 49, 1920, seconds=30.0, images=50),)).seconds
        1500.0
    """

    rungs: tuple[RungPlan, ...]

    @property
    def seconds(self) -> float:
        """Return the seconds for all images and layers."""
        return sum(rung.total for rung in self.rungs)

    @property
    def runs(self) -> int:
        """Return the runs of the head for all images and layers; layers with a shortcut count as 0."""
        return sum((rung.runs or 0) * rung.images for rung in self.rungs)


def plan_ladder(
    model: Explainer | str | nn.Module | Network,
    images: Images | Iterator[Batch],
    layers: Sequence[str] | None = None,
    question: InputQuestion = DEFAULT_QUESTION,
    *,
    out: str | Path | None = None,
) -> LadderPlan:
    """Return the expected cost of `ladder`, with its arguments and errors; write nothing.

    A few runs of the head at each layer are timed on the first image. If coalitions have a shortcut, the whole
    computation of this image's values is timed.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.bridge import plan_ladder
        >>> from shapleycam.fidelity import InputQuestion
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2))
        >>> plan = plan_ladder(model, torch.rand(3, 3, 8, 8), ["1"], InputQuestion(players=(4, 4), runs=400))
        >>> [(rung.layer, rung.players, rung.images, rung.runs) for rung in plan.rungs]  # both have a shortcut
        [('1', 16, 3, None), ('input', 16, 3, None)]
    """
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    at_input = question.at_input(explainer)
    batches = list(distinct_images(single_images(images, explainer), [explainer.utility]))
    if not batches:
        raise ImageError("no images were given; expected at least one")
    store = None
    if out is not None:
        protocol = protocol_of(explainer, at_input, question)
        check_protocol(Path(out), protocol)
        store = Store(Path(out), protocol)
    first = batches[0]
    input_game = question.game(at_input, first)
    rungs = []
    for layer in choose_rungs(explainer, first, layers):
        pending = sum(store is None or not store.has(batch.images, layer) for batch in batches)
        at_layer = at_rung(explainer, at_input, layer)
        game = input_game if layer == INPUT else layer_game(at_layer, first, input_game, question.players)
        rungs.append(RungPlan(layer, game.n_players, *_runs_and_seconds(game, question.runs), pending))
    return LadderPlan(tuple(rungs))


def _runs_and_seconds(game: Game, runs: int) -> tuple[int | None, float]:
    """Return the number of runs for an image's values, and the estimated seconds.

    The number is None if coalitions have a shortcut; then the seconds are measured, not estimated.
    """
    if has_shortcut(game, runs):
        return None, seconds_of(lambda: split_values(game, runs))
    coalitions = runs // game.runs_per_coalition
    if takes_all_coalitions(game.n_players, coalitions):
        planned = 2**game.n_players
    else:
        check_split_runs(game, runs)
        planned = sampled_runs(game.n_players, coalitions)
    generator = torch.Generator().manual_seed(0)
    size = (_TIMED_COALITIONS, game.n_players)
    random_coalitions = torch.rand(size, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    game.value(random_coalitions)
    seconds = seconds_of(lambda: game.value(random_coalitions)) / _TIMED_COALITIONS
    return planned * game.runs_per_coalition, seconds * planned
