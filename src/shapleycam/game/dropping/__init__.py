"""Removal by leaving tokens out: a vision transformer never sees the patches of absent players."""

from shapleycam.game.dropping.runner import dropping_runners

__all__ = ["dropping_runners"]
