"""What `--removal` and `--reference` mean: the arguments of `Explainer` that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.errors import OptionError
from shapleycam.printable import printable_name
from shapleycam.wording import first_line

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = (".npy", ".npz")


def removal_arguments(removal: str, reference: Sequence[Path] | None) -> tuple[str | Tensor, list[Path] | None]:
    """Return `removal` and `reference` as `Explainer` and `Protocol` take them.

    Args:
        removal: the name of a removal, or a file of numbers.
        reference: photographs, and folders of them.

    Raises:
        OptionError: no such removal, a file that cannot be read as numbers, or a reference without removal "mean".
        ImageError: a folder of reference photographs cannot be read, or has none.
    """
    from shapleycam.game.removal import NAMED, check_takes_reference
    from shapleycam.images import find_photographs
    from shapleycam.names import canonical_name

    name = canonical_name(removal, NAMED)
    if reference:
        check_takes_reference(name or removal)
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
    if len(arrays) != 1 or arrays[0].dtype.kind not in "fiu":
        kinds = ", ".join(f"{array.dtype} {array.shape}" for array in arrays[:3]) or "nothing"
        raise OptionError(f"removal {name} holds {kinds}; expected one array of numbers, as the layer's activation")
    return torch.from_numpy(arrays[0]).float() if arrays[0].dtype != np.float64 else torch.from_numpy(arrays[0])
