"""Open annotations, of whichever kind they are."""

from __future__ import annotations

from pathlib import Path

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.annotations import coco, masks, voc
from shapleycam.experiments.datasets.annotations.base import Annotations, files


def open_annotations(path: str | Path) -> Annotations:
    """The annotations in a folder of PASCAL-VOC XML, a folder of PNG masks, or a COCO JSON file.

    Raises:
        OptionError: there is no such thing, or it is none of these, or a folder of both.
        ImageError: the folder or the file cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return coco.read(path)
    if not path.is_dir():
        found = "a file that is not .json" if path.exists() else "no such file or folder"
        raise OptionError(f"{path}: {found}; expected a folder of .xml or of .png masks, or a COCO .json")
    boxes, mask_files = files(path, ".xml"), files(path, ".png")
    if bool(boxes) == bool(mask_files):
        found = "both .xml and .png files" if boxes else "neither .xml nor .png files"
        raise OptionError(f"{path}: {found} in the folder; expected one kind, name the sub-folder that holds it")
    return voc.Boxes(path, boxes) if boxes else masks.Masks(path, mask_files)
