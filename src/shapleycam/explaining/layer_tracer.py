"""Traced batches of one model at the layers of its explainer, and comparisons made of them."""

from __future__ import annotations

from collections.abc import Sequence
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
    ) -> list[Comparison]:
        """Explain by several methods, one comparison for each target; several layers are fused."""
        by_layer, utility = [], question.utility
        # One layer after the other, as each traced batch holds a graph.
        for layer in self.find_layers(question.batch, utility):
            traced_batch = self.trace(layer, question, methods, replay=False, twice=curvature)
            by_layer.append(
                [
                    traced_batch.compare(methods, target, utility, options, curvature=curvature)
                    for target in traced_batch.expand_targets(targets, utility)
                ]
            )
            del traced_batch
        if len(by_layer) == 1:
            return by_layer[0]
        return [self._fuse(comparisons) for comparisons in zip(*by_layer, strict=True)]

    def _fuse(self, comparisons: Sequence[Comparison]) -> Comparison:
        """Return by method one explanation of one target, fused from those at all layers."""
        fused = Comparison(
            {name: fuse_explanations([each[name] for each in comparisons], self.fusion) for name in comparisons[0]}
        )
        for explanation in fused.values():
            warnings.warn_of_nothing_in_common(explanation)
        return fused
