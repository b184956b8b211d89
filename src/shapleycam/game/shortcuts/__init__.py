"""The table of shortcuts: cheaper ways to evaluate coalitions, each for heads of one structure.

A new shortcut is a `HeadRunner` in a file here, a row of SHORTCUTS, and a field of `Structure` that
`game/structure.py` proves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import HeadRunner
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.channel_means import ChannelMeansRunner
from shapleycam.game.shortcuts.class_token import ClassTokenRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.shortcuts.windowed import WindowedRunner
from shapleycam.game.structure import Proof, Structure
from shapleycam.tracing import Trace


class Shortcut(NamedTuple):
    """A row of the table of shortcuts.

    Attributes:
        runner: the class that evaluates coalitions.
        head: a phrase that describes the heads it is for.
        cost: a phrase that says what a coalition costs.
        is_allowed: returns whether a structure allows it.
        make: returns the runner for a pass, its contents, and the proof.
        runs: (structure, elements that a run of the head holds) -> the cost of making the runner, in runs of the head
            per image; 0 if it is small.
    """

    runner: type[HeadRunner]
    head: str
    cost: str
    is_allowed: Callable[[Structure], bool]
    make: Callable[[Trace, Contents, Proof], HeadRunner]
    runs: Callable[[Structure, int], int] = lambda _structure, _numbers: 0

    @property
    def name(self) -> str:
        """Return its name, which is the name of its file (for example "summed")."""
        return self.runner.__module__.rpartition(".")[2]


SHORTCUTS = (
    Shortcut(
        SummedRunner,
        "a sum over positions",
        "a sum",
        lambda structure: structure.is_sum,
        lambda trace, contents, _: SummedRunner(trace, contents),
    ),
    Shortcut(
        PooledRunner,
        "a function of the mean over positions",
        "a mean and what follows it",
        lambda structure: structure.reads_mean,
        lambda trace, contents, _: PooledRunner(trace, contents),
    ),
    Shortcut(
        ChannelMeansRunner,
        "a function of the channels' means",
        "a masked mean and what follows it",
        lambda structure: structure.reads_channel_means,
        lambda trace, contents, _: ChannelMeansRunner(trace, contents),
    ),
    Shortcut(
        AveragedRunner,
        "a function of a sum over what each position becomes by itself",
        "a sum and what follows it",
        lambda structure: structure.averages_positions,
        lambda trace, contents, _: AveragedRunner(trace, contents),
    ),
    Shortcut(
        WindowedRunner,
        "a function of a sum over what windows of positions become",
        "look-ups in a table and what follows the sum",
        lambda structure: structure.window is not None,
        lambda trace, contents, _: WindowedRunner(trace, contents),
        lambda structure, numbers: structure.window.runs(numbers) if structure.window else 0,
    ),
    Shortcut(
        ClassTokenRunner,
        "a function of a class token, or another few rows that attend to the positions",
        "sums over positions and what follows them",
        lambda structure: structure.query_rows > 0,
        lambda trace, contents, proof: ClassTokenRunner(trace, contents, proof.reader),
    ),
)
"""All shortcuts, the cheapest first."""
