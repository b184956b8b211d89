"""Datasets of Hugging Face's library `datasets`, in saved folders or by their names on the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import index as whole_number
from pathlib import Path
from typing import Any

from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.columns import warn_of_others
from shapleycam.experiments.datasets.dataset import Dataset, Label, open_encoded_image
from shapleycam.foreign_errors import convert_errors
from shapleycam.regular_files import is_file, is_there
from shapleycam.wording import on_one_line

_SPEC = re.compile(r"(?P<name>.+?)(:(?P<split>[\w.+-]+(\[[^\]]*\])?))?")
_IMAGES, _LABELS = ("image", "img"), ("label", "labels")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class HuggingFaceDataset(Dataset):
    """The rows of a Hugging Face dataset; `rows` has only the column of pictures, which are not decoded."""

    origin: str
    rows: Any
    column: str
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None
    library_fingerprint: str

    def open(self, index: int) -> Path | Image.Image:
        """Return the row's picture, or the path of the file that the row names.

        Raises:
            ImageError: the row has no picture, or the picture cannot be read.
        """
        with convert_errors(
            lambda error: ImageError(f"row {self.names[index]}: the dataset cannot read it ({on_one_line(error)})")
        ):
            cell = self.rows[index][self.column]
        if cell and cell["bytes"] is not None:
            return open_encoded_image(cell["bytes"], f"row {self.names[index]}")
        if cell and cell["path"]:
            return Path(cell["path"])
        raise ImageError(f"row {self.names[index]}: no picture in column {self.column!r}; expected one in every row")

    def content_signature(self, index: int) -> str:  # noqa: ARG002  the fingerprint is of all rows at once
        """Return the library's fingerprint of the whole dataset, which is the same for all images."""
        return self.library_fingerprint


def open_hugging_face(spec: str) -> HuggingFaceDataset:
    """Return the dataset `hf:PATH_OR_NAME[:SPLIT]`: a folder from `save_to_disk`, or a name that `load_dataset` takes.

    Raises:
        OptionError: `datasets` is not installed; there is no such dataset or split; or there are several splits and
            none is named.
    """
    rest = spec.removeprefix("hf:")
    match = _SPEC.fullmatch(rest)
    if match is None:
        raise OptionError(f"{spec}: names no dataset; expected hf:FOLDER or hf:NAME, with :SPLIT where it has several")
    name, split = (rest, None) if is_there(rest) else (match["name"], match["split"])
    library = _library()
    saved = is_saved_dataset(Path(name))
    with convert_errors(
        lambda error: OptionError(f"{spec}: Hugging Face datasets cannot load it ({on_one_line(error)[:300]})")
    ):
        loaded = library.load_from_disk(name) if saved else _load(library, name, split)
    if not isinstance(loaded, Mapping):
        if saved and split is not None and str(loaded.split) != split:
            raise OptionError(f"{spec}: the folder holds one dataset, of split {loaded.split}; leave the split out")
        return from_hugging_face(loaded, spec)
    return from_hugging_face(_select_split(loaded, split, spec), spec)


def is_saved_dataset(path: Path) -> bool:
    """Return whether `save_to_disk` wrote a folder."""
    return is_file(path / "dataset_dict.json") or (is_file(path / "state.json") and is_file(path / "dataset_info.json"))


