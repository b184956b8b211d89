"""COCO's run lengths as a text, as its API writes them."""

from __future__ import annotations


def compress_run_lengths(counts: list[int]) -> str:
    """Compress run lengths as the COCO API's rleToString does: differences from the fourth on, groups of five bits."""
    text = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = number & 0x1F
            number >>= 5
            more = number != -1 if bits & 0x10 else number != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text
