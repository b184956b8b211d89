"""`Store`: a folder with the values of images, so that a stopped ladder can continue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.run_lock import acquire_lock
from shapleycam.fidelity._split_values import SplitValues
from shapleycam.fidelity.input_distance import MeasuredValues
from shapleycam.files import make_folder, portable_name, write_atomically
from shapleycam.wording import type_and_first_line

PROTOCOL_FILE, VALUES_FOLDER, LOCK_FILE = "ladder.json", "values", ".lock"
Protocol = dict[str, Any]
"""The choices that identify a ladder, as JSON values."""


class Store:
    """The values of images at layers for one protocol, with a file for each image and layer.

    Examples:
        >>> import torch
        >>> from pathlib import Path
        >>> from shapleycam.bridge.store import Store
        >>> from shapleycam.fidelity import SplitValues
        >>> from shapleycam.fidelity.input_distance import MeasuredValues
        >>> image, values = torch.rand(1, 3, 4, 4), torch.rand(1, 2, dtype=torch.float64)
        >>> exact = SplitValues.exact(values, torch.tensor([4]), "exact")
        >>> with Store.open(Path("ladder"), {"runs": 100}) as store:
        ...     store.write(image, MeasuredValues("input", "shapley values", exact, True, 2.0, 4), "cat.jpg")
        ...     store.read(image, "input", 2).runs
        4
    """

    def __init__(self, folder: Path, protocol: Protocol) -> None:
        self._folder = folder / VALUES_FOLDER
        self._identity = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()

    @classmethod
    @contextmanager
    def open(cls, folder: Path, protocol: Protocol) -> Iterator[Store]:
        """Create the folder, or open a folder of the same protocol, and hold its lock while the context lasts.

        Raises:
            OptionError: the folder holds values of another protocol or other files, or another process writes to it.
        """
        make_folder(folder)
        with acquire_lock(folder / LOCK_FILE):
            check_protocol(folder, protocol)
            store = cls(folder, protocol)
            if not (folder / PROTOCOL_FILE).exists():
                text = json.dumps(protocol, indent=2)
                write_atomically(folder / PROTOCOL_FILE, lambda file: file.write(text.encode()))
            make_folder(store._folder)
            yield store

    def path(self, image: Float[Tensor, "1 *image"], layer: str) -> Path:
        """Return the file for an image's values at a layer; its name contains a hash of the preprocessed image."""
        content = image.detach().cpu().contiguous()
        digest = hashlib.sha256(content.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()
        return self._folder / f"{digest[:24]}-{portable_name(layer)}.json"

    def has(self, image: Float[Tensor, "1 *image"], layer: str) -> bool:
        """Return whether an image's values at a layer are stored."""
        return self.path(image, layer).exists()

    def write(self, image: Float[Tensor, "1 *image"], measured: MeasuredValues, name: str) -> None:
        """Write the values of an image at a layer, as a file that is complete or absent.

        `name` is the image's name, as information for people who open the file.

        Raises:
            OptionError: the file cannot be written.
        """
        split = measured.values
        record = {
            "protocol": self._identity,
            "image": name,
            "layer": measured.layer,
            "method": measured.method,
            "origin": split.origin,
            "runs": measured.runs,
            "passes": measured.passes,
            "first": split.first[0].tolist(),
            "second": split.second[0].tolist(),
        }
        text = json.dumps(record)
        write_atomically(self.path(image, measured.layer), lambda file: file.write(text.encode()))

    def read(self, image: Float[Tensor, "1 *image"], layer: str, regions: int) -> MeasuredValues:
        """Return the stored values of an image at a layer.

        Raises:
            OptionError: the file is damaged, or belongs to another protocol.
        """
        path = self.path(image, layer)
        try:
            measured = _parse_record(json.loads(path.read_bytes()), self._identity, layer, regions)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OptionError(
                f"{path}: not values of this ladder ({type_and_first_line(error)}); delete it, and it is made anew"
            ) from None
        return measured


def check_protocol(folder: Path, protocol: Protocol) -> None:
    """Refuse a folder that holds a ladder of another protocol, or other files.

    Raises:
        OptionError: the folder does.
    """
    file = folder / PROTOCOL_FILE
    if not file.exists():
        others = [path.name for path in folder.iterdir() if path.name != LOCK_FILE] if folder.is_dir() else []
        if others:
            raise OptionError(
                f"{folder}: holds other files ({min(others)}), and no {PROTOCOL_FILE}; choose another folder, or "
                "one that is not there yet, with out="
            )
        return
    try:
        stored = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{file}: cannot be read ({type_and_first_line(error)}); choose another folder with out="
        ) from None
    differences = list_differences(stored, protocol) if isinstance(stored, Mapping) else ["it is no protocol"]
    if differences:
        raise OptionError(
            f"{folder}: holds a ladder of another protocol ({'; '.join(differences)}); choose another folder with out="
        )


def _parse_record(record: Mapping[str, Any], identity: str, layer: str, regions: int) -> MeasuredValues:
    """Return the values in a record of `Store.write`.

    Raises:
        ValueError, KeyError, TypeError: the record is damaged, or belongs to another protocol or layer.
    """
    if (record["protocol"], record["layer"]) != (identity, layer):
        raise ValueError("it is of another protocol or layer")
    halves = [torch.tensor(record[half], dtype=torch.float64, device="cpu")[None] for half in ("first", "second")]
    if any(half.shape != (1, regions) or not bool(torch.isfinite(half).all()) for half in halves):
        raise ValueError(f"it does not hold {regions} numbers")
    runs, passes = int(record["runs"]), float(record["passes"])
    first, second = halves
    values = SplitValues(first, second, torch.tensor([runs], device="cpu"), str(record["origin"]))
    return MeasuredValues(layer, str(record["method"]), values, True, passes, runs)
