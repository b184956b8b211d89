"""`input_fidelity`: compares methods at a layer with the Shapley values of regions of the input image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.question import UtilityChoice
from shapleycam.fidelity.distinct import distinct_images
from shapleycam.fidelity.input_distance import InputDistance, distances_to_input
from shapleycam.fidelity.input_reference import InputQuestion, InputValues, describe_input_values, name_of
from shapleycam.fidelity.layer_values import method_options, values_of_methods
from shapleycam.values._path import Nodes
from shapleycam.values.progress import Progress

DEFAULT_QUESTION = InputQuestion()
"""49 regions of the image, with removal "zero"."""


@dataclass(frozen=True)
class InputFidelity:
    """Result of `input_fidelity`.

    Attributes:
        distances: one for each image, utility and method.
        inputs: the accuracy of the input's values, one for each image and utility.
        values: for each (utility, method) the method's values of all regions, concatenated over images; for
            (utility, "true") the input's values.
        removal: the removal of regions of the image, in words.

    Examples:
        >>> from shapleycam.fidelity import InputFidelity
        >>> InputFidelity((), (), {}, "blur").removal
        'blur'
    """

    distances: tuple[InputDistance, ...]
    inputs: tuple[InputValues, ...]
    values: Mapping[tuple[str, str], Float[Tensor, " all"]]
    removal: str


def input_fidelity(
    explainer: Explainer,
    batches: Iterable[Batch],
    utilities: Sequence[UtilityChoice] = (None,),
    methods: Sequence[str] = ("all",),
    question: InputQuestion = DEFAULT_QUESTION,
    *,
    nodes: Nodes = 8,
    progress: Progress | None = None,
) -> InputFidelity:
    """Compare methods at the explainer's layer with the input's Shapley values, for the predicted class.

    A method's values are summed over each region of the image (`shapleycam.fidelity.region_sums`), and compared with
    the Shapley values of these regions at layer "input", which are sampled in two halves.

    Args:
        explainer: an explainer of the model, at one layer, in the model's own precision.
        batches: the images, as `shapleycam.explaining.inputs.batch_of` returns them.
        utilities: utilities or their names; None for the explainer's own.
        methods: names of methods, or the sets "paper", "all" and "field".
        question: the regions, removal and number of runs at the input; the removal at the layer is the explainer's.
        nodes: number of gradients along the path, for the path methods.
        progress: called while the input's values are computed, as in `shapleycam.values.EstimatorOptions`.

    Raises:
        ShapleyCamError: as `Explainer.compare`; or there are no images, or too few runs for the regions.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam import Explainer
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.fidelity import InputQuestion, input_fidelity
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> explainer = Explainer(model, layer="0", utility="logit")
        >>> batch = batch_of(torch.rand(1, 3, 8, 8), None, model)
        >>> measured = input_fidelity(explainer, [batch], (None,), ["hirescam"], InputQuestion(players=(2, 2)))
        >>> round(measured.distances[0].spearman, 3)
        1.0
    """
    if explainer.precision != "full":
        raise OptionError(
            f"precision {explainer.precision!r} applies to what comes before the layer, and nothing comes before the "
            "input; expected precision='full', or distances from the layer's own values"
        )
    at_input = question.at_input(explainer)
    distances: list[InputDistance] = []
    inputs: list[InputValues] = []
    values: dict[tuple[str, str], list[Tensor]] = {}
    for batch in distinct_images(batches, [*utilities, explainer.utility]):
        names = [name_of(source) for source in batch.sources]
        for utility in utilities:
            game = question.game(at_input, batch, utility)
            options = method_options(explainer, batch, game, question, nodes)
            true = question.values(game, progress)
            name = game.utility.name
            inputs += describe_input_values(game, true, batch.sources)
            values.setdefault((name, "true"), []).append(true.values.flatten().cpu())
            for measured in values_of_methods(explainer, batch, methods, game, options):
                distances += distances_to_input(names, name, measured, true)
                values.setdefault((name, measured.method), []).append(measured.values.values.flatten().cpu())
    if not distances:
        raise OptionError("no images were given; expected at least one")
    joined = {key: torch.cat(parts) for key, parts in values.items()}
    return InputFidelity(tuple(distances), tuple(inputs), joined, at_input.removal.name)
