"""Converting `--removal` and `--reference` to the arguments of `Explainer`."""

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
"""Bytes per number from which on a number may have more digits than float32."""


def removal_arguments(removal: str, reference: Sequence[Path] | None) -> tuple[str | Tensor, list[Path] | None]:
    """Return `removal` and `reference` in the form that `Explainer` and `Protocol` accept.

    Args:
        removal: the name of a removal, or a file of numbers.
        reference: paths of photographs, and of folders with photographs.

    Raises:
        OptionError: the removal is unknown, a file cannot be read as numbers, or the removal takes no reference.
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
    """Return the array in a NumPy file (.npy, or .npz with a single array) as a tensor.

    Raises:
        OptionError: the file cannot be read, or contains something else.
    """
    import numpy as np
    import torch

    from shapleycam.foreign_errors import convert_errors
    from shapleycam.regular_files import open_regular_file

    name = printable_name(str(path))
    errors_of_numpy = convert_errors(
        lambda error: OptionError(
            f"removal {name}: not numbers of NumPy ({first_line(error)}); give a file that numpy.save wrote"
        ),
        OSError,
    )
    try:
        with errors_of_numpy, open_regular_file(path) as file:
            content = np.load(file, allow_pickle=False)
            arrays = [content] if isinstance(content, np.ndarray) else [content[key] for key in content.files]
    except OSError as error:
        raise OptionError(
            f"removal {name}: cannot be read ({error.strerror or first_line(error)}); check the path"
        ) from None
    if len(arrays) != 1 or not isinstance(arrays[0], np.ndarray) or arrays[0].dtype.kind not in "fiu":
        kinds = ", ".join(map(_describe, arrays[:3])) or "nothing"
        raise OptionError(f"removal {name} holds {kinds}; expected one array of numbers, as the layer's activation")
    with np.errstate(over="ignore"):  # overflow gives infinity, which the removal refuses later
        # The file may have either byte order; torch accepts only this machine's.
        numbers = arrays[0].astype(np.float64 if arrays[0].dtype.itemsize >= _DOUBLE else np.float32)
    return torch.from_numpy(numbers)


def _describe(content: Any) -> str:
    """Return a description of an array for a message; for anything else its type."""
    return (
        f"{content.dtype} {content.shape}"
        if hasattr(content, "dtype")
        else f"a file that is no array ({type(content).__name__})"
    )
