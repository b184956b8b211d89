"""Heads that read a few queries of an attention: the proof of this form, and the evaluation of coalitions."""

from shapleycam.game.attention.program import NotProvenError
from shapleycam.game.attention.reader import AttentionReader

__all__ = ["AttentionReader", "NotProvenError"]
