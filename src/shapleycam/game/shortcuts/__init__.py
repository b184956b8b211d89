"""Shortcuts: cheaper ways to run the head for coalitions, each for heads of one structure, in a file of its own.

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
        runner: runs the head for coalitions.
        head: what the head is for which it is meant, in words.
        cost: what a coalition costs, in words.
        is_allowed: whether a structure allows it.
        make: makes the runner from the pass, what the players hold, and the proof.
        runs: of the head that making it is worth, an image, where they are as many as a user might play coalitions; of
            the structure, and how many numbers a run of the head holds at a time.
    """

    runner: type[HeadRunner]
    head: str
    cost: str
    is_allowed: Callable[[Structure], bool]
    make: Callable[[Trace, Contents, Proof], HeadRunner]
    runs: Callable[[Structure, int], int] = lambda _structure, _numbers: 0

    @property
    def name(self) -> str:
        """Return its name, which is that of its file: "summed", say."""
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
