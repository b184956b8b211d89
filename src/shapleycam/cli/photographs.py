"""From the paths on the command line to batches of photographs; one that cannot be read does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, print_error
from shapleycam.errors import ImageError
from shapleycam.printable import printable_name

if TYPE_CHECKING:
    from torch import nn

    from shapleycam.explaining.inputs import Batch
    from shapleycam.models.network import Transform


@dataclass(frozen=True)
class Unreadable:
    """A path without a photograph that can be read, and the library's message about it."""

    path: Path
    reason: str


def demo_photo() -> Path:
    """Return the photograph that ships with matplotlib."""
    from shapleycam.drawing.matplotlib_files import matplotlib_file

    return matplotlib_file("sample_data/grace_hopper.jpg")


def list_photographs(paths: Sequence[Path] | None, *, quiet: bool) -> tuple[list[Path], list[Unreadable]]:
    """Return the photographs at some paths, each once, and the folders without any; without paths the demo photo.

    What is left out of a folder is printed as a note, unless it is `quiet`.
    """
    from shapleycam.images import find_photographs

    if not paths:
        return [demo_photo()], []
    photographs: dict[Path, None] = {}
    unreadable = []
    for path in paths:
        try:
            with notes(quiet=quiet):
                photographs.update(dict.fromkeys(find_photographs([path])))
        except ImageError as error:
            unreadable.append(Unreadable(path, str(error)))
    return list(photographs), unreadable


def read_batches(
    paths: Sequence[Path], transform: Transform, model: nn.Module, size: int
) -> Iterator[tuple[Batch | None, list[Unreadable]]]:
    """Read batches of `size` photographs: of each what can be read, or None where nothing can, and what cannot."""
    from shapleycam.explaining.photographs import prepare_photograph, stack_photographs

    for start in range(0, len(paths), size):
        images, unreadable = [], []
        for path in paths[start : start + size]:
            try:
                images.append(prepare_photograph(path, transform))
            except ImageError as error:
                unreadable.append(Unreadable(path, str(error)))
        yield (stack_photographs(images, model) if images else None), unreadable


def readable_batches(
    batches: Iterable[tuple[Batch | None, list[Unreadable]]],
    unreadable: list[Unreadable],
    advance: Callable[[int], None] = lambda _count: None,
) -> Iterator[Batch]:
    """Yield the batches of what can be read; print the rest and add it to `unreadable`.

    `advance` is called with the number of photographs that whoever takes the batches is done with.

    Raises:
        typer.Exit: nothing can be read.
    """
    is_empty = True
    for batch, failures in batches:
        print_unreadable(failures)
        unreadable += failures
        if batch is not None:
            is_empty = False
            yield batch
            advance(len(batch.sources))
    if is_empty:
        raise typer.Exit(REFUSED)


def print_unreadable(unreadable: Iterable[Unreadable]) -> None:
    """Print an error for each path that could not be read."""
    for failure in unreadable:
        print_error(failure.reason, own_texts=(printable_name(str(failure.path)),))
