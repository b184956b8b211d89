"""The CRG game of a batch of images: its players, the values of coalitions, and the utility's derivatives."""

from shapleycam.game.game import Game

__all__ = ["Game"]
