"""A dataset of mosaics: each picture joins photographs of different classes, and is asked about one of its cells."""

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
    """A photograph in a mosaic: its position in the dataset of photographs, and the network's class for it."""

    photograph: int
    number: int


@dataclass(frozen=True, eq=False, repr=False)
class MosaicDataset(Dataset):
    """Mosaics of `cells` x `cells` photographs; `mosaics` makes them.

    The label of a mosaic is the class of the cell that is asked about, which is another one from mosaic to mosaic. Its
    annotations are the cells, each a region with the label of its class.

    Attributes:
        photographs: what the mosaics are made of.
        cells: how many lie side by side, and one above the other.
        members: the cells of each mosaic, in reading order.
        preprocess: by which each photograph is cut to what the network sees of it.
        cell_size: (height, width) of a cell in pixels.
        n_classes: None where labels are classes; of a network that is `disconnected`, how many classes each cell has.
        input_size: (height, width) of a mosaic, at which networks see it whole.

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
        """Name the mosaics, and label each by the cell that is asked about."""
        cells = [index % self.cells**2 for index in range(len(self.members))]
        places = (divmod(cell, self.cells) for cell in cells)
        names = (f"{index:05d}-row{row + 1}-column{column + 1}" for index, (row, column) in enumerate(places))
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
        """Return the class of a cell of a mosaic: the network's, or that of the cell's own classes."""
        return self.members[index][cell].number + (0 if self.n_classes is None else cell * self.n_classes)

    def disconnected(self, n_classes: int) -> MosaicDataset:
        """Return the same mosaics for a network that is `disconnected`, of which each cell has classes of its own.

        Raises:
            OptionError: a cell has a class that is not among so many.
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
        """Return a hash of what is in each cell, and how it is cut."""
        cells = [(self.photographs.content_signature(cell.photograph), cell.number) for cell in self.members[index]]
        geometry = (self.preprocess.resize, self.preprocess.crop, self.preprocess.interpolation.value, self.cell_size)
        return hashlib.sha256(json.dumps([cells, geometry]).encode()).hexdigest()

    def regions(self, index: int) -> list[Region]:
        """Return a region for each cell of a mosaic."""
        height, width = self.cell_size
        places = (divmod(position, self.cells) for position in range(self.cells**2))
        boxes = [(column * width, row * height, (column + 1) * width, (row + 1) * height) for row, column in places]
        return [Region(self.label(index, cell), box) for cell, box in enumerate(boxes)]


class _CellAnnotations(Annotations):
    """The cells of mosaics as regions."""

    def __init__(self, dataset: MosaicDataset) -> None:
        self.origin = dataset.origin
        self._dataset = dataset
        self._index_of = {name: index for index, name in enumerate(dataset.names)}

    def regions_of(self, name: str) -> list[Region] | None:
        """Return a region for each cell; None for a name of none of the mosaics."""
        index = self._index_of.get(name)
        return None if index is None else self._dataset.regions(index)
