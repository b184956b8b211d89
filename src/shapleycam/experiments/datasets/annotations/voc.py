"""Boxes in PASCAL VOC's XML, which is also the form of ImageNet's boxes."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import read_content
from shapleycam.experiments.datasets.regions import Region
from shapleycam.images import Box

_LIMIT = 4 << 20
"""An XML file of more bytes than this is not one photograph's boxes."""


def read_regions(path: Path) -> list[Region]:
    """Return a region for each object of a photograph's XML; its parts, such as a person's head, have none.

    Raises:
        ImageError: it cannot be read, or is not such XML.
    """
    root = _parse(path)
    size = _size(root, path)
    return [Region(_label(element), _box(element, path), size=size) for element in root.findall("object")]


def _parse(path: Path) -> Element:
    """Return the root of the XML; a document type is refused, so that there are no entities to expand or to fetch."""
    try:
        root: Element = fromstring(read_content(path, _LIMIT), forbid_dtd=True)
    except DefusedXmlException:
        raise ImageError(f"{path}: the XML declares a document type or entities; remove the declaration") from None
    except (ParseError, LookupError, ValueError) as error:  # the last two: an encoding that Python does not know
        raise ImageError(f"{path}: not well-formed XML ({error}); get the annotation again") from None
    return root


def _size(root: Element, path: Path) -> tuple[int, int] | None:
    """Return the stated (width, height), None where it is missing or 0 x 0, which some programs write for unknown."""
    if root.find("size/width") is None or root.find("size/height") is None:
        return None
    width, height = (_number(root, f"size/{side}", path) for side in ("width", "height"))
    return (int(width), int(height)) if width >= 1 and height >= 1 else None


def _label(element: Element) -> str | None:
    return (element.findtext("name") or "").strip() or None


def _box(element: Element, path: Path) -> Box:
    """Return the edges (left, top, right, bottom) of a box.

    VOC states the first and the last pixel, counted from 1: pixel 1 lies between the edges 0 and 1, so 1 is subtracted
    from the first, and the number of the last is its right edge. ImageNet has some boxes that begin at 0, a pixel
    outside of the photograph, which does no harm.
    """
    left, top, right, bottom = (_number(element, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax"))
    if right < left or bottom < top:
        edges = f"xmin {left:g}, ymin {top:g}, xmax {right:g}, ymax {bottom:g}"
        raise ImageError(f"{path}: a box ends before it begins ({edges}); correct the annotation")
    return left - 1, top - 1, right, bottom


def _number(element: Element, tags: str, path: Path) -> float:
    """Return the number in the element at a path of tags."""
    text = element.findtext(tags)
    try:
        number = float(text if text is not None else "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ImageError(f"{path}: <{element.tag}> has {text!r:.40} as {tags}; expected a number")
    return number
