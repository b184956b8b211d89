"""Writing and reading explanations as NPZ files: arrays, and everything else as JSON under `metadata`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explanations.stored_fields import check_fields
from shapleycam.foreign_errors import convert_errors
from shapleycam.images import Source
from shapleycam.regular_files import is_there
from shapleycam.version import __version__
from shapleycam.wording import on_one_line

FORMAT = 3
"""The newest format that is written and read. Files without a format number are older and have the same arrays."""
_WITHOUT_SMOOTHING = 2
"""The newest format of versions that know no smoothing; a file has this format only if nothing is smoothed."""
_OLDER_FORMAT = 1
"""The newest format of versions that know only removal zero and full precision; a file has it only in this case."""
TENSORS = (
    "heatmap",
    "values",
    "target",
    "output",
    "utility",
    "stderr",
    "prefix",
    "curvature",
    "utility_removed",
    "regions",
)
"""Fields that are stored as arrays, unless they are None."""
_CHOICES = ("method", "layer", "utility_name")
_DEFAULTS: dict[str, str | None] = {
    "form": "logits",
    "remark": None,
    "removal": "zero",
    "precision": "full",
    "coalition_cost": None,
}
"""Fields that the oldest files do not have, with the values that apply to those files."""

_T = TypeVar("_T")


def write_fields(file: IO[bytes], fields: Mapping[str, Any], pictures: np.ndarray[Any, Any]) -> None:
    """Write the fields of an explanation into an open file; `pictures` (b, ..., 3) are the network's inputs as pixels.

    The paths of photographs that were given by path are written too.
    """
    arrays = {name: to_array(fields[name]) for name in TENSORS if fields[name] is not None}
    metadata = {
        **{name: fields[name] for name in (*_CHOICES, *_DEFAULTS)},
        "labels": fields["labels"],
        "notes": fields["notes"],
        "region_names": fields["region_names"],
        "smooth": fields["smooth"],
        "sources": [_source_as_data(source) for source in fields["sources"]],
        "version": __version__,
        "format": _oldest_format(fields),
    }
    np.savez_compressed(file, metadata=np.array(json.dumps(metadata)), **arrays, pictures=pictures)


def read_fields(path: str | Path, build: Callable[..., _T]) -> _T:
    """Read the fields from a file and return `build(**fields)`; `images` are the saved pictures, in [0, 1].

    Raises:
        OptionError: the file is missing, is not such a file, or has the format of a later version.
    """
    if not is_there(path):
        raise OptionError(f"{path}: no such file; check the path")
    errors_of_reading = convert_errors(
        lambda error: OptionError(
            f"{path}: not an explanation saved by shapleycam ({type(error).__name__}: {on_one_line(error)[:200]}); "
            "give a file that Explanation.save wrote"
        )
    )
    with errors_of_reading, Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        number = int(metadata.get("format", 0))
        if number <= FORMAT:
            fields = _fields(file, metadata)
            check_fields(fields)
            return build(**{"output": None, **fields, "smooth": tuple(fields["smooth"])})
    raise OptionError(
        f"{path}: an explanation of format {number}, written by shapleycam {metadata.get('version')}; expected format "
        f"{FORMAT} or older: update shapleycam, which is {__version__} here"
    )


def _oldest_format(fields: Mapping[str, Any]) -> int:
    """Return the oldest format whose versions of the package read these fields correctly."""
    if fields["smooth"]:
        return FORMAT
    return _OLDER_FORMAT if (fields["removal"], fields["precision"]) == ("zero", "full") else _WITHOUT_SMOOTHING


def to_array(tensor: Tensor) -> Any:
    """Return a tensor as a numpy array; bfloat16, which numpy does not have, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _fields(file: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    labels: Sequence[str] | None = metadata["labels"]
    return {
        **{name: metadata[name] for name in _CHOICES},
        **{name: metadata.get(name, default) for name, default in _DEFAULTS.items()},
        **{name: torch.from_numpy(file[name]) for name in TENSORS if name in file},
        "images": torch.from_numpy(file["pictures"]).movedim(-1, 1).float() / 255,
        "sources": tuple(_source_from_data(entry) for entry in metadata["sources"]),
        "labels": tuple(labels) if labels is not None else None,
        "smooth": metadata.get("smooth", []),
        "notes": tuple(tuple(sentences) for sentences in metadata.get("notes", ())),
        "region_names": tuple(metadata.get("region_names", ())),
    }


def _source_as_data(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "photo": str(source.photo.resolve()) if isinstance(source.photo, Path) else None,
        "box": source.box,
    }


def _source_from_data(entry: Mapping[str, Any]) -> Source:
    photo, box = entry["photo"], entry["box"]
    return Source(entry["name"], Path(photo) if photo else None, tuple(box) if box else None)
