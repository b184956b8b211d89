"""`open_annotations`: opens annotations in any supported format."""

from __future__ import annotations

from pathlib import Path

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.annotations import coco, masks, voc
from shapleycam.experiments.datasets.annotations.base import Annotations, FolderAnnotations, list_files
from shapleycam.regular_files import is_file, is_folder, is_there


def open_annotations(path: str | Path) -> Annotations:
    """Return the annotations in a folder of PASCAL VOC XML files, a folder of PNG masks, or a COCO JSON file.

    Raises:
        OptionError: the file or folder does not exist or has another format, or the folder holds both formats.
        ImageError: the folder or the file cannot be read.
    """
    path = Path(path)
    if is_file(path) and path.suffix.lower() == ".json":
        return coco.read_coco(path)
    if not is_folder(path):
        reason = "a file that is not .json" if is_there(path) else "no such file or folder"
        raise OptionError(f"{path}: {reason}; expected a folder of .xml or of .png masks, or a COCO .json")
    xml_files, mask_files = list_files(path, ".xml"), list_files(path, ".png")
    if bool(xml_files) == bool(mask_files):
        content = "both .xml and .png files" if xml_files else "neither .xml nor .png files"
        raise OptionError(f"{path}: {content} in the folder; expected one kind, name the sub-folder that holds it")
    if xml_files:
        return FolderAnnotations(path, xml_files, voc.read_regions)
    return FolderAnnotations(path, mask_files, masks.read_regions)
