"""Objects in COCO's JSON: boxes, polygons and run lengths."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import Annotations, Index, content
from shapleycam.experiments.datasets.regions import Region
from shapleycam.experiments.datasets.shapes import from_polygons, from_runs, runs_of_text
from shapleycam.images import PIXEL_LIMIT, Box


class Objects(Annotations):
    """The annotations of a COCO file by the `file_name` of their image; masks are drawn when they are asked for."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.origin = str(path)
        self._categories: dict[Any, str] = {one["id"]: str(one["name"]) for one in facts.get("categories", ())}
        self._images = [(one["file_name"], (one["width"], one["height"])) for one in facts["images"]]
        places = {one["id"]: place for place, one in enumerate(facts["images"])}
        self._objects: list[list[dict[str, Any]]] = [[] for _ in self._images]
        for one in facts["annotations"]:
            kept = {key: one.get(key) for key in ("category_id", "bbox", "segmentation")}
            self._objects[places[one["image_id"]]].append(kept)
        self._index = Index((name, entry) for entry, (name, _) in enumerate(self._images))

    def of(self, name: str) -> list[Region] | None:
        """A region for each annotation, crowds among them; its label is the category's name."""
        entry = self._index.entry_of(name)
        if entry is None:
            return None
        try:
            return [self._region(one, self._images[entry][1]) for one in self._objects[entry]]
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
            raise ImageError(
                f"{self.origin}: an annotation of {name} is damaged ({error!r:.200}); correct it"
            ) from None

    def _region(self, one: dict[str, Any], size: tuple[int, int]) -> Region:
        width, height = size
        if not (isinstance(width, int) and isinstance(height, int)) or not 0 < width * height <= PIXEL_LIMIT:
            raise ValueError(f"an image of {width} x {height}")
        label = self._categories.get(one["category_id"], one["category_id"])
        return Region(label, _box(one["bbox"]), _mask(one["segmentation"], size), size)


def read(path: Path) -> Objects:
    """The annotations of a COCO file.

    Raises:
        ImageError: it cannot be read, or is not COCO's JSON.
    """
    try:
        return Objects(path, json.loads(content(path)))
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{path}: not JSON ({error}); get the file again") from None
    except (TypeError, KeyError, AttributeError) as error:
        raise ImageError(
            f"{path}: not in COCO's form ({error!r:.200}); expected images, annotations and categories"
        ) from None


def _box(box: Any) -> Box | None:
    """The edges of COCO's [left, top, width, height], which counts from the photograph's edge."""
    if not box:
        return None
    left, top, width, height = map(float, box)
    if not all(map(math.isfinite, (left, top, width, height))) or min(width, height) < 0:
        raise ValueError(f"bbox {box}")
    return left, top, left + width, top + height


def _mask(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The mask of polygons or of run lengths, None where there are neither."""
    if not segmentation:
        return None
    width, height = size
    if isinstance(segmentation, list):
        return from_polygons(segmentation, width, height)
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"run lengths of size {segmentation['size']} for an image of height and width {height, width}")
    counts = segmentation["counts"]
    return from_runs(runs_of_text(counts) if isinstance(counts, str) else counts, width, height)
