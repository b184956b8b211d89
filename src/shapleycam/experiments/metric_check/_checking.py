"""`check_metrics`: tests metrics on maps that should and should not be good (after MetaQuantus, arXiv:2302.07265)."""

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
"""The method that makes random maps: a sum of the layer's channels with random weights."""
_UNCHECKABLE = {
    "disturbed": "explanations of other images than the given ones",
    "objects": "to know where objects are",
    "randomised": "explanations of other models than the given one",
}
"""Quantities that are not a function of the model, the image and a given map, with what they need in words."""
_CONDITIONS = 3
"""Each image is explained and measured in three conditions: unchanged, with noise, and with maps of random weights."""


def check_metrics(
    explainer: Explainer,
    batches: Iterable[Batch],
    metrics: Sequence[str] = ("paper",),
    methods: Sequence[str] = ("paper",),
    *,
    options: MetricOptions | None = None,
    **estimator_options: Unpack[EstimatorKeywords],
) -> MetricCheck:
    """Return scores of each metric's reliability for this model and these images.

    A metric is checked by four questions, on the same images and methods:

    - Does it rate the methods' maps better than RandomCAM's?
    - Does it rate them better than the maps of the same methods for the same model with random weights? (The weights
      differ from image to image.)
    - Does the order of the methods stay the same if noise within `options.sensitivity_radius` is added to the image?
    - Does the order of the methods agree with that of the other metrics?

    Args:
        explainer: an explainer of the model, at one layer.
        batches: the images, as `shapleycam.explaining.inputs.batch_of` returns them.
        metrics: names of metrics, or the sets "paper" and "all", which stand for their metrics that can be checked.
        methods: names of methods, or sets; at least three methods that are not baselines with random weights.
        options: options of the metrics; their `seed` also determines the noise and the random weights.
        estimator_options: as in `Explainer.compare`.

    Raises:
        OptionError: a metric cannot be checked, there are fewer than three methods, or there are no images.

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
    compared = [method for method in compared if all(method in batch.methods for batch in measured)]
    _refuse_few(compared)
    return _score(measured, names, compared)


def checkable_metrics(metrics: Sequence[str]) -> list[str]:
    """Return the metrics that names and sets stand for; a set stands for its metrics that can be checked.

    Raises:
        OptionError: a name is unknown, or names a metric that needs objects, or itself changes the model or the image.

    Examples:
        >>> from shapleycam.experiments.metric_check import checkable_metrics
        >>> "max_sensitivity" in checkable_metrics(["all"])
        False
    """
    chosen: list[str] = []
    for name in metrics:
        members = expand_metrics([name])
        checkable = [member for member in members if not required_quantities([member]) & set(_UNCHECKABLE)]
        if not checkable:
            needed = sorted(required_quantities(members) & set(_UNCHECKABLE))
            raise OptionError(
                f"metric {members[0]!r} needs {_UNCHECKABLE[needed[0]]}, so that it cannot be checked; leave it out"
            )
        chosen += checkable
    return list(dict.fromkeys(chosen))


def passes_of_check(metrics: Sequence[str], methods: Sequence[str], players: int) -> int:
    """Return the maximum number of forward passes for one image, which is reached if all methods' maps differ.

    Examples:
        >>> from shapleycam.experiments.metric_check import passes_of_check
        >>> passes_of_check(["average_drop"], ["gradcam", "pathcam", "layercam"], players=49)  # 3 x (1 + 4 maps)
        15
    """
    protocol = Protocol(methods=(*_compared_methods(methods), _RANDOM), metrics=tuple(checkable_metrics(metrics)))
    passes = passes_of_image(protocol, [[method] for method in protocol.methods], players)
    return _CONDITIONS * (1 + passes.forward)


def _score(measured: Sequence[MeasuredBatch], metrics: Sequence[str], methods: Sequence[str]) -> MetricCheck:
    """Return the scores over the images of all batches."""

    def scores(condition: str, names: Sequence[str]) -> dict[str, Array]:
        """Return for each metric its values (images, methods) in one condition."""
        batches = [getattr(batch, condition) for batch in measured]
        return {
            metric: np.concatenate([np.stack([batch[metric][name] for name in names], 1) for batch in batches])
            for metric in metrics
        }

    plain = scores("plain", methods)
    trusts, pairs = score_metrics(
        plain, scores("plain", [_RANDOM]), scores("random", methods), scores("noisy", methods)
    )
    return MetricCheck(tuple(trusts), tuple(pairs), tuple(methods), len(next(iter(plain.values()))))


def _compared_methods(methods: Sequence[str]) -> list[str]:
    """Return the methods that names and sets stand for, without baselines with random weights."""
    expanded = Protocol(methods=tuple(methods)).methods  # sets are expanded as in an evaluation
    compared = [name for name in expanded if not METHODS[name].is_baseline]
    _refuse_few(compared)
    return compared


def _refuse_few(methods: Sequence[str]) -> None:
    if len(methods) < FEWEST_METHODS:
        raise OptionError(
            f"{len(methods)} methods were given besides random ones ({', '.join(methods) or 'none'}); expected at "
            f"least {FEWEST_METHODS}, because metrics are compared by the order of methods"
        )
