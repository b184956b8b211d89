"""Photographs: finding them by their paths, opening them upright and in RGB; and random seeds from their content."""

from shapleycam.images.folders import (
    SUFFIXES,
    has_pictures,
    is_companion,
    is_hidden,
    is_picture,
    list_pictures,
    path_parts,
    walk_files,
    warn_of_hidden,
)
from shapleycam.images.limits import check_before_decoding
from shapleycam.images.photographs import (
    Box,
    Photo,
    Source,
    find_photographs,
    open_photograph,
    open_with_orientation,
    read_orientation,
)
from shapleycam.images.pillow_errors import PIXEL_LIMIT, raise_image_errors
from shapleycam.images.seeds import Seed, content_seeds, further_seed

load = open_photograph
"""The old name of `open_photograph`, for existing programs."""

__all__ = [
    "PIXEL_LIMIT",
    "SUFFIXES",
    "Box",
    "Photo",
    "Seed",
    "Source",
    "check_before_decoding",
    "content_seeds",
    "find_photographs",
    "further_seed",
    "has_pictures",
    "is_companion",
    "is_hidden",
    "is_picture",
    "list_pictures",
    "load",
    "open_photograph",
    "open_with_orientation",
    "path_parts",
    "raise_image_errors",
    "read_orientation",
    "walk_files",
    "warn_of_hidden",
]
