"""The CRG game of a batch of images, and who plays it."""

from shapleycam.game.game import Game

__all__ = ["Game"]
