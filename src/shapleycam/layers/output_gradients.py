"""Run a model once, and compute the gradient of its output with respect to the outputs of its modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.graph import gradients, operation_without_derivative
from shapleycam.tracing.input_layer import INPUT
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.nested import float_tensors_of, is_empty, map_tensors, only_tensor
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.running import run
from shapleycam.tracing.scores import scores_if_any
from shapleycam.tracing.soundness import check_output, empty_output_error
from shapleycam.tracing.torch_internals import version_of

_NO_DERIVATIVE = "the output has no derivative by the images: something is quantised, detached or under no_grad"


@dataclass(frozen=True)
class ModuleOutput:
    """What a module returned, and the gradient of the model's score with respect to it.

    Attributes:
        name: the outermost module that returned this tensor.
        maker: the innermost module that returned it, which did so first.
        value: the tensor.
        gradient: the gradient of the model's score with respect to the tensor.
    """

    name: str
    maker: str
    value: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class OutputGradients:
    """The outputs of the modules that run once, in the order in which the modules finish.

    Attributes:
        outputs: these outputs.
        dense: whether the model's output is not one row of numbers for each image.
        obstacle: why outputs of other modules were left out; "" if none were.
        image: the image itself, as the output of the layer "input"; None if the score has no gradient with respect to
            it.
    """

    outputs: list[ModuleOutput]
    dense: bool
    obstacle: str
    image: ModuleOutput | None = None


def output_gradients(model: nn.Module, image: Tensor, select: OutputSelector, extra: ExtraInputs) -> OutputGradients:
    """Return the outputs of all modules that run once, with the gradients of the predicted class's score.

    Raises:
        ModelError: the output contains no numbers to explain, or they are not finite.
    """
    recorder, nonlinearities = _OutputRecorder(), NonlinearityRecorder()
    leaf = image.detach().clone().requires_grad_()
    with isolated_copy(model) as copied, torch.enable_grad(), Differentiation(twice=False):
        interceptors = {module: recorder.interceptor(name, module) for name, module in copied.named_modules() if name}
        with intercept_calls(interceptors), nonlinearities:
            output = select(run(copied, leaf, extra))
        tensors = float_tensors_of(output)
        if is_empty(output):
            raise empty_output_error(model)
        for tensor in tensors:
            check_output(tensor, model)
        scores = [scores_if_any(tensor, len(image), nonlinearities, leaf) for tensor in tensors]
        recorded, score = recorder.of_single_runs(), sum(_largest_score(tensor) for tensor in scores)
        dense = not isinstance(output, torch.Tensor) or output.dim() > 2
        if not isinstance(score, torch.Tensor) or not score.requires_grad:
            return OutputGradients([], dense, _NO_DERIVATIVE)
        if operation_without_derivative(score) is not None:
            return OutputGradients([], dense, _NO_DERIVATIVE)
        if not recorded:
            return OutputGradients([], dense, recorder.repeated_runs())
        image_gradient, *module_gradients = gradients(score, [leaf, *(output.value for output in recorded)])
    outputs = [
        ModuleOutput(output.name, output.maker, output.value.detach(), gradient)
        for output, gradient in zip(recorded, module_gradients, strict=True)
        if gradient is not None
    ]
    image_output = None if image_gradient is None else ModuleOutput(INPUT, INPUT, leaf.detach(), image_gradient)
    return OutputGradients(outputs, dense, recorder.repeated_runs(), image_output)


def _largest_score(scores: Tensor) -> Tensor:
    """Return the sum over images (and pixels) of the largest class score; for an output without classes, its sum."""
    return scores.amax(1).sum() if scores.dim() > 1 and scores.numel() else scores.sum()


@dataclass
class _RecordedOutput:
    """A tensor that a module returned.

    Attributes:
        name: the outermost module so far that returned it.
        maker: the module that returned it first.
        value: the tensor.
        replacement: the copy that the model got in its place. It is stored so that no other object gets its identity.
        version: how often the replacement had been written to.
    """

    name: str
    maker: str
    value: Tensor
    replacement: Tensor
    version: int


class _OutputRecorder:
    """Records what modules return, and gives the model copies, so that in-place writes do not change the records."""

    def __init__(self) -> None:
        self._run_counts: Counter[str] = Counter()
        self._by_identity: dict[int, _RecordedOutput] = {}  # by the id of the replacement, which is kept alive here

    def interceptor(self, name: str, module: nn.Module) -> Interceptor:
        """Return the interceptor that records what a module returns."""
        is_leaf = not any(module.children())

        def record(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            torch.set_grad_enabled(mode=True)  # a model may run its backbone under no_grad
            argument = args[0] if args and isinstance(args[0], torch.Tensor) else None
            version = None if argument is None else version_of(argument)
            value = original(*args, **kwargs)
            self._run_counts[name] += 1
            tensor = only_tensor(value)
            if tensor is None or not tensor.requires_grad or tensor.dim() < 3:
                return value
            is_written = argument is not None and version_of(argument) != version
            if is_leaf and argument is not None and not is_written and _has_same_numbers(tensor, argument):
                return value  # the module changes nothing: dropout, an identity, a pooling of one cell
            replacement = self._record(name, tensor)
            return map_tensors(lambda _: replacement, value)

        return record

    def of_single_runs(self) -> list[_RecordedOutput]:
        """Return each recorded tensor once, if its module ran once."""
        return [output for output in self._by_identity.values() if self._run_counts[output.name] == 1]

    def repeated_runs(self) -> str:
        """Return a description of the last layer that runs several times; "" if there is none."""
        names = [output.name for output in self._by_identity.values() if self._run_counts[output.name] > 1]
        return f"layer {names[-1]!r} runs {self._run_counts[names[-1]]} times in a forward pass" if names else ""

    def _record(self, name: str, value: Tensor) -> Tensor:
        """Record that a module returns a tensor, and return the tensor that the model gets in its place.

        A tensor that is recorded already is not copied again; a module around its maker becomes its `name`.
        """
        known = self._by_identity.get(id(value))
        if known is not None and version_of(value) == known.version:
            if known.maker.startswith(f"{name}."):
                known.name = name
            return value
        replacement = value.clone()
        output = _RecordedOutput(name, name, value, replacement, version_of(replacement))
        self._by_identity[id(replacement)] = output
        return replacement


def _has_same_numbers(first: Tensor, second: Tensor) -> bool:
    return first is second or (first.shape == second.shape and torch.equal(first, second))
