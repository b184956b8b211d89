"""Removal by dropping tokens: a vision transformer gets no tokens for patches of absent players."""

from shapleycam.game.dropping.runner import dropping_runners

__all__ = ["dropping_runners"]
