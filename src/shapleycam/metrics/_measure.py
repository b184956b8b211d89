"""`measure`: compute metrics of given explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Images, Inputs, batch_of
from shapleycam.explaining.reference import AnyRemoval
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.removal import NAMED
from shapleycam.metrics.evaluator import MetricEvaluator
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.table import expand_metrics
from shapleycam.utilities import UTILITIES, Utility
from shapleycam.values.options import EstimatorKeywords, EstimatorOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


_ROUNDING = 1e-5
"""Tolerance of heat outside of [0, 1]."""


@torch.inference_mode(mode=False)
@torch.no_grad()
def measure(
    explainer: Explainer,
    images: Images,
    explanations: Mapping[str, Explanation],
    metrics: str | Sequence[str] = ("paper",),
    options: MetricOptions | None = None,
    objects: Bool[Tensor, "b *n h w"] | None = None,
    *,
    inputs: Inputs = None,
    **estimator_options: Unpack[EstimatorKeywords],
) -> dict[str, dict[str, Float[Tensor, " b"]]]:
    """Measure several explanations by several metrics; forward passes are shared among them.

    Args:
        explainer: the explainer that made the explanations.
        images: the images that were explained.
        explanations: by method, as `Explainer.compare` returns them.
        metrics: names from `shapleycam.metrics.METRICS`, or the sets "paper" and "all" ("all" has pointing metrics only
            if `objects` are given).
        options: how images are changed; None for the published protocol.
        objects: masks of the objects for pointing metrics: (b, h, w), or (b, n, h, w) with a mask for each object.
        inputs: the further inputs with which the explanations were made; see `Explainer.compare`.
        estimator_options: nodes, tolerance, players and seed with which the explanations were made.

    Returns:
        {metric: {method: one number for each image (b,)}}, on the explanations' device.

    Raises:
        OptionError: there are no explanations; they are of other images, or differ in class, layer, utility or removal;
            a metric is unknown or cannot be computed for this model; heat outside of [0, 1], or values that are not
            finite.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.metrics import measure
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> explainer, images = Explainer(torch.nn.Sequential(*layers), layer="0"), torch.rand(2, 3, 32, 32)
        >>> explanations = explainer.compare(images, ["gradcam", "shapleycam"])
        >>> numbers = measure(explainer, images, explanations, ["complexity", "average_drop"])
        >>> numbers["average_drop"]["gradcam"].shape
        torch.Size([2])
    """
    names = expand_metrics([metrics] if isinstance(metrics, str) else metrics, objects=objects is not None)
    batch = batch_of(images, explainer.preprocess, explainer.model, inputs)
    first = _check_alike(explanations)
    _check_maps(explanations)
    if batch.images.shape != first.images.shape or not torch.equal(batch.images, first.images.to(batch.images)):
        raise OptionError("the images are not those that were explained; give the same ones, in the same order")
    layer = explainer.find_layer(batch)
    if first.layer != layer:
        raise OptionError(
            f"the explanation is of layer {first.layer!r}, the explainer's is {layer!r}; give the explainer "
            "that made it"
        )
    estimator = EstimatorOptions(**estimator_options)
    utility = _utility(explainer, first)
    explained = ExplainedBatch(
        explainer,
        batch.images,
        first.target,
        utility,
        first.utility_name,
        estimator,
        first.form,
        batch.extra,
        _removal(explainer, first),
        first.smooth,
    )
    evaluator = MetricEvaluator(explained, explanations, names, options or MetricOptions(), objects)
    return {name: {method: evaluator.metric(name, method) for method in explanations} for name in names}


def _check_alike(explanations: Mapping[str, Explanation]) -> Explanation:
    """Return the first explanation; refuse those of different images, classes, layers or other choices."""
    if not explanations:
        raise OptionError("no explanations were given; expected {method: explanation} as Explainer.compare returns it")
    first, *others = explanations.values()
    for second in others:
        differ = [
            name
            for name in ("layer", "utility_name", "removal", "precision", "smooth")
            if getattr(first, name) != getattr(second, name)
        ]
        differ += [name for name in ("images", "target") if not _equal(getattr(first, name), getattr(second, name))]
        if differ:
            raise OptionError(
                f"{first.method} and {second.method} are not explanations of the same: {', '.join(differ)} differ; "
                "give what one call of Explainer.compare returned"
            )
    return first


def _check_maps(explanations: Mapping[str, Explanation]) -> None:
    """Refuse invalid maps, which a user may have put into an explanation.

    Raises:
        OptionError: heat is outside of [0, 1], or values are not finite.
    """
    for method, explanation in explanations.items():
        heat = explanation.heatmap.flatten(1)
        is_map = ((heat >= -_ROUNDING) & (heat <= 1 + _ROUNDING)).all(1)
        is_map &= explanation.values.flatten(1).isfinite().all(1).to(is_map.device)
        if not bool(is_map.all()):
            image = int((~is_map).nonzero()[0])
            raise OptionError(
                f"the heatmap of {method} for image {image} holds {float(heat[image].amin()):.3g} to "
                f"{float(heat[image].amax()):.3g}, or its values are not finite; expected heat from 0 to 1 and finite "
                "values, as explanations have them"
            )


def _equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second.to(first))


def _utility(explainer: Explainer, explanation: Explanation) -> Utility:
    """Return the utility that was explained.

    Raises:
        OptionError: it is a user's function that the explainer does not have.
    """
    name = explanation.utility_name
    if name == explainer.utility.name:
        return explainer.utility
    if name in UTILITIES:
        return UTILITIES[name]
    raise OptionError(
        f"the explanation is of utility {name!r}, which has no name in the table; give the explainer utility=, so that "
        "it can be asked of changed images too"
    )


def _removal(explainer: Explainer, explanation: Explanation) -> AnyRemoval:
    """Return the removal of an explanation.

    Raises:
        OptionError: the removal uses photographs, a tensor or a function that the explainer does not have; or the
            explanation has another precision than the explainer.
    """
    if explanation.precision != explainer.precision:
        raise OptionError(
            f"the explanation is of precision {explanation.precision!r}, the explainer has {explainer.precision!r}; "
            "give the explainer the same precision="
        )
    name = explanation.removal
    if name == explainer.removal.name:
        return explainer.removal
    if name in NAMED:
        return NAMED[name]
    raise OptionError(
        f"the explanation is of removal {name!r}, the explainer has {explainer.removal.name!r}; give the explainer the "
        "same removal=, so that it can be asked of changed images too"
    )


def metric_function(row: Metric) -> Callable[..., Float[Tensor, " b"]]:
    """Return a metric as a function (explainer, images, explanation, options, objects, ...) -> (b,)."""

    def metric(
        explainer: Explainer,
        images: Images,
        explanation: Explanation,
        options: MetricOptions | None = None,
        objects: Bool[Tensor, "b *n h w"] | None = None,
        *,
        inputs: Inputs = None,
        **estimator_options: Unpack[EstimatorKeywords],
    ) -> Float[Tensor, " b"]:
        explanations = {explanation.method: explanation}
        values = measure(
            explainer, images, explanations, row.name, options, objects, inputs=inputs, **estimator_options
        )
        return values[row.name][explanation.method]

    metric.__name__ = metric.__qualname__ = row.name
    summary = (row.function.__doc__ or "").strip()
    metric.__doc__ = f"{summary}\n\nOne number an image, {row.better} is good. {row.source}. Arguments as in `measure`."
    return metric
