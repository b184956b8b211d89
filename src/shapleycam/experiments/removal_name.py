"""`removal_name`: the name of a protocol's removal, which identifies it in results without loading a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from shapleycam.errors import OptionError
from shapleycam.game.removal import RemovalChoice, check_reference, resolve_removal
from shapleycam.game.removal_names import name_with_reference, short_hash
from shapleycam.printable import printable_name
from shapleycam.regular_files import open_regular_file


def removal_name(removal: RemovalChoice, reference: Sequence[Path] = ()) -> str:
    """Return the name of a removal; with reference photographs it includes their number and a hash of their files.

    The order of the reference photographs does not matter.

    Raises:
        OptionError: the removal is unknown or a function; it takes no reference photographs but some are given; it
            needs reference photographs but none are given; or one of their files cannot be read.

    Examples:
        >>> import torch
        >>> from shapleycam.experiments.removal_name import removal_name
        >>> removal_name("Mean"), removal_name(torch.ones(4)) == removal_name(torch.ones(4, dtype=torch.float64))
        ('mean', True)
    """
    if callable(removal) and not isinstance(removal, torch.Tensor):
        raise OptionError(
            "removal is a function, whose name does not say what it makes, so that no run could be known by it; "
            "expected one of the removals that have a name, or a tensor"
        )
    name = resolve_removal(removal).name
    check_reference(name, is_given=bool(reference))
    if not reference:
        return name
    hashes = sorted(_hash_of(path) for path in reference)
    return name_with_reference(name, len(hashes), f"files {short_hash(''.join(hashes).encode())}")


def check_same_reference(name: str, removal: RemovalChoice, reference: Sequence[Path]) -> None:
    """Refuse reference photographs that have changed since the removal's name was computed from them.

    Raises:
        OptionError: the name is different now.
    """
    if reference and removal_name(removal, reference) != name:
        raise OptionError(
            "reference=: the photographs were changed since the run began; put them back, or evaluate into another "
            "folder"
        )


def _hash_of(path: Path) -> str:
    try:
        with open_regular_file(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        name = printable_name(str(path))
        raise OptionError(f"reference=: {name}: cannot be read ({error.strerror}); check the path") from None
