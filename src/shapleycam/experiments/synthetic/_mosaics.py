"""`mosaics`: a dataset for the grid pointing game, from photographs that a network classifies with high confidence."""

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
    """Return mosaics of confidently classified photographs of different classes (Rao 2022, arXiv:2205.10435).

    The positive evidence for the class of a cell should lie in that cell. `evaluate` with the metric "relevance_mass"
    and the class rule "label" measures the fraction that does. For a constant map it is 1 / cells².

    Args:
        data: a dataset, or data as `evaluate` takes it. A photograph whose label is a class of the network is used only
            if the network predicts this class.
        network: a name, a module or a network, with a `Preprocess`.
        cells: number of photographs in a row and in a column.
        count: number of mosaics; None for as many as possible without using a photograph twice.
        confidence: minimum softmax probability of the predicted class.
        cell_size: (height, width) of a cell in pixels; None for the input size of the network, so that the mosaic is
            `cells` times as large. A network with a fixed input size needs this size divided by `cells`.
        seed: the seed for the choice and the positions of photographs.
        device: the device of the network; None as in `Explainer`.

    Returns:
        A dataset for `evaluate` that includes its annotations. The explained cell changes from mosaic to mosaic.

    Raises:
        OptionError: a number is out of range, the network's preprocessing is not known, or the confidently classified
            photographs have fewer classes than a mosaic has cells.

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
    photographs = _confident_photographs(dataset, explainer, preprocess, confidence)
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


def _confident_photographs(
    dataset: Dataset, explainer: Explainer, preprocess: Preprocess, confidence: float
) -> dict[int, list[int]]:
    """Return by class the positions of confidently classified photographs; unreadable photographs are skipped."""
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
        is_confident = (probability >= confidence).tolist()
        for image, confident, number in zip(images, is_confident, predicted.tolist(), strict=True):
            if confident and known[image.index] in {None, number}:
                photographs.setdefault(number, []).append(image.index)
    return photographs


def _draw_members(
    photographs: Mapping[int, Sequence[int]], cells: int, count: int | None, seed: int
) -> list[tuple[Cell, ...]]:
    """Return the cells of each mosaic; photographs are used again only after all mosaics of a round are drawn."""
    random = np.random.default_rng(seed)
    members = list(_draw_round(photographs, cells, random))
    while count is not None and len(members) < count:
        members += _draw_round(photographs, cells, random)
    return members[:count]


def _draw_round(
    photographs: Mapping[int, Sequence[int]], cells: int, random: np.random.Generator
) -> Iterator[tuple[Cell, ...]]:
    """Yield mosaics while enough classes have unused photographs.

    Each mosaic takes the classes with the most unused photographs; ties are broken at random.
    """
    unused = {number: random.permutation(indices).tolist() for number, indices in sorted(photographs.items())}
    while sum(bool(indices) for indices in unused.values()) >= cells:
        shuffled = random.permutation(sorted(unused)).tolist()
        fullest = sorted(shuffled, key=lambda number: -len(unused[number]))[:cells]
        yield tuple(Cell(unused[number].pop(), number) for number in random.permutation(fullest).tolist())
