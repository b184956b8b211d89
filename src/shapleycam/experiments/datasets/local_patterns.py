"""Local files that match a glob or a brace pattern."""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.datasets.folder_labels import label_by_folder
from shapleycam.experiments.datasets.patterns import expand_braces, fixed_part, has_braces, is_glob
from shapleycam.images import is_picture, path_parts
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_folder


def expand_pattern(pattern: str) -> list[str]:
    """Return the files of a pattern: braces are expanded in their order, the matches of a glob are sorted.

    Raises:
        OptionError: a glob matches nothing, or the braces are invalid.

    Examples:
        >>> expand_pattern("shards/{000..001}.tar")
        ['shards/000.tar', 'shards/001.tar']
    """
    texts = expand_braces(pattern) if has_braces(pattern) else [pattern]
    paths: list[str] = []
    for text in texts:
        matching = sorted(glob(text, recursive=True), key=path_parts) if is_glob(text) else [text]  # noqa: PTH207
        if not matching:
            raise OptionError(f"{pattern}: no such files; expected a pattern that finds some: check {text}")
        paths += matching
    return list(dict.fromkeys(paths))


def open_photographs(pattern: str) -> FileDataset:
    """Return a dataset of the photographs of a pattern.

    The label of a photograph is its first folder after the part of the pattern without wildcards and braces.

    Raises:
        OptionError: there are no photographs.
    """
    paths = [path for path in expand_pattern(pattern) if is_picture(Path(path).name) and not is_folder(path)]
    if not paths:
        raise OptionError(f"{pattern}: no pictures; expected a pattern that finds files such as .jpg or .png")
    start = len(fixed_part(pattern.replace(os.sep, "/"))) + 1 if "/" in pattern.replace(os.sep, "/") else 0
    names = tuple(printable_name(path[start:].replace(os.sep, "/").lstrip("/")) for path in paths)
    labels, classes = label_by_folder(names)
    return FileDataset(printable_name(pattern), tuple(paths), names, labels, classes)
