"""Networks whose class depends on bright patches, in every layout; the Shapley value of each cell is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional as F

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.regions import Annotations, Region
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess

STRIDE = 4
"""Side of a cell's patch in pixels."""


@dataclass(frozen=True)
class PlantedLayout:
    """The layout of the explained activation, and the size of the image.

    Attributes:
        kind: "NCHW", "NHWC" or "tokens"; for volumes "NCDHW" or "NDHWC".
        grid: number of cells on each axis, (rows, columns) or (depth, rows, columns).
        prefix: number of prefix tokens, before those of the cells.
        ragged: number of pixels on the right and at the bottom that no patch covers.

    Examples:
        >>> from shapleycam.experiments.synthetic import PlantedLayout
        >>> PlantedLayout("NCHW", (3, 5), ragged=1).image
        (13, 21)
    """

    kind: str
    grid: tuple[int, ...]
    prefix: int = 0
    ragged: int = 0

    @property
    def image(self) -> tuple[int, ...]:
        """Return the size of the image, (height, width) or (depth, height, width)."""
        *deep, h, w = self.grid
        return (*deep, *(STRIDE * side + self.ragged for side in (h, w)))

    def __str__(self) -> str:
        sides = "x".join(map(str, self.grid))
        return f"{self.kind} {sides}" + (f"+{self.prefix}" if self.prefix else "") + (" ragged" if self.ragged else "")


