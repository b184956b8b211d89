"""The output of one traced pass, as different utilities read it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import ModelError
from shapleycam.explaining import warnings
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings
from shapleycam.models.outputs import check_rows
from shapleycam.tracing import Trace
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.running import run
from shapleycam.tracing.score_conversion import OutputKind
from shapleycam.tracing.selected_output import UtilityInput
from shapleycam.utilities import Utility
from shapleycam.utilities.checks import check_scores
from shapleycam.utilities.utility import logits_or_none


class OutputReadings:
    """The output of a traced pass as class scores, as numbers and unchanged; each reading is computed once."""

    def __init__(
        self, traced: Trace, batch: Batch, select: OutputSelector, settings: ExplainerSettings, memory: ExplainerMemory
    ) -> None:
        self._traced, self._batch, self._select = traced, batch, select
        self._settings, self._memory = settings, memory
        self._readings: dict[UtilityInput, Trace] = {}

    def read(self, utility_input: UtilityInput) -> Trace:
        """Return the pass with its output as class scores, as numbers or unchanged.

        Raises:
            ModelError: the output does not have one row for each image.
        """
        if utility_input not in self._readings:
            self._readings[utility_input] = self._traced.read_as(utility_input)
            if utility_input != "output":
                self._check_rows_are_images()
        return self._readings[utility_input]

    def read_for(self, utility: Utility) -> Trace:
        """Return the pass as a utility reads it; warn once of what the user should know about the output.

        Raises:
            OptionError: the utility is not defined for this output.
        """
        traced = self.read(utility.reads)
        if traced.score_conversion is not None:
            check_scores(utility, traced.score_conversion)
            warnings.warn_about_scores(utility, traced, self._settings.labels, self._memory.messages)
        return traced

    def scores(self, utility: Utility) -> Float[Tensor, "b classes"] | None:
        """Return the scores of the utility's classes, or None; a user's function may have classes too."""
        labels = self._settings.labels
        if utility.scores is not logits_or_none or utility.raw:
            return utility.scores(self.read(utility.reads).output, labels)
        try:
            return utility.scores(self.read("scores").output, labels)
        except ModelError:  # an output without class scores; the user's function reads it in its own way
            return None

    def form_and_remark(self, utility: Utility) -> tuple[OutputKind | None, str | None]:
        """Return the kind of the model's own output, and a remark on it; each may be None."""
        try:
            scores = self.read("scores").score_conversion
        except ModelError:
            scores = None
        if scores is None:
            return None, None
        return scores.output_kind, scores.remark if utility.reads == "scores" else None

    def _check_rows_are_images(self) -> None:
        """Refuse an output whose rows are classes, in a batch with as many images as classes.

        If every dimension of the output is as long as the batch, each of them may be the axis of the images. Then only
        the output for a single image shows which one it is.

        Raises:
            ModelError: the output for a single image does not have the shape of one row.
        """
        shape, images = tuple(getattr(self._traced.output, "shape", ())), self._batch.images
        if len(images) == 1 or set(shape) != {len(images)} or self._memory.has_checked_rows(shape, self._select):
            return
        with isolated_copy(self._settings.model) as model:
            single = check_rows(self._select(run(model, images[:1], self._batch.first.extra)), 1)
        if single.numel() * len(images) != self._traced.output.numel():
            raise ModelError(
                f"the model returns shape {shape} for {len(images)} images and {tuple(single.shape)} for one alone; "
                "expected one row for each: mend the model, or make such rows of what it returns by output=, a function"
            )
        self._memory.remember_rows(shape, self._select)
