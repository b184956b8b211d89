"""Test a plan: compare replays of two images, with more rows than images, with runs of the whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError, ReplayError
from shapleycam.tracing.agreement import outputs_equal, row_agrees, rows_agree
from shapleycam.tracing.calls import rerun_layer_error
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import layer_module
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import run_context
from shapleycam.tracing.layer_output import activation_in
from shapleycam.tracing.plan import Plan, Step
from shapleycam.tracing.random_numbers import reseed
from shapleycam.tracing.replay import Recorder, Replay
from shapleycam.tracing.reproducible import FACTORS
from shapleycam.tracing.running import METHODS_WITHOUT_REPLAY, run


class PlanTrial:
    """Tests a plan with three rows of scaled activations: of the second, the first and the second of two images."""

    def __init__(self, model: nn.Module, layer: str, pair: Tensor, extra: ExtraInputs, plan: Plan) -> None:
        self._model, self._layer, self._pair, self._extra = model, layer, pair, extra
        self._plan = plan
        self._samples = torch.tensor([1, 0, 1], device=pair.device)
        activation, self._values = self._record(plan)
        scales = torch.tensor([0.5, 1.0, 0.75], device="cpu").to(activation)
        rows = activation[self._samples]
        self._rows = rows * scales.reshape(-1, *[1] * (rows.dim() - 1))

    def checked_plan(self) -> Plan:
        """Return the plan if it gives the output of the whole model, else a plan that runs the whole model again.

        The returned plan also checks that a row has the same output alone and in a batch. The modules that it does not
        run again cannot mix the rows of coalitions, and the whole model would take many times as long.

        Raises:
            ModelError: the head draws at random.
            ReplayError: the head mixes the rows of a batch.
        """
        # The plan runs first: a run of the whole model stores the right features of these rows in the model's hooks,
        # and would hide that the plan does not.
        by_plan = self._output_by_plan()
        chosen = Plan.without_steps(self._plan.layer_output)
        replay = self._replay(chosen, {})
        expected = replay(self._rows, self._samples)
        if by_plan is not None and outputs_equal(by_plan, expected):
            chosen, replay = self._plan, self._replay(self._plan, self._values)
        if not (self._is_same_alone(replay, expected) and self._is_same_beside_others(replay)):
            self._refuse(replay, expected)
        return chosen

    def _output_by_plan(self) -> Any:
        """Return the head's output by the plan; None if the plan fails for these rows."""
        try:
            return self._replay(self._plan, self._values)(self._rows, self._samples)
        except ModelError:  # features bypassed the layer in a way that the plan does not cover
            return None

    def _is_same_alone(self, replay: Replay, together: Any) -> bool:
        """Return whether each row has the same output alone as in the batch."""
        with run_context(self._model), reseed(1):
            alone = [replay(self._rows[row : row + 1], self._samples[row : row + 1]) for row in range(3)]
        return all(row_agrees(together, row, 3, output) for row, output in enumerate(alone))

    def _is_same_beside_others(self, replay: Replay) -> bool:
        """Return whether an image has the same output alone as between two rows with other contents, and these too.

        A condition on the whole batch, such as `if x.min() < 0`, or on its first row, `if x[0].mean() > 0`, has the
        same result for scaled rows as for the image. It may have another for a row of zeros, the negative row or a
        larger one. Rows that the head cannot run on are skipped.
        """
        row, sample = self._rows[1:2], self._samples[1:2]
        for factor in FACTORS:
            rows = torch.cat([factor * row, row, factor * row])
            try:
                with run_context(self._model), reseed(1):
                    together = replay(rows, sample.expand(3))
                    other, itself = (replay(rows[index : index + 1], sample) for index in range(2))
            except ModelError:
                continue
            if not rows_agree(together, [other, itself, other]):
                return False
        return True

    def _refuse(self, replay: Replay, expected: Any) -> NoReturn:
        """Raise the error that says why a row has another output alone than in a batch: random draws, or other rows.

        The value of a coalition would depend on the rows that run beside it (docs/decisions.md, "No game where rows
        influence each other").

        Raises:
            ModelError: the head draws at random.
            ReplayError: the head mixes the rows of a batch.
        """
        with run_context(self._model), reseed(2):
            repeated = replay(self._rows, self._samples)
        layer = f"layer {self._layer!r}"
        if not outputs_equal(repeated, expected):
            raise ModelError(
                f"{layer}: what comes after it draws at random in eval mode, so that each run explains another draw; "
                "make it deterministic (dropout only while self.training, a fixed generator)"
            )
        raise ReplayError(
            f"{layer}: the rows of a batch influence each other in what comes after it (batch statistics, dynamic "
            "quantisation), so that a coalition has no value of its own and there is no game; use a layer behind "
            f"that, or {METHODS_WITHOUT_REPLAY} on one image at a time"
        )

    def _replay(self, plan: Plan, values: Mapping[Step, Any]) -> Replay:
        return Replay(self._model, self._layer, plan, values, self._pair, self._extra)

    def _record(self, plan: Plan) -> tuple[Tensor, Mapping[Step, Any]]:
        """Run the model, and return the layer's activation and the values that the plan records."""
        activations: list[Tensor] = []

        def keep_activation(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activations.append(activation_in(value, self._layer).detach().clone())
            return value

        recorder = Recorder(plan, self._model)
        layer = layer_module(self._model, self._layer)
        interceptors: dict[nn.Module, Interceptor] = {**recorder.interceptors, layer: keep_activation}
        with run_context(self._model), intercept_calls(interceptors, layer):
            run(self._model, self._pair, self._extra)
        if len(activations) != 1:
            raise rerun_layer_error(self._layer, len(activations), len(self._pair))
        return activations[0], recorder.values
