"""`read_regions`: reads boxes in PASCAL VOC's XML, which is also the format of ImageNet's boxes."""

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
"""Maximum size of an XML file in bytes."""


def read_regions(path: Path) -> list[Region]:
    """Return a region for each object in a photograph's XML; parts of an object, such as a person's head, are ignored.

    Raises:
        ImageError: the file cannot be read, or is not such XML.
    """
    root = _parse(path)
    size = _size(root, path)
    return [Region(_label(element), _box(element, path), size=size) for element in root.findall("object")]


def _parse(path: Path) -> Element:
    """Return the root of the XML; refuse a document type declaration, which may define entities to expand or fetch."""
    try:
        root: Element = fromstring(read_content(path, _LIMIT), forbid_dtd=True)
    except DefusedXmlException:
        raise ImageError(f"{path}: the XML declares a document type or entities; remove the declaration") from None
    except (ParseError, LookupError, ValueError) as error:  # the last two are for encodings that Python does not know
        raise ImageError(f"{path}: not well-formed XML ({error}); get the annotation again") from None
    return root


def _size(root: Element, path: Path) -> tuple[int, int] | None:
    """Return the stated (width, height); None if it is missing or 0 x 0, which some programs write for unknown."""
    if root.find("size/width") is None or root.find("size/height") is None:
        return None
    width, height = (_number(root, f"size/{side}", path) for side in ("width", "height"))
    return (int(width), int(height)) if width >= 1 and height >= 1 else None


def _label(element: Element) -> str | None:
    return (element.findtext("name") or "").strip() or None


def _box(element: Element, path: Path) -> Box:
    """Return the edges (left, top, right, bottom) of a box.

    VOC states the numbers of the first and the last pixel, counted from 1. Pixel n lies between the edges n - 1 and n:
    so the left edge is the first number minus 1, and the right edge is the last number. Some boxes of ImageNet start
    at 0, which is one pixel outside of the photograph, and harmless.
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
