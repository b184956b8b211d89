"""From the paths on the command line to batches of photographs; one that cannot be read does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapleycam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from shapleycam.explaining.inputs import Batch
    from shapleycam.models.network import Transform


def found(images: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The photographs that are named, each once, and the folders without any."""
    from shapleycam.images import find_photographs

    paths: dict[Path, None] = {}
    errors = []
    for image in images:
        try:
            paths.update(dict.fromkeys(find_photographs([image])))
        except ImageError as error:
            errors.append((image, str(error)))
    return list(paths), errors


def batches(
    paths: Sequence[Path], transform: Transform, model: nn.Module, size: int
) -> Iterator[tuple[Batch | None, list[tuple[Path, str]]]]:
    """Batches of the photographs that can be read, and why the others cannot."""
    from shapleycam.explaining.inputs import prepared, stacked

    for start in range(0, len(paths), size):
        good, errors = [], []
        for path in paths[start : start + size]:
            try:
                good.append(prepared(path, str(path), transform))
            except ImageError as error:
                errors.append((path, str(error)))
        yield (stacked(good, model) if good else None), errors
