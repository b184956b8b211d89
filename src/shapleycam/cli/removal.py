"""What `--removal` and `--reference` mean: the arguments of `Explainer` that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapleycam.errors import OptionError
from shapleycam.printable import printable_name
from shapleycam.wording import first_line

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = (".npy", ".npz")
_DOUBLE = 8
"""Bytes from which on a number may have more digits than float32."""


def removal_arguments(removal: str, reference: Sequence[Path] | None) -> tuple[str | Tensor, list[Path] | None]:
    """Return `removal` and `reference` as `Explainer` and `Protocol` take them.

    Args:
        removal: the name of a removal, or a file of numbers.
        reference: photographs, and folders of them.

    Raises:
        OptionError: no such removal, a file that cannot be read as numbers, or a reference for a removal that
            takes none.
        ImageError: a folder of reference photographs cannot be read, or has none.
    """
    from shapleycam.game.removal import NAMED, check_reference
    from shapleycam.images import find_photographs
    from shapleycam.names import canonical_name

    name = canonical_name(removal, NAMED)
    check_reference(name or removal, is_given=bool(reference))
    if name is not None:
        return name, find_photographs(reference) if reference else None
    if not removal.lower().endswith(_SUFFIXES):
        raise OptionError(
            f"removal {removal!r} is unknown; expected {', '.join(map(repr, NAMED))}, or a file of numbers, .npy or "
            ".npz, as numpy.save writes it"
        )
    return _read_tensor(Path(removal)), None


def _read_tensor(path: Path) -> Tensor:
    """Return the numbers in a file of NumPy; an .npz file has one array.

    Raises:
        OptionError: it cannot be read, or has other things in it.
    """
    import numpy as np
    import torch

    from shapleycam.regular_files import open_regular_file

    name = printable_name(str(path))
    try:
        with open_regular_file(path) as file:
            content = np.load(file, allow_pickle=False)
            arrays = [content] if isinstance(content, np.ndarray) else [content[key] for key in content.files]
    except OSError as error:
        raise OptionError(
            f"removal {name}: cannot be read ({error.strerror or first_line(error)}); check the path"
        ) from None
    except Exception as error:  # noqa: BLE001  # numpy and zipfile raise nearly anything for a damaged or foreign file
        raise OptionError(
            f"removal {name}: not numbers of NumPy ({first_line(error)}); give a file that numpy.save wrote"
        ) from None
    if len(arrays) != 1 or not isinstance(arrays[0], np.ndarray) or arrays[0].dtype.kind not in "fiu":
        kinds = ", ".join(map(_describe, arrays[:3])) or "nothing"
        raise OptionError(f"removal {name} holds {kinds}; expected one array of numbers, as the layer's activation")
    with np.errstate(over="ignore"):  # infinity is refused where the removal is made
        # Written by any machine, in any order of bytes, as torch takes them.
        numbers = arrays[0].astype(np.float64 if arrays[0].dtype.itemsize >= _DOUBLE else np.float32)
    return torch.from_numpy(numbers)


def _describe(content: Any) -> str:
    """Return what an array is, or the type of what is none."""
    return (
        f"{content.dtype} {content.shape}"
        if hasattr(content, "dtype")
        else f"a file that is no array ({type(content).__name__})"
    )