def from_hugging_face(rows: Any, origin: str) -> HuggingFaceDataset:
    """Return a dataset of the library as a `Dataset`; its columns are found by their types.

    - Pictures are in the only column of type Image. If there are several, they are in the one called "image" or "img".
    - Labels are in a column of type ClassLabel: the one called "label" or "labels", or else the one with the most
      classes. A `DatasetWarning` names the others. If there is none, they are in a column "label" or "labels" of
      integers or text.

    Raises:
        OptionError: the dataset is a stream or a dictionary of splits, has no rows, or does not have a column of
            pictures that can be identified.
    """
    library = _library()
    if not isinstance(rows, library.Dataset):
        raise OptionError(f"{origin}: a {type(rows).__name__} of Hugging Face; expected one Dataset, not a stream")
    if len(rows) == 0:
        raise OptionError(f"{origin}: the dataset has no rows; expected at least one")
    rows = rows.with_format(None)
    image = _image_column(library, rows.features, origin)
    label = _label_column(library, rows.features, origin)
    feature = None if label is None else rows.features[label]
    names = _class_names(library, feature)
    cells = [None] * len(rows) if label is None else rows.select_columns([label])[:][label]
    return HuggingFaceDataset(
        origin=origin,
        rows=rows.select_columns([image]).cast_column(image, library.Image(decode=False)),
        column=image,
        names=tuple(f"{index:08d}" for index in range(len(rows))),
        labels=tuple(_label(cell, feature, names) for cell in cells),
        classes=names,
        library_fingerprint=str(rows._fingerprint),  # noqa: SLF001  # the library has no public access to it
    )


def _library() -> Any:
    """Return the module `datasets`.

    Raises:
        OptionError: the library is not installed.
    """
    try:
        library = import_module("datasets")
    except ImportError:
        library = None
    if not hasattr(library, "load_from_disk"):  # Python also imports a user's folder that is called "datasets"
        raise OptionError(
            'Hugging Face datasets is not installed; run pip install "shapleycam[datasets]", or name a folder or list'
        )
    return library


def _load(library: Any, name: str, split: str | None) -> Any:
    """Return a split of a dataset by name, or its only split; if there are several, a dictionary with their names."""
    splits = library.get_dataset_split_names(name) if split is None else [split]
    return library.load_dataset(name, split=splits[0]) if len(splits) == 1 else dict.fromkeys(splits)


def _select_split(splits: Mapping[str, Any], split: str | None, spec: str) -> Any:
    """Return the split of this name, or the only split."""
    known = ", ".join(splits)
    if split is None and len(splits) > 1:
        raise OptionError(f"{spec}: the dataset has the splits {known}; say which, as in {spec}:{next(iter(splits))}")
    name = next(iter(splits)) if split is None else split
    if name not in splits:
        raise OptionError(f"{spec}: the dataset has the splits {known}, not {name!r}; name one of them")
    return splits[name]


def _image_column(library: Any, features: Mapping[str, Any], origin: str) -> str:
    image_columns = [name for name, feature in features.items() if isinstance(feature, library.Image)]
    usual = [name for name in _IMAGES if name in image_columns]
    if len(image_columns) != 1 and not usual:
        columns = ", ".join(image_columns) or f"none among {', '.join(features)}"
        raise OptionError(f"{origin}: columns of type Image: {columns}; expected one, or one called image")
    return (usual or image_columns)[0]


def _label_column(library: Any, features: Mapping[str, Any], origin: str) -> str | None:
    label_columns = [name for name, feature in features.items() if isinstance(feature, library.ClassLabel)]
    value_columns = [
        name
        for name in _LABELS
        if isinstance(features.get(name), library.Value) and _is_integer_or_text(features[name].dtype)
    ]
    if not label_columns:
        return next(iter(value_columns), None)
    column = max(label_columns, key=lambda name: (name in _LABELS, len(features[name].names)))
    warn_of_others(origin, column, [*label_columns, *value_columns], "labels")
    return column


def _is_integer_or_text(dtype: str) -> bool:
    return "int" in dtype or dtype in {"string", "large_string"}


def _class_names(library: Any, feature: Any) -> tuple[str, ...] | None:
    """Return the names of the classes; None if they are only numbers."""
    if not isinstance(feature, library.ClassLabel):
        return None
    names = tuple(feature.names)
    return None if names == tuple(map(str, range(len(names)))) else names


def _label(cell: Any, feature: Any, names: Sequence[str] | None) -> Label:
    """Return a row's label: the name of its class if it has one, or else its number; None for -1."""
    if cell is None or isinstance(cell, str):
        return cell
    number = whole_number(cell)
    if getattr(feature, "names", None) is not None and number < 0:
        return None
    if names is None:
        return number
    if number >= len(names):
        raise OptionError(f"a row has the label {number}, and {len(names)} classes are named; get the dataset again")
    return names[number]
