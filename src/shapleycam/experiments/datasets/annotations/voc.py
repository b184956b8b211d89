"""Boxes in PASCAL VOC's XML, which ImageNet's boxes have too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import Annotations, Index, content
from shapleycam.experiments.datasets.regions import Region
from shapleycam.images import Box

_LIMIT = 4 << 20
"""An XML file of more bytes than this is not one photograph's boxes."""


class Boxes(Annotations):
    """A folder of XML files, one a photograph, matched by their stems; read when they are asked for."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.origin = str(folder)
        self._folder, self._names = folder, names
        self._index = Index((name, entry) for entry, name in enumerate(names))

    def of(self, name: str) -> list[Region] | None:
        """A region for each object; its parts, such as a person's head, are none of their own."""
        entry = self._index.entry_of(name)
        return None if entry is None else _regions(self._folder / self._names[entry])


def _regions(path: Path) -> list[Region]:
    root = _parsed(path)
    size = _size(root, path)
    return [Region(_label(thing), _box(thing, path), size=size) for thing in root.findall("object")]


def _parsed(path: Path) -> Element:
    """The XML as a tree. A document type is refused, so that there are no entities to expand or to fetch."""
    tree = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data

    def refuse(*_: object) -> NoReturn:
        raise ImageError(f"{path}: the XML declares a document type or entities; remove the declaration")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content(path, _LIMIT), True)
    except expat.ExpatError as error:
        raise ImageError(f"{path}: not well-formed XML ({error}); get the annotation again") from None
    return tree.close()


def _size(root: Element, path: Path) -> tuple[int, int] | None:
    """The stated (width, height); some programs write 0 x 0 where they do not know."""
    if root.find("size/width") is None or root.find("size/height") is None:
        return None
    width, height = (_number(root, f"size/{side}", path) for side in ("width", "height"))
    return (int(width), int(height)) if width >= 1 and height >= 1 else None


def _label(thing: Element) -> str | None:
    return (thing.findtext("name") or "").strip() or None


def _box(thing: Element, path: Path) -> Box:
    """The edges of a box. VOC names its first and last pixel, counted from 1: pixel 1 lies from edge 0 to edge 1, so
    that 1 is taken from the first, and the last is its own right edge. ImageNet has some that begin at 0, a pixel
    outside, which does no harm.
    """
    left, top, right, bottom = (_number(thing, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax"))
    if right < left or bottom < top:
        found = f"xmin {left:g}, ymin {top:g}, xmax {right:g}, ymax {bottom:g}"
        raise ImageError(f"{path}: a box ends before it begins ({found}); correct the annotation")
    return left - 1, top - 1, right, bottom


def _number(element: Element, way: str, path: Path) -> float:
    text = element.findtext(way)
    try:
        number = float(text if text is not None else "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ImageError(f"{path}: <{element.tag}> has {text!r:.40} as {way}; expected a number")
    return number
