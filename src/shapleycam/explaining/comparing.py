"""Comparisons of several methods: at each layer, of smoothed maps, and fused over layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.explaining import warnings
from shapleycam.explaining.fusing import fuse_explanations
from shapleycam.explaining.inputs import Target
from shapleycam.explaining.layer_tracer import LayerTracer
from shapleycam.explaining.question import Question
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.removal import NAMED
from shapleycam.smoothing import Smooth
from shapleycam.smoothing.augment import AUGMENTATIONS, average_augmented
from shapleycam.smoothing.checks import check_mirrors, check_output_has_no_places
from shapleycam.smoothing.noise import average_noisy, noisy_images
from shapleycam.smoothing.table import AUGMENT, NOISE
from shapleycam.values.options import EstimatorOptions


@dataclass(frozen=True)
class ComparisonRequest:
    """A question and the options of its answer; attributes as the arguments of `Explainer.compare_each`."""

    question: Question
    methods: Sequence[str]
    targets: Sequence[Target] | int
    options: EstimatorOptions
    smooth: Smooth = ()
    curvature: bool = False

    def with_images(self, images: Tensor) -> ComparisonRequest:
        """Return the same request with other images."""
        batch = replace(self.question.batch, images=images)
        return replace(self, question=replace(self.question, batch=batch))


def compare(tracer: LayerTracer, request: ComparisonRequest) -> list[Comparison]:
    """Explain by several methods; return one comparison for each target, with several layers fused.

    Raises:
        OptionError: a smoothing that the question or a method does not allow.
    """
    compare_images = _compare_augmented if AUGMENT.name in request.smooth else _compare_at_layers
    comparisons = compare_images(tracer, request)
    rows = [METHODS[name] for name in expand_methods(request.methods)]
    warnings.warn_of_unused_players(rows, request.options.players, tracer.memory.messages)
    warnings.warn_of_unused_options(rows, request.options, tracer.memory.messages)
    for explanation in (e for comparison in comparisons for e in comparison.values()):
        if len(tracer.layers) > 1:
            warnings.warn_of_nothing_in_common(explanation)
        elif request.smooth:
            warnings.warn_of_blank_maps(explanation)
    if not request.smooth:
        return comparisons
    return [
        Comparison({name: replace(e, smooth=request.smooth, prefix=None) for name, e in comparison.items()})
        for comparison in comparisons
    ]


def _compare_augmented(tracer: LayerTracer, request: ComparisonRequest) -> list[Comparison]:
    """Return the means over the changed images of smoothing "augment"; all explain the unchanged image's classes."""
    question, removal = request.question, request.question.removal
    batch, utility = question.batch, question.utility
    check_mirrors(None if removal in NAMED.values() else removal.name, request.options.players, batch.extra)
    traced_batch = tracer.trace(tracer.find_layers(batch, utility)[0], question, (), replay=False, twice=False)
    check_output_has_no_places(traced_batch.output, utility.name)
    targets = [
        traced_batch.fix_question(target, utility)[0]
        for target in traced_batch.expand_targets(request.targets, utility)
    ]
    del traced_batch
    by_change = []
    for change in AUGMENTATIONS:
        changed = request.with_images(change.apply(batch.images))
        is_measured = request.curvature and change.is_identity
        by_change.append(_compare_at_layers(tracer, replace(changed, targets=targets, curvature=is_measured)))
    clean = by_change[[change.is_identity for change in AUGMENTATIONS].index(True)]
    return _average(clean, by_change, average_augmented)


def _compare_at_layers(tracer: LayerTracer, request: ComparisonRequest) -> list[Comparison]:
    """Return one comparison for each target, fused over all layers."""
    # One layer after the other, because each traced batch holds an autograd graph.
    by_layer = [
        _compare_at(tracer, layer, request)
        for layer in tracer.find_layers(request.question.batch, request.question.utility)
    ]
    if len(by_layer) == 1:
        return by_layer[0]
    return [_fuse(comparisons, tracer.fusion) for comparisons in zip(*by_layer, strict=True)]


def _compare_at(tracer: LayerTracer, layer: str, request: ComparisonRequest) -> list[Comparison]:
    """Return one comparison for each target at one layer; smoothing "noise" averages values over noisy images."""
    methods, options, smooth = request.methods, request.options, request.smooth
    utility, curvature = request.question.utility, request.curvature
    traced_batch = tracer.trace(layer, request.question, methods, replay=False, twice=curvature)
    targets = traced_batch.expand_targets(request.targets, utility)
    comparisons = [
        traced_batch.explain_by(methods, target, utility, options, curvature=curvature, smooth=smooth)
        if smooth
        else traced_batch.compare(methods, target, utility, options, curvature=curvature)
        for target in targets
    ]
    if NOISE.name not in smooth:
        return comparisons
    fixed = [traced_batch.fix_question(target, utility) for target in targets]
    options = replace(options, players=traced_batch.regions(options.players))  # the regions of the clean image
    del traced_batch
    by_noise = []
    for images in noisy_images(request.question.batch.images, options.seed):
        noisy = request.with_images(images).question
        traced_noisy = tracer.trace(layer, noisy, methods, replay=False, twice=False)
        by_noise.append(
            [traced_noisy.explain_by(methods, *fixed_question, options, smooth=smooth) for fixed_question in fixed]
        )
    return _average(comparisons, by_noise, average_noisy)


def _fuse(comparisons: Sequence[Comparison], fusion: str) -> Comparison:
    """Return the comparison of one target, each method's explanations fused over all layers."""
    return Comparison(
        {
            name: fuse_explanations([each[name] for each in comparisons], fusion)
            for name in comparisons[0]
            if all(name in each for each in comparisons)  # a method of a set may be left out at some layer
        }
    )


def _average(
    clean: Sequence[Comparison],
    changed: Sequence[Sequence[Comparison]],
    mean: Callable[[Explanation, Sequence[Explanation]], Explanation],
) -> list[Comparison]:
    """Return the mean over the changed images, for each target and method."""
    return [
        Comparison(
            {
                name: mean(e, [comparisons[target][name] for comparisons in changed])
                for name, e in comparison.items()
                if all(name in comparisons[target] for comparisons in changed)
            }
        )
        for target, comparison in enumerate(clean)
    ]