class _Cells(nn.Module):
    """Converts an activation with the channels first to the layout; this is the explained layer."""

    def __init__(self, layout: PlantedLayout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        if self.layout.kind in {"NHWC", "NDHWC"}:
            return x.movedim(1, -1).contiguous()
        if self.layout.kind == "tokens":
            tokens = x.flatten(2).transpose(1, 2)
            return torch.cat([torch.ones_like(tokens[:, :1]).repeat(1, self.layout.prefix, 1), tokens], 1)
        return x.clone()


class PlantedNetwork(nn.Module):
    """A network with the logit s + s²/10 for its first class, and 0 for its second.

    s is the sum over cells of the mean first colour of their patches. The output of the layer `cells` is the mean
    colours of the patches; the logit uses only the first colour, the others are noise. Prefix tokens are ones, and add
    their number to s. So the Shapley values of the cells for the first class's logit are known: `planted_values`.

    Args:
        layout: the layout of the layer `cells`.
        videos: whether images are (b, t, c, h, w) instead of (b, c, d, h, w).

    Examples:
        >>> from shapleycam import Explainer
        >>> from shapleycam.experiments.synthetic import PlantedLayout, PlantedNetwork, planted_image, planted_values
        >>> layout = PlantedLayout("NCHW", (4, 6))
        >>> image = planted_image(layout, cell=(1, 2))
        >>> explainer = Explainer(PlantedNetwork(layout), layer="cells", utility="logit")
        >>> explanation = explainer.explain(image, "pathcam-h", target=0)  # exact, as the score is a quadratic
        >>> bool((explanation.values - planted_values(layout, image)).abs().max() < 1e-5)
        True
    """

    def __init__(self, layout: PlantedLayout, *, videos: bool = False) -> None:
        super().__init__()
        self.layout, self.videos = layout, videos
        if layout.prefix:
            self.num_prefix_tokens = layout.prefix
        self.cells = _Cells(layout)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (b, 2)."""
        a = self.cells(_patch_means(x.transpose(1, 2) if self.videos else x, self.layout))
        if self.layout.kind == "tokens":
            bright = a[..., 0].sum(1)
        else:
            bright = (a[..., 0] if self.layout.kind in {"NHWC", "NDHWC"} else a[:, 0]).flatten(1).sum(1)
        return torch.stack([bright + 0.1 * bright**2, torch.zeros_like(bright)], 1)


def planted_image(layout: PlantedLayout, cell: tuple[int, ...], *, videos: bool = False) -> Tensor:
    """Return an image (1, 3, ...) of almost black noise with one patch that is bright in the first colour.

    Examples:
        >>> from shapleycam.experiments.synthetic import PlantedLayout, planted_image
        >>> image = planted_image(PlantedLayout("NCHW", (2, 3)), cell=(1, 2))
        >>> image.shape, float(image[0, 0, 4:, 8:].min()), bool(image[0, 0, :4].max() < 0.01)
        (torch.Size([1, 3, 8, 12]), 1.0, True)
    """
    generator = torch.Generator().manual_seed(prod(layout.grid))
    image = torch.rand(1, 3, *layout.image, generator=generator, dtype=torch.float32, device="cpu") * 0.01
    *deep, row, column = cell
    patch = image[(0, 0, *deep)]
    patch[row * STRIDE : (row + 1) * STRIDE, column * STRIDE : (column + 1) * STRIDE] = 1
    return image.transpose(1, 2).contiguous() if videos else image


def planted_values(layout: PlantedLayout, images: Float[Tensor, "b 3 *sides"]) -> Float[Tensor, "b *grid"]:
    """Return the Shapley values of the cells for the first class's logit, with removal "zero": a + a·s/10.

    To s, a cell contributes its mean first colour a. From s²/10, it gets a²/10, and half of the term 2·a·a'/10 with
    each other cell.

    Examples:
        >>> from shapleycam.experiments.synthetic import PlantedLayout, planted_image, planted_values
        >>> layout = PlantedLayout("NCHW", (2, 2))
        >>> values = planted_values(layout, planted_image(layout, cell=(0, 1)))
        >>> values.argmax().item(), round(values[0, 0, 1].item(), 1)
        (1, 1.1)
    """
    a = _patch_means(images, layout)[:, 0]
    s = a.flatten(1).sum(1).view(-1, *([1] * len(layout.grid))) + layout.prefix
    return a + 0.1 * a * s


def planted_dataset(layout: PlantedLayout, count: int) -> tuple[Network, PlantedDataset]:
    """Return a network, and a dataset of pictures with bright patches in different cells, for `evaluate`.

    Raises:
        OptionError: the layout is for volumes, or the count is not from 1 to the number of cells.

    Examples:
        >>> from shapleycam.experiments.synthetic import PlantedLayout, planted_dataset
        >>> network, dataset = planted_dataset(PlantedLayout("NCHW", (4, 6)), count=3)
        >>> dataset.cells, dataset.open(0).size
        (((0, 0), (1, 2), (2, 4)), (24, 16))
    """
    cells = prod(layout.grid)
    if len(layout.grid) != 2:
        raise OptionError(f"the layout is {layout}; expected one of pictures, with a grid of rows and columns")
    if not 1 <= count <= cells:
        raise OptionError(f"count is {count}; expected 1 to {cells}, the number of cells")
    positions = tuple(divmod(index * cells // count, layout.grid[1]) for index in range(count))
    height, width = layout.image
    preprocess = Preprocess((height, width), (height, width), (0.0,) * 3, (1.0,) * 3)
    network = Network(
        PlantedNetwork(layout).eval(),
        preprocess,
        ("bright patch", "nothing"),
        name=f"planted {layout}",
        layers={"before-pool": "cells"},
    )
    return network, PlantedDataset(layout, positions)


class PlantedDataset(Dataset):
    """Pictures with one bright patch each, which is also their annotated object; see `planted_dataset`.

    Attributes:
        layout: the layout of the network.
        cells: (row, column) of the patch in each picture.

    Examples:
        >>> from shapleycam.experiments.synthetic import PlantedLayout
        >>> from shapleycam.experiments.synthetic.planted import PlantedDataset
        >>> PlantedDataset(PlantedLayout("NCHW", (2, 2)), [(0, 1)]).names
        ('0-1',)
    """

    def __init__(self, layout: PlantedLayout, cells: Sequence[tuple[int, int]]) -> None:
        self.layout, self.cells = layout, tuple(cells)
        self.origin = f"planted patches, {layout}"
        self.names = tuple(f"{row}-{column}" for row, column in cells)
        self.labels = (0,) * len(cells)
        self.maker = "shapleycam.experiments.synthetic.planted_dataset"
        self.annotations = _PatchAnnotations(self.origin, self.cells)

    def open(self, index: int) -> Image.Image:
        """Return the picture."""
        picture: Image.Image = F.to_pil_image(planted_image(self.layout, self.cells[index])[0])
        return picture

    def content_signature(self, index: int) -> str:
        """Return a hash of the pixels."""
        return hashlib.sha256(self.open(index).tobytes()).hexdigest()


class _PatchAnnotations(Annotations):
    """Annotations that return the bright patch of a picture as a region."""

    def __init__(self, origin: str, cells: Sequence[tuple[int, int]]) -> None:
        self.origin = origin
        self._cells = {f"{row}-{column}": (row, column) for row, column in cells}

    def regions_of(self, name: str) -> list[Region] | None:
        """Return the region of the patch; None if there is no picture of this name."""
        if name not in self._cells:
            return None
        top, left = (STRIDE * position for position in self._cells[name])
        return [Region(0, (left, top, left + STRIDE, top + STRIDE))]


def _patch_means(images: Tensor, layout: PlantedLayout) -> Tensor:
    """Return the mean colour (b, 3, *grid) of each patch."""
    h, w = (STRIDE * side for side in layout.grid[-2:])
    means: Tensor = images[..., :h, :w].unflatten(-2, (-1, STRIDE)).unflatten(-1, (-1, STRIDE)).mean((-3, -1))
    return means
