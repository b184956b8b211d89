"""Metrics measured on maps that should be good, and on maps that should not (after MetaQuantus, arXiv:2302.07265)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments.metric_check.measuring import MeasuredBatch, Measurement
from shapleycam.experiments.metric_check.result import MetricCheck
from shapleycam.experiments.metric_check.scores import score_metrics
from shapleycam.experiments.passes import passes_of_image
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.results.rank_agreement import FEWEST_METHODS
from shapleycam.experiments.results.resampling import Array
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.table import expand_metrics, required_quantities
from shapleycam.values.options import EstimatorKeywords, EstimatorOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

_RANDOM = "randomcam"
"""The method of the random maps: the layer's own channels, added with random weights."""
_NOT_OF_A_MAP = {
    "disturbed": "explanations of other images than the given ones",
    "objects": "to know where objects are",
    "randomised": "explanations of other models than the given one",
}
"""Quantities of metrics that are not of the model, the image and a given map alone, in words."""
_CONDITIONS = 3
"""Every image is explained and measured three times: as it is, with noise, and by the maps of random weights."""


def check_metrics(
    explainer: Explainer,
    batches: Iterable[Batch],
    metrics: Sequence[str] = ("paper",),
    methods: Sequence[str] = ("paper",),
    *,
    options: MetricOptions | None = None,
    **estimator_options: Unpack[EstimatorKeywords],
) -> MetricCheck:
    """Measure which metrics deserve trust on this model and these images.

    Four questions are asked of a metric, each of the same images and methods. Are the methods' maps better by it than
    RandomCAM's? Are they better than those that the methods make of the same model with random weights (other ones for
    each image)? Does the order of the methods stay when noise within `options.sensitivity_radius` is added to the
    image? Does the order agree with that of the other metrics?

    Args:
        explainer: of the model, at one layer.
        batches: the images, as `shapleycam.explaining.inputs.batch_of` makes them.
        metrics: names of metrics, or the sets "paper" and "all": those of a given map, without objects.
        methods: names of methods, or sets; three at least beside those of random weights.
        options: of the metrics; `seed` is also of the noise and of the random weights.
        estimator_options: as in `Explainer.compare`.

    Raises:
        OptionError: a metric that cannot be checked, fewer than three methods, or no images.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.experiments.metric_check import check_metrics
        >>> from shapleycam.explaining.inputs import batch_of
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> batch = batch_of(torch.rand(2, 3, 32, 32), None, model)
        >>> methods = ["gradcam", "layercam", "gradcam++"]
        >>> check = check_metrics(Explainer(model, layer="0"), [batch], ["complexity", "average_drop"], methods)
        >>> [trust.metric for trust in check.metrics], check.images
        (['complexity', 'average_drop'], 2)
    """
    names, compared = checkable_metrics(metrics), _compared_methods(methods)
    measurement = Measurement(
        explainer, names, [*compared, _RANDOM], options or MetricOptions(), EstimatorOptions(**estimator_options)
    )
    measured = [measurement.measure(batch) for batch in batches]
    if not measured:
        raise OptionError("no images were given; expected at least one")
    compared = [method for method in compared if all(method in part.methods for part in measured)]
    _refuse_few(compared)
    return _score(measured, names, compared)


def checkable_metrics(metrics: Sequence[str]) -> list[str]:
    """Return the metrics that names and sets mean, of those that can be checked.

    Raises:
        OptionError: an unknown name, or a metric by name that changes the model or the image itself, or needs objects.

    Examples:
        >>> from shapleycam.experiments.metric_check import checkable_metrics
        >>> "max_sensitivity" in checkable_metrics(["all"])
        False
    """
    chosen: list[str] = []
    for name in metrics:
        members = expand_metrics([name])
        kept = [member for member in members if not required_quantities([member]) & set(_NOT_OF_A_MAP)]
        if not kept:
            needed = sorted(required_quantities(members) & set(_NOT_OF_A_MAP))
            raise OptionError(
                f"metric {members[0]!r} needs {_NOT_OF_A_MAP[needed[0]]}, so that it cannot be checked; leave it out"
            )
        chosen += kept
    return list(dict.fromkeys(chosen))


def passes_of_check(metrics: Sequence[str], methods: Sequence[str], players: int) -> int:
    """Return how many forward passes an image takes at most: where each method has a map of its own.

    Examples:
        >>> from shapleycam.experiments.metric_check import passes_of_check
        >>> passes_of_check(["average_drop"], ["gradcam", "pathcam", "layercam"], players=49)  # 3 x (1 + 4 maps)
        15
    """
    protocol = Protocol(methods=(*_compared_methods(methods), _RANDOM), metrics=tuple(checkable_metrics(metrics)))
    passes = passes_of_image(protocol, [[method] for method in protocol.methods], players)
    return _CONDITIONS * (1 + passes.forward)


def _score(measured: Sequence[MeasuredBatch], metrics: Sequence[str], methods: Sequence[str]) -> MetricCheck:
    """Return the scores, of all batches together."""

    def figures(condition: str, of_methods: Sequence[str]) -> dict[str, Array]:
        batches = [getattr(part, condition) for part in measured]
        return {
            name: np.concatenate([np.stack([batch[name][method] for method in of_methods], 1) for batch in batches])
            for name in metrics
        }

    plain = figures("plain", methods)
    trusts, pairs = score_metrics(
        plain, figures("plain", [_RANDOM]), figures("random", methods), figures("noisy", methods)
    )
    return MetricCheck(tuple(trusts), tuple(pairs), tuple(methods), len(next(iter(plain.values()))))


def _compared_methods(methods: Sequence[str]) -> list[str]:
    """Return the methods that names and sets mean, without those of random weights."""
    expanded = Protocol(methods=tuple(methods)).methods  # of sets what an evaluation has of them
    compared = [name for name in expanded if not METHODS[name].is_baseline]
    _refuse_few(compared)
    return compared


def _refuse_few(methods: Sequence[str]) -> None:
    if len(methods) < FEWEST_METHODS:
        raise OptionError(
            f"{len(methods)} methods were given beside random ones ({', '.join(methods) or 'none'}); expected at least "
            f"{FEWEST_METHODS}, whose order metrics can agree on"
        )
