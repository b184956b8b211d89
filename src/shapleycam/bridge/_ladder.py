"""`ladder`: compares the values at several layers with the input's values, by their closeness and their cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from shapleycam.bridge.measurement import LadderMeasurement, Listener
from shapleycam.bridge.protocol import protocol_of
from shapleycam.bridge.rungs import choose_rungs
from shapleycam.bridge.sentence import describe_ladder
from shapleycam.bridge.store import Store
from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Images, batch_of
from shapleycam.fidelity import (
    InputDistance,
    InputQuestion,
    InputSummary,
    InputValues,
    input_summary,
)
from shapleycam.fidelity.against_input import DEFAULT_QUESTION
from shapleycam.fidelity.distinct import distinct_images
from shapleycam.models.network import Network
from shapleycam.tracing.input_layer import INPUT
from shapleycam.values.progress import Progress

DEFAULT_METHODS = ("hirescam",)


@dataclass(frozen=True)
class Ladder:
    """How close values at each layer are to the input's, and what they cost.

    Attributes:
        model: the name of the model.
        layers: the names of the layers in the chosen order; the input is the last.
        utility: the name of the utility.
        removal: the removal of regions of the image, in words.
        layer_removal: the removal at the layers, in words.
        distances: one for each image, layer, and method. The layer's own Shapley values count as a method, except at
            the input, with whose values all others are compared.
        inputs: the accuracy of the input's values, one for each image.
        input_passes: the time of the input's values in plain forward passes, one for each image.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import shapleycam
        >>> from shapleycam.fidelity import InputQuestion
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, 2))
        >>> explainer = shapleycam.Explainer(model, utility="logit")
        >>> ladder = shapleycam.ladder(explainer, torch.rand(2, 3, 8, 8), ["0"], [], InputQuestion(players=(2, 2)))
        >>> [(row.layer, round(row.pearson.value, 3)) for row in ladder.rows]
        [('0', 1.0)]
    """

    model: str
    layers: tuple[str, ...]
    utility: str
    removal: str
    layer_removal: str
    distances: tuple[InputDistance, ...]
    inputs: tuple[InputValues, ...]
    input_passes: tuple[float, ...]

    @property
    def rows(self) -> list[InputSummary]:
        """Return the means over images for each layer and method, in the order of the layers."""
        positions = {layer: position for position, layer in enumerate(self.layers)}
        return sorted(input_summary(self.distances), key=lambda row: positions[row.layer])

    @property
    def sentence(self) -> str:
        """Return a sentence with the layers that are worth their cost, as far as the intervals prove it."""
        return describe_ladder(self.distances, self.input_passes)


def ladder(
    model: Explainer | str | nn.Module | Network,
    images: Images | Iterator[Batch],
    layers: Sequence[str] | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    question: InputQuestion = DEFAULT_QUESTION,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
) -> Ladder:
    """Measure how close the values at layers are to the input's Shapley values, and what they cost.

    The predicted class of each image is explained. The layer's own Shapley values, and the values of each method, are
    summed over the regions of the image (`shapleycam.fidelity.region_sums`), and compared with the values of these
    regions at the input. Correlations are corrected for sampling noise (`shapleycam.fidelity.noise`).

    Args:
        model: an explainer, of which the utility and the removal at the layers are used, or a model as `Explainer`
            takes it.
        images: images as `Explainer.explain` takes them, or an iterator over batches of them.
        layers: names or rules of layers, in order; None for at most six layers, evenly in depth from the one before
            pooling to the input. The input is always the last.
        methods: names of methods, or sets; empty to measure only the layers' own values.
        question: the regions, removal and number of runs at the input; layers get the same number of runs.
        out: a folder in which values are stored, so that a stopped ladder can continue.
        progress: called while values are sampled, as in `shapleycam.values.EstimatorOptions`.
        listener: called with the names of an image and a layer when this layer is measured.

    Raises:
        OptionError: there are no images, a layer is named twice, there are too few runs for the regions, or the folder
            holds other files.
        ShapleyCamError: as `Explainer.game` and `Explainer.compare`.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import shapleycam
        >>> from shapleycam.fidelity import InputQuestion
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
        >>> images = torch.rand(3, 3, 8, 8)
        >>> shapleycam.ladder(model, images, ["1", "0"], question=InputQuestion(players=(2, 2))).layers
        ('1', '0', 'input')
    """
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    measurement: LadderMeasurement | None = None
    at_input = question.at_input(explainer)
    keeping = nullcontext() if out is None else Store.open(Path(out), protocol_of(explainer, at_input, question))
    with keeping as store:
        for batch in distinct_images(single_images(images, explainer), [explainer.utility]):
            if measurement is None:
                rungs = {name: at_rung(explainer, at_input, name) for name in choose_rungs(explainer, batch, layers)}
                measurement = LadderMeasurement(question, at_input, rungs, methods, store, progress, listener)
            measurement.add(batch)
    if measurement is None:
        raise OptionError("no images were given; expected at least one")
    return Ladder(
        explainer.name or type(explainer.model).__name__,
        tuple(measurement.rungs),
        measurement.utility,
        at_input.removal.name,
        explainer.removal.name,
        tuple(measurement.distances),
        tuple(measurement.inputs),
        tuple(measurement.input_passes),
    )


def at_rung(explainer: Explainer, at_input: Explainer, layer: str) -> Explainer:
    """Return the explainer at a layer; for the input this is `at_input`, which has the question's removal."""
    return at_input if layer == INPUT else explainer.in_full_precision().at_layer(layer)


def single_images(images: Images | Iterator[Batch], explainer: Explainer) -> Iterator[Batch]:
    """Yield a batch for each single image.

    Raises:
        ImageError: there are no images.
    """
    batches = images if isinstance(images, Iterator) else [batch_of(images, explainer.preprocess, explainer.model)]
    for batch in batches:
        for index in range(len(batch.images)):
            yield batch.rows(torch.tensor([index], device="cpu"))
