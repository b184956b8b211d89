"""Files of this machine that a glob or a brace pattern names."""

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
    """Return the files that a pattern names: of braces in their order, of a glob in sorted order.

    Raises:
        OptionError: a glob finds nothing, or the braces are wrong.

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
    """Open the photographs that a pattern names; the label of each is its first folder below the pattern's fixed part.

    Raises:
        OptionError: it finds none.
    """
    paths = [path for path in expand_pattern(pattern) if is_picture(Path(path).name) and not is_folder(path)]
    if not paths:
        raise OptionError(f"{pattern}: no pictures; expected a pattern that finds files such as .jpg or .png")
    start = len(fixed_part(pattern.replace(os.sep, "/"))) + 1 if "/" in pattern.replace(os.sep, "/") else 0
    names = tuple(printable_name(path[start:].replace(os.sep, "/").lstrip("/")) for path in paths)
    labels, classes = label_by_folder(names)
    return FileDataset(printable_name(pattern), tuple(paths), names, labels, classes)
