"""Heads that read their output from a few queries of an attention: the proof of it, and coalitions token by token."""

from shapleycam.game.attention.program import NotProvenError
from shapleycam.game.attention.reader import AttentionReader

__all__ = ["AttentionReader", "NotProvenError"]
