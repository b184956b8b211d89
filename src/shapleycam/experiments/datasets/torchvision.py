"""`open_torchvision`: datasets of torchvision."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torchvision
from torch.utils import data

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.items import ItemDataset, from_items
from shapleycam.names import nearest
from shapleycam.regular_files import is_folder, is_there
from shapleycam.wording import on_one_line

_SPLIT = re.compile(r"[\w.+-]*")
"""The name of a split. It does not match the rest of a Windows path after the drive, as in `C:\\data`."""
_FORM = "torchvision:NAME:FOLDER or torchvision:NAME:FOLDER:SPLIT"


def open_torchvision(spec: str) -> ItemDataset:
    """Return the dataset `torchvision:NAME:FOLDER[:SPLIT]` from disk; nothing is downloaded.

    Without a split, these are the test images, or the validation images if the dataset has no test images.

    Raises:
        OptionError: the name or split is unknown, or the dataset is not in the folder.
    """
    name, _, rest = spec.removeprefix("torchvision:").partition(":")
    dataset_type = getattr(torchvision.datasets, name, None)
    if not isinstance(dataset_type, type) or not issubclass(dataset_type, data.Dataset):
        raise OptionError(
            f"{spec}: {name!r} is no dataset of torchvision; {nearest(name, torchvision.datasets.__all__)}"
        )
    root, split = _root_and_split(rest)
    if not root or "root" not in _parameters(dataset_type):
        raise OptionError(f"{spec}: expected {_FORM}, and a dataset that is kept in a folder")
    if not is_folder(root):
        raise OptionError(f"{spec}: no such folder {root}; expected the one that holds {name}")
    return from_items(_construct(dataset_type, root, split, spec), spec)


def _root_and_split(rest: str) -> tuple[str, str | None]:
    if is_there(rest) or ":" not in rest:
        return rest, None
    root, _, split = rest.rpartition(":")
    return (root, split) if _SPLIT.fullmatch(split) else (rest, None)


def _parameters(dataset_type: type) -> set[str]:
    """Return the parameters of a dataset's constructor, including those that it passes on to its base classes."""
    names: set[str] = set()
    for parent in dataset_type.__mro__:
        parameters = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]
        names |= {parameter.name for parameter in parameters}
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names


def _construct(dataset_type: type, root: str, split: str | None, spec: str) -> Any:
    """Return the dataset for this split, or for the first default split that it has."""
    reason: Exception = ValueError("there is no split to try")
    for arguments in _arguments(_parameters(dataset_type), split, spec):
        if dataset_type is torchvision.datasets.CelebA:
            arguments["target_type"] = "identity"  # the only one of its four targets that is a class
        try:
            return dataset_type(root, **arguments)
        except ValueError as error:  # the dataset has no such split
            reason = error
        except Exception as error:
            raise OptionError(
                f"{spec}: torchvision cannot open it ({on_one_line(error)}); nothing is downloaded here, so put the "
                f"dataset into {root} first"
            ) from error
    raise OptionError(f"{spec}: torchvision refuses it ({on_one_line(reason)}); expected {_FORM}") from reason


def _arguments(parameters: set[str], split: str | None, spec: str) -> list[dict[str, Any]]:
    """Return the alternatives for the constructor's keyword arguments, in the order in which to try them."""
    key = next((key for key in ("split", "image_set") if key in parameters), None)
    test_images: dict[str, Any] = {"train": False} if "train" in parameters else {}
    if key is not None:
        return [{key: choice, **test_images} for choice in ([split] if split else ["test", "val"])]
    if split is None:
        return [test_images]
    if test_images and split in {"train", "test"}:
        return [{"train": split == "train"}]
    known = "has the splits train and test" if test_images else "has no splits"
    raise OptionError(f"{spec}: the dataset {known}, not {split!r}; expected {_FORM}")
