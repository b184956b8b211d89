"""Reading batches of photographs from the command line's paths; unreadable ones are reported, and the others read."""

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
    """A path that cannot be read as a photograph, and the library's message about it."""

    path: Path
    reason: str


def demo_photo() -> Path:
    """Return the path of the photograph that matplotlib includes."""
    from shapleycam.drawing.matplotlib_files import matplotlib_file

    return matplotlib_file("sample_data/grace_hopper.jpg")


def list_photographs(paths: Sequence[Path] | None, *, quiet: bool) -> tuple[list[Path], list[Unreadable]]:
    """Return the photographs at some paths, each once, and the folders that have none; without paths, the demo photo.

    Unless `quiet`, a note says which files of a folder are left out.
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


def require_photographs(paths: Sequence[Path] | None, *, quiet: bool) -> tuple[list[Path], list[Unreadable]]:
    """Return the same as `list_photographs`, and print an error for each folder that has none.

    Raises:
        typer.Exit: there are no photographs.
    """
    photographs, unreadable = list_photographs(paths, quiet=quiet)
    print_unreadable(unreadable)
    if not photographs:
        raise typer.Exit(REFUSED)
    return photographs, unreadable


def read_batches(
    paths: Sequence[Path], transform: Transform, model: nn.Module, size: int
) -> Iterator[tuple[Batch | None, list[Unreadable]]]:
    """Yield (batch, unreadable paths) for each `size` photographs; the batch is None if none of them can be read."""
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
    """Yield the batches of readable photographs; print errors for the others and add them to `unreadable`.

    `advance` is called with the number of photographs that the caller has finished.

    Raises:
        typer.Exit: no photograph can be read.
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
