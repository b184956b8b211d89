"""`LayerTracer`: traces batches of one model at the layers of its explainer."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

from torch import nn

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import OptionError
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.layer_search import LayerSearch
from shapleycam.explaining.question import Question
from shapleycam.explaining.reference import ReferenceRemoval
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.tracing.output_reading import OutputSelector, whole_output
from shapleycam.utilities import Utility


@dataclass(frozen=True)
class LayerTracer:
    """Runs a model on batches and traces the head at its layers.

    Attributes:
        settings: the model, and how the user wants it explained.
        memory: the results of earlier checks.
        layers: the layers.
        select: takes the explained part from the model's output.
        fusion: how explanations at several layers become one.
    """

    settings: ExplainerSettings
    memory: ExplainerMemory
    layers: LayerSearch
    select: OutputSelector
    fusion: str

    def of_model(self, model: nn.Module) -> LayerTracer:
        """Return a tracer for another model of the same architecture, with other weights."""
        settings, memory = replace(self.settings, model=model), self.memory.of_other_weights()
        return replace(self, settings=settings, memory=memory, layers=copy(self.layers))

    def at(self, layers: LayerSearch) -> LayerTracer:
        """Return a tracer of the same model at other layers; a layout that the user gave applies to its layer only."""
        layout = self.settings.layout if layers.names == self.layers.names else None
        return replace(self, layers=layers, settings=replace(self.settings, layout=layout))

    def in_full_precision(self) -> LayerTracer:
        """Return a tracer that runs the whole model in its own precision."""
        return replace(self, settings=replace(self.settings, precision="full"))

    def select_for(self, utility: Utility) -> OutputSelector:
        """Return the selector of the output that a utility reads: the user's, or the whole output for raw utilities."""
        return whole_output if utility.raw else self.select

    def find_layers(self, batch: Batch, utility: Utility) -> tuple[str, ...]:
        """Return the layers' names; run the model on the first image to resolve rules."""
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
        """Trace a question's batch at one layer.

        The trace allows what `methods` need. `replay=True` lets the head run again in any case, `twice=True` allows
        second derivatives in any case.
        """
        settings, select, removal = self.settings, self.select_for(question.utility), question.removal
        of_layer = removal.at(settings.model, layer) if isinstance(removal, ReferenceRemoval) else removal
        bases = [METHODS[name].basis for name in expand_methods(methods)] if methods else []
        return TracedBatch(
            settings,
            self.memory,
            question.batch,
            layer,
            select,
            of_layer,
            # A removal without a single removed state has no empty value in this pass: the head must run for it.
            replay=replay or not of_layer.is_fixed or any(basis.needs_replay for basis in bases),
            twice=twice or any(basis.needs_second_derivatives for basis in bases),
            needs_derivatives=not bases or any(basis.needs_derivatives for basis in bases),
        )

    def trace_only_layer(self, question: Question, methods: Sequence[str], *, replay: bool, twice: bool) -> TracedBatch:
        """Trace a question's batch at the only layer.

        Raises:
            OptionError: there are several layers.
        """
        if len(self.layers) > 1:
            raise OptionError(f"the explainer has {len(self.layers)} layers, and a game is played at one; give one")
        (layer,) = self.find_layers(question.batch, question.utility)
        return self.trace(layer, question, methods, replay=replay, twice=twice)
