"""Mosaics of photographs that a network is sure of: the grid pointing game."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.classes import class_numbers
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.synthetic.mosaic_dataset import Cell, MosaicDataset
from shapleycam.explaining.explainer import Explainer
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import resolve_network

_BATCH = 16


def mosaics(  # all but two have defaults
    data: Any,
    network: str | nn.Module | Network,
    cells: int = 2,
    *,
    count: int | None = None,
    confidence: float = 0.9,
    cell_size: tuple[int, int] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> MosaicDataset:
    """Make mosaics of photographs that a network is sure of, each of another class (Rao 2022, arXiv:2205.10435).

    The positive evidence for the class of a cell should lie in that cell: `evaluate` with the metric "relevance_mass"
    and the class rule "label" measures the share that does. Evidence that is spread evenly has 1 / cells².

    Args:
        data: a dataset, or what `evaluate` takes for one. A photograph with a label that the network knows counts only
            if its prediction is the label.
        network: a name, a module or a network that says how it takes photographs.
        cells: how many photographs lie side by side, and one above the other.
        count: how many mosaics; None for as many as there are without using a photograph twice.
        confidence: the softmax probability from which on the network is sure.
        cell_size: (height, width) of a cell in pixels; None for the size at which the network takes photographs, so
            that it sees the mosaic in `cells` times its usual size. Networks of one size alone need their size / cells.
        seed: of which photographs are joined, and where.
        device: where the network runs; None as `Explainer`.

    Returns:
        A dataset for `evaluate` that brings its annotations. The class that is asked about is another cell's from
        mosaic to mosaic.

    Raises:
        OptionError: a number is out of range, the network does not say how it takes photographs, or is sure of
            photographs of fewer classes than a mosaic has cells.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from shapleycam import Network, Preprocess
        >>> from shapleycam.experiments import synthetic
        >>> class Brightness(torch.nn.Module):  # which of four levels of grey an image has
        ...     def forward(self, x):
        ...         return -1000 * (x.mean((1, 2, 3))[:, None] - torch.tensor([0.0, 0.2, 0.4, 0.6])).square()
        >>> network = Network(Brightness(), Preprocess(8, (8, 8), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for level in range(4):
        ...         Image.new("RGB", (8, 8), (51 * level,) * 3).save(Path(folder) / f"{level}.png")
        ...     dataset = synthetic.mosaics(folder, network, cells=2)
        ...     mosaic = dataset.open(0)
        >>> len(dataset), mosaic.size, sorted(cell.number for cell in dataset.members[0])
        (1, (16, 16), [0, 1, 2, 3])
    """
    _check(cells, count, confidence)
    dataset, resolved = open_dataset(data), resolve_network(network)
    preprocess = resolved.preprocess
    if not isinstance(preprocess, Preprocess):
        raise OptionError(
            "how the network cuts a photograph is not known; give shapleycam.Network(model, preprocess=...) with a "
            "shapleycam.Preprocess"
        )
    explainer = Explainer(network if isinstance(network, str) else resolved, device=device)
    photographs = _sure_photographs(dataset, explainer, preprocess, confidence)
    if len(photographs) < cells**2:
        raise OptionError(
            f"{dataset.origin}: the network is sure (confidence {confidence:g}) of pictures of {len(photographs)} "
            f"classes; expected {cells**2} for mosaics of {cells} x {cells}: give more of them, or a lower confidence"
        )
    members = _draw_members(photographs, cells**2, count, seed)
    return MosaicDataset(dataset, cells, members, preprocess, cell_size or preprocess.crop)


def _check(cells: int, count: int | None, confidence: float) -> None:
    for name, number, least in (("cells", cells, 2), ("count", 1 if count is None else count, 1)):
        if not isinstance(number, int) or number < least:
            raise OptionError(f"{name} is {number!r}; expected {least} or more, a whole number")
    if not 0 < confidence <= 1:
        raise OptionError(f"confidence is {confidence!r}; expected a probability above 0")


def _sure_photographs(
    dataset: Dataset, explainer: Explainer, preprocess: Preprocess, confidence: float
) -> dict[int, list[int]]:
    """Return by class the positions of photographs that the network is sure of; those that cannot be read are none."""
    photographs: dict[int, list[int]] = {}
    for start in range(0, len(dataset), _BATCH):
        decoded = (
            decode_image(dataset, preprocess, index) for index in range(start, min(start + _BATCH, len(dataset)))
        )
        images = [image for image in decoded if image.error is None]
        if not images:
            continue
        scores = explainer.scores(torch.stack([image.image for image in images]), "logit")
        if scores is None or scores.shape[1] < 2:
            raise OptionError("the network's output is not of several classes; expected scores (b, classes)")
        probability, predicted = scores.softmax(1).max(1)
        known = class_numbers(dataset.labels, explainer.labels, scores.shape[1], dataset.classes)
        for image, sure, number in zip(images, (probability >= confidence).tolist(), predicted.tolist(), strict=True):
            if sure and known[image.index] in {None, number}:
                photographs.setdefault(number, []).append(image.index)
    return photographs


def _draw_members(
    photographs: Mapping[int, Sequence[int]], cells: int, count: int | None, seed: int
) -> list[tuple[Cell, ...]]:
    """Return the cells of each mosaic. Photographs are used again only when all mosaics of a round are drawn."""
    random = np.random.default_rng(seed)
    members = list(_draw_round(photographs, cells, random))
    while count is not None and len(members) < count:
        members += _draw_round(photographs, cells, random)
    return members[:count]


def _draw_round(
    photographs: Mapping[int, Sequence[int]], cells: int, random: np.random.Generator
) -> Iterator[tuple[Cell, ...]]:
    """Yield mosaics while enough classes have photographs left: of the classes that have most, ties at random."""
    left = {number: random.permutation(indices).tolist() for number, indices in sorted(photographs.items())}
    while sum(bool(indices) for indices in left.values()) >= cells:
        shuffled = random.permutation(sorted(left)).tolist()
        fullest = sorted(shuffled, key=lambda number: -len(left[number]))[:cells]
        yield tuple(Cell(left[number].pop(), number) for number in random.permutation(fullest).tolist())
