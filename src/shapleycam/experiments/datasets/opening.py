"""From what the user names to a dataset."""

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


def open_dataset(source: Source, limit: int | None = None) -> Dataset:
    """The dataset that a path, a spec or an object means, of its first `limit` images where one is given.

    Objects may be a `Dataset`, a map-style dataset that gives (PIL image, label), or a Hugging Face dataset.

    Raises:
        OptionError: there is no such thing, it is none of the kinds, or the limit is below 1.
        ImageError: a folder or a shard cannot be read, or holds no photographs.
    """
    found = _found(source)
    return found if limit is None else found.first(limit)


def _found(source: Any) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (str, Path)):
        return _of_text(str(source))
    if type(source).__module__.partition(".")[0] == "datasets":
        return huggingface.table(source, f"a {type(source).__name__} of Hugging Face")
    if isinstance(source, data.Dataset):
        return items.items(source)
    raise OptionError(f"the dataset is a {type(source).__name__}; expected {KINDS}, or a dataset object")


def _of_text(source: str) -> Dataset:
    if not source.strip():
        raise OptionError(f"the dataset's path is empty; expected {KINDS}")
    if source.startswith("hf:"):
        return huggingface.named(source)
    if source.startswith("torchvision:"):
        return torchvision.named(source)
    path = Path(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise ImageError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from None
    if is_folder:
        return _of_folder(path)
    if is_file:
        return _of_file(path)
    if webdataset.is_pattern(source):
        return webdataset.shards(source)
    if (url := url_of(source)) is not None:
        raise OptionError(f"{url}: a URL, and URLs are not fetched; download it, and expected is {KINDS}")
    raise OptionError(f"{source}: no such file or folder; expected {KINDS}")


def _of_folder(path: Path) -> Dataset:
    if huggingface.is_saved(path):
        return huggingface.named(f"hf:{path}")
    if any(path.glob("*.tar")) and next(folders.pictures(path), None) is None:
        return webdataset.shards(path)
    return folders.folder(path)


def _of_file(path: Path) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return webdataset.shards(path)
    if suffix in lists.SUFFIXES:
        return lists.listed(path)
    if suffix not in SUFFIXES:
        try:
            open_photograph(path)
        except ImageError as error:
            raise OptionError(f"{error}; a dataset is {KINDS}") from None
    return folders.single(path)
