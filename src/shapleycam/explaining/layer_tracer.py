"""Traced batches of one model at the layers of its explainer, and comparisons made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

from torch import nn

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import OptionError
from shapleycam.explaining import warnings
from shapleycam.explaining.fusing import fuse_explanations
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explaining.layer_search import LayerSearch
from shapleycam.explaining.question import Question
from shapleycam.explaining.reference import ReferenceMean
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.removal import NAMED
from shapleycam.smoothing import Smooth
from shapleycam.smoothing.augment import AUGMENTATIONS, average_augmented
from shapleycam.smoothing.checks import check_mirrors, check_output_has_no_places
from shapleycam.smoothing.noise import average_noisy, noisy_images
from shapleycam.smoothing.table import AUGMENT, NOISE
from shapleycam.tracing.output_reading import OutputSelector, whole_output
from shapleycam.utilities import Utility
from shapleycam.values.options import EstimatorOptions


@dataclass(frozen=True)
class LayerTracer:
    """Runs a model on batches and traces what comes after its layers.

    `select` takes what is explained from what the model returns; `fusion` is how explanations of several layers become
    one.
    """

    settings: ExplainerSettings
    memory: ExplainerMemory
    layers: LayerSearch
    select: OutputSelector
    fusion: str

    def of_model(self, model: nn.Module) -> LayerTracer:
        """Return the tracer of another model of the same architecture, with other weights."""
        settings, memory = replace(self.settings, model=model), self.memory.of_other_weights()
        return replace(self, settings=settings, memory=memory, layers=copy(self.layers))

    def at(self, layers: LayerSearch) -> LayerTracer:
        """Return the tracer of the same model at other layers; a layout that was given is of its own alone."""
        layout = self.settings.layout if layers.names == self.layers.names else None
        return replace(self, layers=layers, settings=replace(self.settings, layout=layout))

    def select_for(self, utility: Utility) -> OutputSelector:
        """Return what a utility is asked of: the selected output, or for some all that the model returns."""
        return whole_output if utility.raw else self.select

    def find_layers(self, batch: Batch, utility: Utility) -> tuple[str, ...]:
        """Return the layers' names, found by running the model on the first image where a rule asks for it."""
        return self.layers.find(self.settings.model, batch, self.select_for(utility), self.settings.image_kind)

    def trace(
        self,
        layer: str,
        question: Question,
        methods: Sequence[str],
        *,
        replay: bool,
        twice: bool,
    ) -> TracedBatch:
        """Trace a question's batch at one layer, with what `methods` need; `replay` and `twice` ask for more."""
        settings, select, removal = self.settings, self.select_for(question.utility), question.removal
        of_layer = removal.at(settings.model, layer) if isinstance(removal, ReferenceMean) else removal
        bases = [METHODS[name].basis for name in expand_methods(methods)] if methods else []
        return TracedBatch(
            settings,
            self.memory,
            question.batch,
            layer,
            select,
            of_layer,
            replay=replay or any(basis.needs_replay for basis in bases),
            twice=twice or any(basis.needs_second_derivatives for basis in bases),
        )

    def trace_only_layer(self, question: Question, methods: Sequence[str], *, replay: bool, twice: bool) -> TracedBatch:
        """Trace a question's batch at the only layer.

        Raises:
            OptionError: there are several.
        """
        if len(self.layers) > 1:
            raise OptionError(f"the explainer has {len(self.layers)} layers, and a game is played at one; give one")
        (layer,) = self.find_layers(question.batch, question.utility)
        return self.trace(layer, question, methods, replay=replay, twice=twice)

    def compare(
        self,
        options: EstimatorOptions,
        question: Question,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        *,
        curvature: bool,
        smooth: Smooth = (),
    ) -> list[Comparison]:
        """Explain by several methods, one comparison for each target; several layers are fused.

        Raises:
            OptionError: a smoothing that the question or a method does not allow.
        """
        if AUGMENT.name in smooth:
            comparisons = self._compare_augmented(options, question, methods, targets, smooth, curvature=curvature)
        else:
            comparisons = self._compare_at_layers(options, question, methods, targets, smooth, curvature=curvature)
        explanations = [e for comparison in comparisons for e in comparison.values()]
        for explanation in explanations:
            if len(self.layers) > 1:
                warnings.warn_of_nothing_in_common(explanation)
            elif smooth:
                warnings.warn_of_blank_maps(explanation)
        if not smooth:
            return comparisons
        return [
            Comparison({name: replace(e, smooth=smooth, prefix=None) for name, e in comparison.items()})
            for comparison in comparisons
        ]

    def _compare_augmented(
        self,
        options: EstimatorOptions,
        question: Question,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        smooth: Smooth,
        *,
        curvature: bool,
    ) -> list[Comparison]:
        """Return the means over the images of smoothing "augment"; all ask for the classes of the image itself."""
        batch, utility = question.batch, question.utility
        removal = question.removal
        check_mirrors(None if removal in NAMED.values() else removal.name, options.players, batch.extra)
        traced_batch = self.trace(self.find_layers(batch, utility)[0], question, (), replay=False, twice=False)
        check_output_has_no_places(traced_batch.output, utility.name)
        fixed = [
            traced_batch.fix_question(target, utility)[0] for target in traced_batch.expand_targets(targets, utility)
        ]
        del traced_batch
        by_change = []
        for change in AUGMENTATIONS:
            changed = replace(question, batch=replace(batch, images=change.apply(batch.images)))
            is_measured = curvature and change.is_identity
            by_change.append(self._compare_at_layers(options, changed, methods, fixed, smooth, curvature=is_measured))
        clean = by_change[[change.is_identity for change in AUGMENTATIONS].index(True)]
        return _average(clean, by_change, average_augmented)

    def _compare_at_layers(
        self,
        options: EstimatorOptions,
        question: Question,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        smooth: Smooth,
        *,
        curvature: bool,
    ) -> list[Comparison]:
        """Return one comparison for each target, fused from those at all layers."""
        # One layer after the other, as each traced batch holds a graph.
        by_layer = [
            self._compare_at(layer, options, question, methods, targets, smooth, curvature=curvature)
            for layer in self.find_layers(question.batch, question.utility)
        ]
        if len(by_layer) == 1:
            return by_layer[0]
        return [self._fuse(comparisons) for comparisons in zip(*by_layer, strict=True)]

    def _compare_at(
        self,
        layer: str,
        options: EstimatorOptions,
        question: Question,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        smooth: Smooth,
        *,
        curvature: bool,
    ) -> list[Comparison]:
        """Return one comparison for each target at one layer, with the mean values of noisy images if asked for."""
        utility = question.utility
        traced_batch = self.trace(layer, question, methods, replay=False, twice=curvature)
        expanded = traced_batch.expand_targets(targets, utility)
        comparisons = [
            traced_batch.explain_by(methods, target, utility, options, curvature=curvature, smooth=smooth)
            if smooth
            else traced_batch.compare(methods, target, utility, options, curvature=curvature)
            for target in expanded
        ]
        if NOISE.name not in smooth:
            return comparisons
        fixed = [traced_batch.fix_question(target, utility) for target in expanded]
        options = replace(options, players=traced_batch.regions(options.players))  # those of the clean image
        del traced_batch
        by_noise = []
        for images in noisy_images(question.batch.images, options.seed):
            noisy = replace(question, batch=replace(question.batch, images=images))
            traced_noisy = self.trace(layer, noisy, methods, replay=False, twice=False)
            by_noise.append(
                [traced_noisy.explain_by(methods, *fixed_question, options, smooth=smooth) for fixed_question in fixed]
            )
        return _average(comparisons, by_noise, average_noisy)

    def _fuse(self, comparisons: Sequence[Comparison]) -> Comparison:
        """Return by method one explanation of one target, fused from those at all layers."""
        return Comparison(
            {
                name: fuse_explanations([each[name] for each in comparisons], self.fusion)
                for name in comparisons[0]
                if all(name in each for each in comparisons)  # a layer may refuse a method of a set
            }
        )


def _average(
    clean: Sequence[Comparison],
    changed: Sequence[Sequence[Comparison]],
    mean: Callable[[Explanation, Sequence[Explanation]], Explanation],
) -> list[Comparison]:
    """Return the means of explanations of changed images, by target and method."""
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
