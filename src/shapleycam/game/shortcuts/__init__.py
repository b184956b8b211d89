"""Shortcuts: cheaper ways to run the head for coalitions, each for heads of one structure, in a file of its own.

A new shortcut is a `HeadRunner` in a file here, a row of SHORTCUTS, and a field of `Structure` that
`game/structure.py` proves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from shapleycam.game.head_runner import HeadRunner
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.structure import Structure


class Shortcut(NamedTuple):
    """A runner, and whether a head of a structure allows it."""

    runner: type[HeadRunner]
    is_allowed: Callable[[Structure], bool]


SHORTCUTS = (
    Shortcut(SummedRunner, lambda structure: structure.is_sum),
    Shortcut(PooledRunner, lambda structure: structure.reads_mean),
    Shortcut(AveragedRunner, lambda structure: structure.averages_positions),
)
"""All shortcuts, the cheapest first."""
