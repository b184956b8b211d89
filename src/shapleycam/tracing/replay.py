"""Run only the head of a layer again, for any batch of activations.

Modules that finished before the layer return their recorded outputs, expanded to the new batch by views. The code
between these modules, and the whole head, runs normally. Outputs that no code reads during a replay are not stored.
They are replaced by NaN of the same shape, in the memory of one number, so that a wrong plan shows in the output
(docs/decisions.md, "What a replay keeps is learned once, without stand-ins in anybody's code").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.tracing.calls import rerun_layer_error
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import layer_module
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import run_context
from shapleycam.tracing.nested import map_tensors
from shapleycam.tracing.plan import BatchGrowth, Plan, Step
from shapleycam.tracing.reduced_precision import Precision, ReducedPass
from shapleycam.tracing.running import run


class Recorder:
    """Records the outputs of a plan's steps in one pass; the pass must run with its `interceptors` installed."""

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        self.values: dict[Step, Any] = {}
        steps: dict[str, dict[int, Step]] = defaultdict(dict)
        for step in plan.steps:
            steps[step.module][step.call] = step
        self.interceptors: dict[nn.Module, Interceptor] = {
            model.get_submodule(name): _recording_interceptor(calls, self.values) for name, calls in steps.items()
        }


def _recording_interceptor(steps: Mapping[int, Step], values: dict[Step, Any]) -> Interceptor:
    """Return the interceptor of a module that stores the outputs of the module's calls in `values`.

    It has no reference to the recorder: that would be a reference cycle, and the recorded tensors would stay in a GPU's
    memory until Python's garbage collector runs.
    """
    call_numbers = count()

    def record(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        step = steps.get(next(call_numbers))
        value = original(*args, **kwargs)
        if step is not None:
            values[step] = _recorded(step, value)
        return value

    return record


class Replay:
    """The head of one recorded pass: `replay(activation)` is the model's output for this activation.

    Args:
        model: the private copy on which the pass ran.
        layer: the layer's dotted name.
        plan: which modules return recorded outputs.
        values: the outputs that a `Recorder` recorded.
        images: the images of the pass.
        extra: the further inputs of the pass.
        precision: the precision of the layers before the explained one.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        plan: Plan,
        values: Mapping[Step, Any],
        images: Tensor,
        extra: ExtraInputs,
        precision: Precision = "full",
    ) -> None:
        self._model, self._name, self._plan = model, layer, plan
        self._modules = {step.module: model.get_submodule(step.module) for step in plan.steps}
        self._layer = layer_module(model, layer)
        self._values = values
        self._images = images if plan.reads_images else _placeholder(images)
        self.extra, self.layer_output = extra, plan.layer_output
        self._batch = len(images)
        self._reduced = None if precision == "full" else ReducedPass(images.device)

    @property
    def reads_activation_alone(self) -> bool:
        """Return whether the head reads only the activation: no other tensor of the images, and no further inputs."""
        plan, has_extra = self._plan, bool(self.extra.positional or self.extra.keywords)
        return not (has_extra or plan.reads_images or any(step.is_read for step in plan.steps))

    @restore_when_interrupted
    def __call__(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """Return the output for each row's activation; `samples` are the indices of the rows' images.

        Without `samples` there is one row for each image, or any number of rows for a single image.

        Raises:
            ModelError: the model raises for these rows.
            LayerError: the layer runs several times for them.
        """
        rows = len(activation)
        stretch = _BatchStretch(self._batch, rows, samples)
        images = stretch(self._images, BatchGrowth())
        purpose = f"when what comes after layer {self._name!r} was run on {rows} activations"
        in_precision = nullcontext() if self._reduced is None else self._reduced.running()
        with run_context(self._model), in_precision, ExitStack() as head_contexts:
            if activation.requires_grad:
                head_contexts.enter_context(Differentiation(twice=False))
            interceptors = self._interceptors(activation, stretch)
            with intercept_calls(interceptors, self._layer), torch.set_grad_enabled(activation.requires_grad):
                is_unread = _is_placeholder(images)  # if so, the model needs no copy of the images
                return run(self._model, images, self.extra.rows(stretch.samples_of_rows), purpose, own_images=is_unread)

    def _interceptors(self, activation: Tensor, stretch: _BatchStretch) -> dict[nn.Module, Interceptor]:
        values: dict[str, list[Callable[[], Any]]] = defaultdict(list)
        for step in self._plan.steps:
            values[step.module].append(partial(self._stretched_value, step, stretch))
        interceptors = {self._modules[name]: _return_in_turn(iter(calls)) for name, calls in values.items()}
        interceptors[self._layer] = self._return_activation(activation)
        return interceptors

    def _return_activation(self, activation: Tensor) -> Interceptor:
        """Return the interceptor of the layer, which returns the given activation.

        It refuses a second run of the layer, which would also get the activation of all rows, for example if the model
        loops over its images.
        """
        runs = count(1)

        def replace(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            del original, args, kwargs
            run_number = next(runs)
            if run_number > 1:
                raise rerun_layer_error(self._name, run_number, len(activation))
            torch.set_grad_enabled(mode=activation.requires_grad)  # as in the traced pass
            if self._reduced is not None:
                self._reduced.begin_head(activation)
            value = activation.clone() if self._plan.writes_activation else activation
            return self.layer_output.fill(value, self._layer)

        return replace

    def _stretched_value(self, step: Step, stretch: _BatchStretch) -> Any:
        growths = iter(step.growths)

        def stretch_tensor(tensor: Tensor) -> Tensor:
            stretched = stretch(tensor, next(growths))
            return stretched.clone() if step.is_written else stretched

        return map_tensors(stretch_tensor, self._values[step])


def _return_in_turn(values: Iterator[Callable[[], Any]]) -> Interceptor:
    """Return an interceptor that returns the recorded values in turn, and then runs the module normally."""

    def replay(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for value in values:
            return value()
        return original(*args, **kwargs)

    return replay


@dataclass(frozen=True)
class _BatchStretch:
    """Expands tensors that were recorded for a batch of images to another number of rows, by views where possible."""

    batch: int
    rows: int
    samples: Tensor | None

    @property
    def samples_of_rows(self) -> Tensor:
        """Return the index of each row's image."""
        if self.samples is not None:
            return self.samples
        return (
            torch.arange(self.rows, device="cpu")
            if self.batch > 1
            else torch.zeros(self.rows, dtype=torch.long, device="cpu")
        )

    def __call__(self, tensor: Tensor, growth: BatchGrowth | None) -> Tensor:
        """Return the tensor with one entry for each row instead of one for each image."""
        if growth is None or (self.samples is None and self.rows == self.batch):
            return tensor
        per_image = tensor.shape[growth.dim] // self.batch
        sizes = (self.batch, per_image) if growth.image_major else (per_image, self.batch)
        image_dim = growth.dim if growth.image_major else growth.dim + 1
        by_image: Tensor = tensor.unflatten(growth.dim, sizes)
        if _is_placeholder(tensor) or self.batch == 1:
            shape = list(by_image.shape)
            shape[image_dim] = self.rows
            by_image = by_image.narrow(image_dim, 0, 1).expand(shape)
        elif self.samples is not None:
            by_image = by_image.index_select(image_dim, self.samples.to(by_image.device))
        return by_image.flatten(growth.dim, growth.dim + 1)


def _recorded(step: Step, value: Any) -> Any:
    """Return what is stored of a module's output: the tensors, copies if they are written into, or only the shapes."""

    def record(tensor: Tensor) -> Tensor:
        if not step.is_read and tensor.is_floating_point():
            return _placeholder(tensor)
        return tensor.detach().clone() if step.is_written else tensor.detach()

    return map_tensors(record, value)


def _placeholder(tensor: Tensor) -> Tensor:
    """Return a tensor of NaN with the tensor's shape, in the memory of one number."""
    return tensor.new_full((), torch.nan).expand(tensor.shape)


def _is_placeholder(tensor: Tensor) -> bool:
    return tensor.dim() > 0 and not any(tensor.stride())
