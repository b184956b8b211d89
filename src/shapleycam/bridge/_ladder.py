"""`ladder`: layers from the last to the input, each with its price and with how close its values are to the input's."""

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
        layers: as they were chosen; the input is the last.
        utility: the name of the utility.
        removal: what stood in for absent regions of the image, in words.
        layer_removal: the same at the layers.
        distances: one for each image, layer, and method or the layer's own values; of the input its methods alone.
        inputs: how sure the input's values are, one for each image.
        input_passes: their time in plain forward passes, one for each image.

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
        """Return the means over images, layer by layer."""
        places = {layer: place for place, layer in enumerate(self.layers)}
        return sorted(input_summary(self.distances), key=lambda row: places[row.layer])

    @property
    def sentence(self) -> str:
        """Return in one sentence what which price buys, as far as the intervals support it."""
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
    """Measure how close values at layers come to the input's Shapley values, and at what price.

    The predicted class of each image is explained. At each layer the layer's own Shapley values and those of methods
    are summed over the regions of the image (`shapleycam.fidelity.region_sums`), and compared with the values that
    these regions have at the input; correlations are corrected for sampling noise (`shapleycam.fidelity.noise`).

    Args:
        model: an explainer, whose utility and removal at the layers are taken, or what `Explainer` makes one of.
        images: as `Explainer.explain` takes them, or an iterator over batches of them.
        layers: names or rules, in their order; None for at most six, evenly in depth from the one before pooling to the
            input. The input is always the last.
        methods: names of methods, or sets; none for the layers' own values alone.
        question: regions, removal and runs at the input; the runs are a layer's too.
        out: a folder in which values are kept: a ladder that was stopped goes on from there.
        progress: called while values are sampled, as in `shapleycam.values.EstimatorOptions`.
        listener: called with the names of an image and a layer, once that layer is measured.

    Raises:
        OptionError: no images, a layer that is named twice, too few runs for the regions, or a folder that holds
            something else.
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
    """Return the explainer of a layer: at the input with the removal of the question, elsewhere with its own."""
    return at_input if layer == INPUT else explainer.in_full_precision().at_layer(layer)


def single_images(images: Images | Iterator[Batch], explainer: Explainer) -> Iterator[Batch]:
    """Yield batches of one image.

    Raises:
        ImageError: no images.
    """
    whole = images if isinstance(images, Iterator) else [batch_of(images, explainer.preprocess, explainer.model)]
    for batch in whole:
        for index in range(len(batch.images)):
            yield batch.rows(torch.tensor([index], device="cpu"))
