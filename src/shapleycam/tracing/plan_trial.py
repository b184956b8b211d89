"""Tries plans out: replays of two images under a plan, with more rows than images, against the whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    """Replays of a pass over two images: three rows of scaled activations, of the second, first and second image."""

    def __init__(self, model: nn.Module, layer: str, pair: Tensor, extra: ExtraInputs) -> None:
        self._model, self._layer, self._pair, self._extra = model, layer, pair, extra
        self._samples = torch.tensor([1, 0, 1], device=pair.device)
        activation = self._record(None)[0]
        scales = torch.tensor([0.5, 1.0, 0.75], device="cpu").to(activation)
        rows = activation[self._samples]
        self._rows = rows * scales.reshape(-1, *[1] * (rows.dim() - 1))

    def check_rows(self, whole_model: Plan) -> None:
        """Refuse heads that give one row another output alone than in a batch; `whole_model` is a plan without steps.

        A coalition would be worth what happens to run beside it (docs/decisions.md, "No game where rows influence each
        other").

        Raises:
            ModelError: the head draws at random.
            ReplayError: it mixes the rows of a batch.
        """
        self._expected = self._head(whole_model, {})
        with run_context(self._model), reseed(1):
            alone = [self._head(whole_model, {}, slice(row, row + 1)) for row in range(3)]
        agree = all(row_agrees(self._expected, row, 3, output) for row, output in enumerate(alone))
        if agree and self._is_same_beside_others(whole_model):
            return
        with run_context(self._model), reseed(2):
            repeated = self._head(whole_model, {})
        layer = f"layer {self._layer!r}"
        if not outputs_equal(repeated, self._expected):
            raise ModelError(
                f"{layer}: what comes after it draws at random in eval mode, so that each run explains another draw; "
                "make it deterministic (dropout only while self.training, a fixed generator)"
            )
        raise ReplayError(
            f"{layer}: the rows of a batch influence each other in what comes after it (batch statistics, dynamic "
            "quantisation), so that a coalition has no value of its own and there is no game; use a layer behind "
            f"that, or {METHODS_WITHOUT_REPLAY} on one image at a time"
        )

    def _is_same_beside_others(self, whole_model: Plan) -> bool:
        """Return whether an image has the same output between two rows of another content as alone, and these too.

        A condition of the whole batch, such as `if x.min() < 0`, or of its first row, `if x[0].mean() > 0`, is of
        scaled rows as it is of the image; it is another of a row without content, of the negative or of a larger one.
        Heads that cannot be run on such rows are not tried on them.
        """
        row, sample = self._rows[1:2], self._samples[1:2]
        replay = Replay(self._model, self._layer, whole_model, {}, self._pair, self._extra)
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

    def agrees(self, plan: Plan) -> bool:
        """Return whether the head by this plan gives what the whole model gives; call `check_rows` first."""
        _, values = self._record(plan)
        try:
            return outputs_equal(self._head(plan, values), self._expected)
        except ModelError:  # rows that do not fit: features went around the layer unseen
            return False

    def _head(self, plan: Plan, values: Mapping[Step, Any], rows: slice = slice(None)) -> Any:
        replay = Replay(self._model, self._layer, plan, values, self._pair, self._extra)
        return replay(self._rows[rows], self._samples[rows])

    def _record(self, plan: Plan | None) -> tuple[Tensor, Mapping[Step, Any]]:
        """Run the model, and return the layer's activation and what the plan records."""
        activations: list[Tensor] = []

        def keep_activation(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activations.append(activation_in(value, self._layer).detach().clone())
            return value

        recorder = None if plan is None else Recorder(plan, self._model)
        interceptors: dict[nn.Module, Interceptor] = {} if recorder is None else dict(recorder.interceptors)
        layer = layer_module(self._model, self._layer)
        interceptors[layer] = keep_activation
        with run_context(self._model), intercept_calls(interceptors, layer):
            run(self._model, self._pair, self._extra)
        if len(activations) != 1:
            raise rerun_layer_error(self._layer, len(activations), len(self._pair))
        return activations[0], {} if recorder is None else recorder.values
