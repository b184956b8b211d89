"""Open a dataset from what the user names: a path, a specification in text, or an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from torch.utils import data

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets import folders, huggingface, items, lists, torchvision, webdataset
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.images import SUFFIXES, open_photograph
from shapleycam.urls import url_of

Source: TypeAlias = "str | Path | Dataset | data.Dataset[Any]"

KINDS = (
    "a folder of photographs, a photograph, a .csv or .parquet list, .tar shards (one, a folder of them, or "
    "'dir/{000..009}.tar'), hf:NAME[:SPLIT] or torchvision:NAME:FOLDER[:SPLIT]"
)
"""What `open_dataset` takes as text, for messages."""


def open_dataset(source: Source, limit: int | None = None) -> Dataset:
    """Open the dataset that a path, a specification or an object names; its first `limit` images where that is given.

    An object may be a `Dataset`, a map-style dataset that returns (PIL image, label), or a Hugging Face dataset.

    Raises:
        OptionError: there is no such thing, it is none of the kinds, or the limit is below 1.
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
    if source.startswith("hf:"):
        return huggingface.open_hugging_face(source)
    if source.startswith("torchvision:"):
        return torchvision.open_torchvision(source)
    path = Path(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise ImageError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from None
    if is_folder:
        return _open_folder(path)
    if is_file:
        return _open_file(path)
    if webdataset.is_shard_pattern(source):
        return webdataset.open_shards(source)
    if (url := url_of(source)) is not None:
        raise OptionError(f"{url}: a URL, and URLs are not fetched; download it, and expected is {KINDS}")
    raise OptionError(f"{source}: no such file or folder; expected {KINDS}")


def _open_folder(path: Path) -> Dataset:
    if huggingface.is_saved_dataset(path):
        return huggingface.open_hugging_face(f"hf:{path}")
    if any(path.glob("*.tar")) and next(folders.walk_pictures(path), None) is None:
        return webdataset.open_shards(path)
    return folders.open_folder(path)


def _open_file(path: Path) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return webdataset.open_shards(path)
    if suffix in lists.SUFFIXES:
        return lists.open_list(path)
    if suffix not in SUFFIXES:
        try:
            open_photograph(path)
        except ImageError as error:
            raise OptionError(f"{error}; a dataset is {KINDS}") from None
    return folders.open_single(path)
