"""The datasets of torchvision."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torchvision
from torch.utils import data

from shapleycam.errors import OptionError, nearest
from shapleycam.experiments.datasets.dataset import one_line
from shapleycam.experiments.datasets.items import Items, items

_FORM = "torchvision:NAME:FOLDER or torchvision:NAME:FOLDER:SPLIT"


def named(spec: str) -> Items:
    """The dataset that `torchvision:NAME:FOLDER[:SPLIT]` names, from disk; nothing is downloaded.

    Without a split: the test images, or the validation images where the dataset has no others.

    Raises:
        OptionError: an unknown name or split, or the dataset is not in the folder.
    """
    name, _, rest = spec.removeprefix("torchvision:").partition(":")
    kind = getattr(torchvision.datasets, name, None)
    if not isinstance(kind, type) or not issubclass(kind, data.Dataset):
        raise OptionError(
            f"{spec}: {name!r} is no dataset of torchvision; {nearest(name, torchvision.datasets.__all__)}"
        )
    root, split = _root_and_split(rest)
    if not root or "root" not in _options(kind):
        raise OptionError(f"{spec}: expected {_FORM}, and a dataset that is kept in a folder")
    if not Path(root).is_dir():
        raise OptionError(f"{spec}: no such folder {root}; expected the one that holds {name}")
    return items(_opened(kind, root, split, spec), spec)


def _root_and_split(rest: str) -> tuple[str, str | None]:
    if Path(rest).exists() or ":" not in rest:
        return rest, None
    root, _, split = rest.rpartition(":")
    return root, split


def _options(kind: type) -> set[str]:
    """What a dataset's constructor takes, with what it hands to its parents."""
    names: set[str] = set()
    for parent in kind.__mro__:
        taken = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]
        names |= {parameter.name for parameter in taken}
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in taken):
            break
    return names


def _opened(kind: type, root: str, split: str | None, spec: str) -> Any:
    """The dataset of the split asked for, or of the first that it has."""
    reason: Exception = ValueError("there is no split to try")
    for arguments in _arguments(_options(kind), split, spec):
        if kind is torchvision.datasets.CelebA:
            arguments["target_type"] = "identity"  # of its four kinds of targets the one that is a class
        try:
            return kind(root, **arguments)
        except ValueError as error:  # has no such split
            reason = error
        except Exception as error:
            raise OptionError(
                f"{spec}: torchvision cannot open it ({one_line(error)}); nothing is downloaded here, so put the "
                f"dataset into {root} first"
            ) from error
    raise OptionError(f"{spec}: torchvision refuses it ({one_line(reason)}); expected {_FORM}") from reason


def _arguments(options: set[str], split: str | None, spec: str) -> list[dict[str, Any]]:
    """What to call the constructor with, the best first."""
    key = next((key for key in ("split", "image_set") if key in options), None)
    tested: dict[str, Any] = {"train": False} if "train" in options else {}
    if key is not None:
        return [{key: choice, **tested} for choice in ([split] if split else ["test", "val"])]
    if split is None:
        return [tested]
    if tested and split in {"train", "test"}:
        return [{"train": split == "train"}]
    known = "has the splits train and test" if tested else "has no splits"
    raise OptionError(f"{spec}: the dataset {known}, not {split!r}; expected {_FORM}")
