"""`open_dataset`: opens a dataset by a path, a specification in text, or an object."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torch.utils import data

from shapleycam.errors import DatasetWarning, ImageError, OptionError, warn
from shapleycam.experiments.datasets import (
    folders,
    huggingface,
    items,
    lists,
    local_patterns,
    parquet_pictures,
    remote,
    remote_photographs,
    torchvision,
    webdataset,
    zips,
)
from shapleycam.experiments.datasets.byte_sources import ByteSource, LocalFile
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.patterns import is_pattern
from shapleycam.images import SUFFIXES, has_pictures, open_photograph
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_file, regular_file_status
from shapleycam.urls import path_of_file_url
from shapleycam.wording import counted

Source: TypeAlias = "str | Path | Dataset | data.Dataset[Any]"

KINDS = (
    "a folder of photographs, a photograph, a .csv or .parquet list, a .zip archive, .tar shards or .parquet files of "
    "pictures (one, a folder of them, or a pattern such as 'dir/{000..009}.tar'), a pattern such as "
    "'s3://bucket/photos/*.jpg', hf:NAME[:SPLIT] or torchvision:NAME:FOLDER[:SPLIT]"
)
"""The texts that `open_dataset` takes, in words, for messages."""


def open_dataset(source: Source, limit: int | None = None) -> Dataset:
    """Return the dataset for a path, a specification or an object; if `limit` is given, only its first images.

    An object may be a `Dataset`, a map-style dataset that returns (PIL image, label), or a Hugging Face dataset.

    Raises:
        OptionError: the source does not exist or has an unknown format, or the limit is below 1.
        ImageError: a folder or a shard cannot be read, or holds no photographs.

    Examples:
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> dataset = open_dataset(get_sample_data("grace_hopper.jpg", asfileobj=False))
        >>> list(dataset.names)
        ['grace_hopper.jpg']
    """
    dataset = _open(source)
    return dataset if limit is None else dataset.first(limit)


def _open(source: Any) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (str, Path)):
        return _open_text(str(source))
    if type(source).__module__.partition(".")[0] == "datasets":
        return huggingface.from_hugging_face(source, f"a {type(source).__name__} of Hugging Face")
    if isinstance(source, data.Dataset):
        return items.from_items(source)
    raise OptionError(f"the dataset is a {type(source).__name__}; expected {KINDS}, or a dataset object")


def _open_text(source: str) -> Dataset:
    if not source.strip():
        raise OptionError(f"the dataset's path is empty; expected {KINDS}")
    prefix = next((prefix for prefix in _PREFIXES if source.startswith(prefix)), None)
    if prefix is not None:
        return _PREFIXES[prefix](source)
    return _open_url(source) if "://" in source and not os.path.lexists(source) else _open_path(source)


def _open_path(source: str) -> Dataset:
    """Return the dataset at a local path, or of the files that match a pattern."""
    try:
        regular_file_status(source)
    except (FileNotFoundError, NotADirectoryError):
        if not is_pattern(source):
            raise OptionError(f"{printable_name(source)}: no such file or folder; expected {KINDS}") from None
    except IsADirectoryError:
        return _open_folder(Path(source))
    except OSError as error:
        raise ImageError(
            f"{printable_name(source)}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    else:
        return _open_file(Path(source))
    suffix = Path(source).suffix.lower()
    if suffix not in _PACKED:
        return local_patterns.open_photographs(source)
    return _PACKED[suffix](source, [LocalFile(path) for path in local_patterns.expand_pattern(source)])


def _open_folder(path: Path) -> Dataset:
    """Return the dataset in a folder: its photographs, or if there are none, its shards, archives or Parquet files."""
    if huggingface.is_saved_dataset(path):
        return huggingface.open_hugging_face(f"hf:{path}")
    packed = sorted(file for file in path.glob("[!.]*") if file.suffix.lower() in _PACKED and is_file(file))
    suffixes = sorted({file.suffix.lower() for file in packed})
    if not packed or has_pictures(path):
        _warn_of_packed(path, packed)
        return folders.open_folder(path)
    if len(suffixes) > 1:
        raise OptionError(f"{path}: holds {' and '.join(suffixes)} files; expected one kind, name it as '{path}/*.tar'")
    parquet_pictures.check_split(str(path), [file.name for file in packed])
    return _PACKED[suffixes[0]](str(path), [LocalFile(str(file)) for file in packed])


def _warn_of_packed(path: Path, packed: Sequence[Path]) -> None:
    if packed:
        warn(
            DatasetWarning,
            f"{path}: {counted(len(packed), 'file')} left out ({packed[0].name}{', …' if len(packed) > 1 else ''}), "
            "since photographs lie beside; name them by themselves, if they are wanted",
        )


def _open_file(path: Path) -> Dataset:
    suffix, source = path.suffix.lower(), LocalFile(str(path))
    if suffix in lists.SUFFIXES and not (suffix == ".parquet" and parquet_pictures.has_picture_column(source)):
        return lists.open_list(path)
    if suffix in _PACKED:
        return _PACKED[suffix](str(path), [source])
    if suffix not in SUFFIXES:
        _refuse_archive(path)
        try:
            open_photograph(path)
        except ImageError as error:
            raise OptionError(f"{error}; a dataset is {KINDS}") from None
    return folders.open_single(path)


def _open_url(source: str) -> Dataset:
    """Return the dataset at a URL: photographs, or files that contain photographs."""
    suffix = Path(source.partition("?")[0]).suffix.lower()
    if suffix in {".csv", ".tsv"}:
        raise OptionError(
            f"{source}: a list at a URL, whose paths lie nowhere; copy it, or name photographs by a pattern"
        )
    listing = remote.list_url(source)
    if suffix in _PACKED:
        return _PACKED[suffix](source, listing.files)
    return remote_photographs.open_remote_photographs(source, listing)


def _open_one_zip(origin: str, archives: Sequence[ByteSource]) -> Dataset:
    if len(archives) > 1:
        raise OptionError(f"{origin}: {len(archives)} archives; expected one, unpack them into one folder")
    return zips.open_zip(origin, archives[0])


def _refuse_archive(path: Path) -> None:
    if path.name.lower().endswith((".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")):
        raise OptionError(
            f"{path}: a compressed archive, whose photographs cannot be read one by one; unpack it, and name the folder"
        )


_PREFIXES: dict[str, Callable[[str], Dataset]] = {
    "hf:": huggingface.open_hugging_face,
    "torchvision:": torchvision.open_torchvision,
    "file://": lambda source: _open_path(path_of_file_url(source)),
}
"""The functions that open a source, by its prefix."""
_PACKED: dict[str, Callable[[str, Sequence[ByteSource]], Dataset]] = {
    ".tar": webdataset.open_shards,
    ".parquet": parquet_pictures.open_pictures,
    ".zip": _open_one_zip,
}
"""The functions that open one or several files that contain photographs, local or remote, by their suffix."""
