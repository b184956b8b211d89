"""`MosaicDataset`: a dataset of mosaics of photographs of different classes; in each, one cell's class is explained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.regions import Annotations, Region
from shapleycam.images import open_photograph
from shapleycam.models.preprocess import Preprocess


@dataclass(frozen=True)
class Cell:
    """A photograph in a mosaic: its position in the dataset of photographs, and the number of its predicted class."""

    photograph: int
    number: int


@dataclass(frozen=True, eq=False, repr=False)
class MosaicDataset(Dataset):
    """Mosaics of `cells` x `cells` photographs, as the function `mosaics` returns them.

    The label of a mosaic is the class of the explained cell, which changes from mosaic to mosaic. The annotations of a
    mosaic are its cells; each is a region with the label of its class.

    Attributes:
        photographs: the dataset of photographs.
        cells: number of photographs in a row and in a column.
        members: the cells of each mosaic, in reading order.
        preprocess: the preprocessing that resizes and crops each photograph.
        cell_size: (height, width) of a cell in pixels.
        n_classes: number of classes of each cell for a network that is `disconnected`; None for other networks.
        input_size: (height, width) of a mosaic.

    Examples:
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam import Preprocess
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> from shapleycam.experiments.synthetic.mosaic_dataset import Cell, MosaicDataset
        >>> photographs = open_dataset(get_sample_data("grace_hopper.jpg", asfileobj=False))
        >>> preprocess = Preprocess(32, (32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        >>> members = [[Cell(0, number) for number in (7, 3, 5, 9)]]
        >>> dataset = MosaicDataset(photographs, 2, members, preprocess, (32, 32))
        >>> dataset.open(0).size, dataset.labels, dataset.names
        ((64, 64), (7,), ('00000-row1-column1',))
    """

    photographs: Dataset
    cells: int
    members: Sequence[Sequence[Cell]]
    preprocess: Preprocess
    cell_size: tuple[int, int]
    n_classes: int | None = None

    def __post_init__(self) -> None:
        """Set names, and labels by the explained cell of each mosaic."""
        cells = [index % self.cells**2 for index in range(len(self.members))]
        positions = (divmod(cell, self.cells) for cell in cells)
        names = (f"{index:05d}-row{row + 1}-column{column + 1}" for index, (row, column) in enumerate(positions))
        height, width = self.cell_size
        attributes = {
            "origin": f"mosaics of {self.cells} x {self.cells} photographs of {self.photographs.origin}",
            "names": tuple(names),
            "labels": tuple(self.label(index, cell) for index, cell in enumerate(cells)),
            "maker": "shapleycam.experiments.synthetic.mosaics",
            "input_size": (self.cells * height, self.cells * width),
        }
        for name, value in attributes.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "annotations", _CellAnnotations(self))

    def label(self, index: int, cell: int) -> int:
        """Return the class of a cell of a mosaic; with `n_classes`, the cell's own class."""
        return self.members[index][cell].number + (0 if self.n_classes is None else cell * self.n_classes)

    def disconnected(self, n_classes: int) -> MosaicDataset:
        """Return the same mosaics for a network that is `disconnected`, in which each cell has its own classes.

        Raises:
            OptionError: the class of a cell is not below `n_classes`.
        """
        largest = max(cell.number for members in self.members for cell in members)
        if largest >= n_classes:
            raise OptionError(f"n_classes is {n_classes}, and a photograph is of class {largest}; give all its classes")
        return replace(self, n_classes=n_classes)

    def open(self, index: int) -> Image.Image:
        """Return the mosaic.

        Raises:
            ImageError: one of its photographs cannot be read.
        """
        height, width = self.cell_size
        mosaic = Image.new("RGB", (self.cells * width, self.cells * height))
        for position, cell in enumerate(self.members[index]):
            row, column = divmod(position, self.cells)
            seen = self.preprocess.cut(open_photograph(self.photographs.open(cell.photograph)))
            mosaic.paste(seen.resize((width, height), Image.Resampling.BICUBIC), (column * width, row * height))
        return mosaic

    def content_signature(self, index: int) -> str:
        """Return a hash of the photograph and class of each cell, and of the preprocessing."""
        cells = [(self.photographs.content_signature(cell.photograph), cell.number) for cell in self.members[index]]
        geometry = (self.preprocess.resize, self.preprocess.crop, self.preprocess.interpolation.value, self.cell_size)
        return hashlib.sha256(json.dumps([cells, geometry]).encode()).hexdigest()

    def regions(self, index: int) -> list[Region]:
        """Return a region for each cell of a mosaic."""
        height, width = self.cell_size
        positions = (divmod(cell, self.cells) for cell in range(self.cells**2))
        boxes = [(column * width, row * height, (column + 1) * width, (row + 1) * height) for row, column in positions]
        return [Region(self.label(index, cell), box) for cell, box in enumerate(boxes)]


class _CellAnnotations(Annotations):
    """Annotations that return the cells of a mosaic as regions."""

    def __init__(self, dataset: MosaicDataset) -> None:
        self.origin = dataset.origin
        self._dataset = dataset
        self._index_of = {name: index for index, name in enumerate(dataset.names)}

    def regions_of(self, name: str) -> list[Region] | None:
        """Return a region for each cell; None if there is no mosaic of this name."""
        index = self._index_of.get(name)
        return None if index is None else self._dataset.regions(index)
