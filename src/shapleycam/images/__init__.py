"""Photographs: found, opened as people see them, and identified by their content."""

from shapleycam.images.photographs import (
    PIXEL_LIMIT,
    SUFFIXES,
    Box,
    Photo,
    Seed,
    Source,
    content_seeds,
    find_photographs,
    open_photograph,
)

__all__ = [
    "PIXEL_LIMIT",
    "SUFFIXES",
    "Box",
    "Photo",
    "Seed",
    "Source",
    "content_seeds",
    "find_photographs",
    "open_photograph",
]
