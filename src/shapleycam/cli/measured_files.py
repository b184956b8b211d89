"""Files with measurements: a CSV of all distances, and a plot of each method's values against the true ones."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapleycam.cli.messages import options_in_errors
from shapleycam.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from PIL import Image
    from torch import Tensor

    from shapleycam.fidelity import Distance, InputDistance


@dataclass(frozen=True)
class FilesGroup:
    """The options of the files to write."""

    plot: Annotated[
        Path | None, typer.Option("--plot", help="A PNG of each method's values against the true ones.")
    ] = None
    to_csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file of every image and method.")] = None

    def make_folders(self) -> None:
        """Create the files' folders if they do not exist, before anything is measured.

        Raises:
            OptionError: a folder cannot be created.
        """
        from shapleycam.files import make_folder

        for option, file in {"--plot": self.plot, "--csv": self.to_csv}.items():
            if file is not None:
                with options_in_errors(out=option):
                    make_folder(file.parent)

    def write(
        self, distances: Sequence[Distance] | Sequence[InputDistance], plot: Image.Image | None
    ) -> Iterator[Path]:
        """Write the requested files, and yield the path of each."""
        from shapleycam.files import write_atomically

        if self.to_csv is not None:
            text = StringIO()
            rows = [asdict(distance) for distance in distances]
            writer = csv.DictWriter(text, list(rows[0]) if rows else ())
            writer.writeheader()
            writer.writerows(rows)
            yield write_atomically(self.to_csv, lambda stream: stream.write(text.getvalue().encode()))
        if self.plot is not None and plot is not None:
            yield write_atomically(self.plot, lambda stream: plot.save(stream, format="PNG"))


def count_images(distances: Sequence[Distance] | Sequence[InputDistance]) -> str:
    """Return a text with the number of measured images."""
    return counted(len({distance.image for distance in distances}), "image")


def plot_values(
    values: Mapping[tuple[str, str], Tensor],
    distances: Sequence[Distance] | Sequence[InputDistance],
    what: str,
    choices: str,
) -> Image.Image:
    """Return a plot of each method's values against the true ones, with a title that states the options."""
    from shapleycam.drawing.plots import scatter

    utilities = ", ".join(dict.fromkeys(utility for utility, _ in values))
    title = (
        f"Values of the methods against the true ones: {count_images(distances)}, predicted classes; {what}, "
        f"utility {utilities}{choices}"
    )
    return scatter(_panels(values), title=title)


def _panels(values: Mapping[tuple[str, str], Tensor]) -> list[tuple[str, list[float], list[float]]]:
    """Return (title, true values, the method's values) for each utility and each method in its units."""
    from shapleycam.cams import METHODS

    several = len({utility for utility, _ in values}) > 1
    return [
        (f"{method}, {utility}" if several else method, values[utility, "true"].tolist(), of_method.tolist())
        for (utility, method), of_method in values.items()
        if method != "true" and METHODS[method].in_units
    ]
