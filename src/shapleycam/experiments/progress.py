"""The interface by which an evaluation reports its progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shapleycam.experiments.rows import Row


class ProgressListener(Protocol):
    """What an evaluation calls as it proceeds; any object with these three methods.

    Examples:
        >>> class Counter:
        ...     done = 0
        ...     def run_started(self, images, done): self.done = done
        ...     def model_started(self, name): print(name)
        ...     def batch_finished(self, images, rows): self.done += images
        >>> from shapleycam.experiments import ProgressListener
        >>> listener: ProgressListener = Counter()
    """

    def run_started(self, images: int, done: int) -> None:
        """Receive the number of images over all models, and how many of them earlier sessions have measured."""

    def model_started(self, name: str) -> None:
        """Receive the name of the model that comes next."""

    def batch_finished(self, images: int, rows: Sequence[Row]) -> None:
        """Receive how many more images are measured, with their rows."""


class SilentListener:
    """A listener that does nothing."""

    def run_started(self, images: int, done: int) -> None:
        """Do nothing."""

    def model_started(self, name: str) -> None:
        """Do nothing."""

    def batch_finished(self, images: int, rows: Sequence[Row]) -> None:
        """Do nothing."""
