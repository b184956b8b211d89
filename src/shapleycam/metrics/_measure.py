"""Metrics of explanations that a user has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Images, Inputs, batch_of
from shapleycam.explanations.explanation import Explanation
from shapleycam.metrics.metric import Metric
from shapleycam.metrics.options import Options
from shapleycam.metrics.passes import Passes
from shapleycam.metrics.subject import Subject
from shapleycam.metrics.table import expand
from shapleycam.utilities import UTILITIES, Utility
from shapleycam.values.options import EstimatorKeywords, EstimatorOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


@torch.inference_mode(mode=False)
@torch.no_grad()
def measure(
    explainer: Explainer,
    images: Images,
    explanations: Mapping[str, Explanation],
    metrics: str | Sequence[str] = ("paper",),
    options: Options | None = None,
    objects: Bool[Tensor, "b h w"] | None = None,
    *,
    inputs: Inputs = None,
    **estimator_options: Unpack[EstimatorKeywords],
) -> dict[str, dict[str, Float[Tensor, " b"]]]:
    """Several metrics of several methods, from as few passes as they need: {metric: {method: (b,)}}, on its device.

    Args:
        explainer: the one that made the explanations.
        images: what was explained.
        explanations: by method, as `Explainer.compare` returns them.
        metrics: names from `shapleycam.metrics.METRICS`, or the sets "paper" and "all" (what `objects` allow).
        options: how images are changed; None for the published protocol.
        objects: (b, h, w), true where the objects are that the pointing metrics ask for.
        inputs: as the explanations were made with, see `Explainer.compare`.
        estimator_options: likewise, nodes, tolerance, players and seed.

    Raises:
        OptionError: no explanations, of other images, another class, layer or utility, an unknown metric, or one that
            cannot be had.
    """
    names = expand([metrics] if isinstance(metrics, str) else metrics, objects=objects is not None)
    batch = batch_of(images, explainer.preprocess, explainer.model, inputs)
    first = _same_subject(explanations)
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
    subject = Subject(
        explainer, batch.images, first.target, utility, first.utility_name, estimator, first.form, batch.extra
    )
    passes = Passes(subject, explanations, names, options or Options(), objects)
    return {name: {method: passes.metric(name, method) for method in explanations} for name in names}


def _same_subject(explanations: Mapping[str, Explanation]) -> Explanation:
    """The first explanation, if all are of the same images, classes, layer and utility."""
    if not explanations:
        raise OptionError("no explanations were given; expected {method: explanation} as Explainer.compare returns it")
    first, *others = explanations.values()
    for other in others:
        differ = [name for name in ("layer", "utility_name") if getattr(first, name) != getattr(other, name)]
        differ += [name for name in ("images", "target") if not _equal(getattr(first, name), getattr(other, name))]
        if differ:
            raise OptionError(
                f"{first.method} and {other.method} are not explanations of the same: {', '.join(differ)} differ; give "
                "what one call of Explainer.compare returned"
            )
    return first


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other.to(one))


def _utility(explainer: Explainer, explanation: Explanation) -> Utility:
    """The utility that was explained.

    Raises:
        OptionError: a function of the user's that the explainer does not have.
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


def alone(row: Metric) -> Callable[..., Float[Tensor, " b"]]:
    """A metric as a function of its own: (explainer, images, explanation, options, objects, ...) -> (b,)."""

    def of(
        explainer: Explainer,
        images: Images,
        explanation: Explanation,
        options: Options | None = None,
        objects: Bool[Tensor, "b h w"] | None = None,
        *,
        inputs: Inputs = None,
        **estimator_options: Unpack[EstimatorKeywords],
    ) -> Float[Tensor, " b"]:
        one = {explanation.method: explanation}
        measured = measure(explainer, images, one, row.name, options, objects, inputs=inputs, **estimator_options)
        return measured[row.name][explanation.method]

    of.__name__ = of.__qualname__ = row.name
    summary = (row.function.__doc__ or "").strip()
    of.__doc__ = f"{summary}\n\nOne number an image, {row.better} is good. {row.source}. Arguments as in `measure`."
    return of
