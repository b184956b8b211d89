"""`read_coco`: reads objects in COCO's JSON, which are boxes, polygons and run lengths."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import Annotations, NameIndex, check_masks, read_content
from shapleycam.experiments.datasets.regions import Region
from shapleycam.images import PIXEL_LIMIT, Box
from shapleycam.images.object_masks import decode_run_lengths, mask_from_polygons, mask_from_run_lengths
from shapleycam.wording import counted


class CocoAnnotations(Annotations):
    """The annotations in a COCO file, found by the `file_name` of their image; masks are decoded when needed."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.origin = str(path)
        categories = content.get("categories", ())
        _refuse_repeated_ids(path, "images", content["images"])
        _refuse_repeated_ids(path, "categories", categories)
        self._categories: dict[Any, str] = {category["id"]: str(category["name"]) for category in categories}
        self._images = [(image["file_name"], (image["width"], image["height"])) for image in content["images"]]
        entries = {image["id"]: entry for entry, image in enumerate(content["images"])}
        self._objects: list[list[dict[str, Any]]] = [[] for _ in self._images]
        for annotation in content["annotations"]:
            fields = {key: annotation.get(key) for key in ("category_id", "bbox", "segmentation")}
            self._objects[entries[annotation["image_id"]]].append(fields)
        self._index = NameIndex((name, entry) for entry, (name, _) in enumerate(self._images))

    def regions_of(self, name: str) -> list[Region] | None:
        """Return a region for each annotation, including crowds; its label is the category's name."""
        entry = self._index.entry_of(name)
        if entry is None:
            return None
        objects, size = self._objects[entry], self._images[entry][1]
        try:
            check_masks(f"{self.origin}: {name}", sum(bool(fields["segmentation"]) for fields in objects), *size)
            return [self._region(fields, size) for fields in objects]
        except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
            raise ImageError(
                f"{self.origin}: an annotation of {name} is damaged ({error!r:.200}); correct it"
            ) from None

    def source_of(self, name: str) -> int | None:
        """Return the number of the photograph's entry in the file; None if there is none."""
        return self._index.entry_of(name)

    def _region(self, fields: dict[str, Any], size: tuple[int, int]) -> Region:
        width, height = size
        if not (isinstance(width, int) and isinstance(height, int)) or not 0 < width * height <= PIXEL_LIMIT:
            raise ValueError(f"an image of {width} x {height}")
        label = self._categories.get(fields["category_id"], fields["category_id"])
        return Region(label, _box(fields["bbox"]), _mask(fields["segmentation"], size), size)


def _refuse_repeated_ids(path: Path, what: str, entries: Sequence[dict[str, Any]]) -> None:
    """Refuse entries with the same id, as in files that were joined: their annotations cannot be told apart.

    Raises:
        ImageError: there are such entries.
    """
    repeated = [number for number, times in Counter(entry["id"] for entry in entries).items() if times > 1]
    if repeated:
        raise ImageError(
            f"{path}: several {what} have the id {repeated[0]!r:.40} ({counted(len(repeated), 'such id')} in all); "
            "expected an id for each: number them anew, and the annotations with them"
        )


def read_coco(path: Path) -> CocoAnnotations:
    """Return the annotations in a COCO file.

    Raises:
        ImageError: the file cannot be read, is not COCO's JSON, or gives one id to several images or categories.
    """
    try:
        return CocoAnnotations(path, json.loads(read_content(path)))
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{path}: not JSON ({error}); get the file again") from None
    except (TypeError, KeyError, AttributeError) as error:
        raise ImageError(
            f"{path}: not in COCO's form ({error!r:.200}); expected images, annotations and categories"
        ) from None


def _box(box: Any) -> Box | None:
    """Return the edges (left, top, right, bottom) of a box [left, top, width, height], in pixels."""
    if not box:
        return None
    left, top, width, height = map(float, box)
    if not all(map(math.isfinite, (left, top, width, height))) or min(width, height) < 0:
        raise ValueError(f"bbox {box}")
    return left, top, left + width, top + height


def _mask(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the mask for polygons or run lengths; None if there are neither."""
    if not segmentation:
        return None
    width, height = size
    if isinstance(segmentation, list):
        return mask_from_polygons(segmentation, width, height)
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"run lengths of size {segmentation['size']} for an image of height and width {height, width}")
    counts = segmentation["counts"]
    return mask_from_run_lengths(decode_run_lengths(counts) if isinstance(counts, str) else counts, width, height)
