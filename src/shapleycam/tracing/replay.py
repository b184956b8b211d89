"""Running again only what comes after a layer, for any batch of activations.

The modules that finished before the layer return what they returned in the recorded pass, stretched to the new
batch by views; the code between them and all that follows the layer runs for real. What no code reads on replay is
not kept: NaN of the right shape and no size stands in for it, so that a wrong plan shows in the output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.tracing.calls import Form
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.isolation import Interceptor, intercepted, run, undisturbed
from shapleycam.tracing.nested import map_tensors


@dataclass(frozen=True)
class Growth:
    """Where the images are in a tensor that grows with the batch: along `dim`, outside (image by image) or inside of
    what else lies along it (position by position).
    """

    dim: int = 0
    outside: bool = True


@dataclass(frozen=True)
class Step:
    """One call of a module that finished before the layer, inside no other such call.

    `call` is its number among the module's calls of a full pass; `growths` says of each tensor that it returns
    how it grows with the batch (None: it does not); `read`, whether code that runs on replay reads it; `written`,
    whether such code writes into it in place.
    """

    module: str
    call: int
    growths: tuple[Growth | None, ...]
    read: bool
    written: bool


@dataclass(frozen=True)
class Plan:
    """What must be kept of a pass so that the head of one layer can run again.

    `form` is what the layer returns and keeps: the activation itself, or a tuple with nothing else in it. A plan
    without steps runs the whole model again, with the activation in the place of what the layer returns.
    """

    steps: tuple[Step, ...]
    reads_images: bool
    writes_activation: bool
    form: Form


class Recorder:
    """Keeps what the steps of a plan return in one pass; `functions` are to be intercepted in it."""

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        self.values: dict[Step, Any] = {}
        steps: dict[str, dict[int, Step]] = defaultdict(dict)
        for step in plan.steps:
            steps[step.module][step.call] = step
        self.functions: dict[nn.Module, Interceptor] = {
            model.get_submodule(name): self._recording(calls) for name, calls in steps.items()
        }

    def _recording(self, steps: Mapping[int, Step]) -> Interceptor:
        numbers = count()

        def record(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            step = steps.get(next(numbers))
            value = original(*args, **kwargs)
            if step is not None:
                self.values[step] = keep(step, value)
            return value

        return record


class Replay:
    """The head of one recorded pass: `replay(activation)` is the model's output for that activation.

    `model` is the private copy that the pass ran on, `images` and `extra` its inputs.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        plan: Plan,
        values: Mapping[Step, Any],
        images: Tensor,
        extra: ExtraInputs,
    ) -> None:
        self._model, self._name, self._plan = model, layer, plan
        self._modules = {step.module: model.get_submodule(step.module) for step in plan.steps}
        self._layer = model.get_submodule(layer)
        self._values = values
        self._images = images if plan.reads_images else _blank(images)
        self.extra, self.form = extra, plan.form
        self._batch = len(images)

    def __call__(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """The output for each row's activation; `samples` says which image of the pass a row belongs to.

        Without `samples` there is one row for each image, or any number of rows for a single image.

        Raises:
            ModelError: the model raises for these rows.
        """
        rows = len(activation)
        stretch = _Stretch(self._batch, rows, samples)
        images = stretch(self._images, Growth())
        purpose = f"when what comes after layer {self._name!r} was run on {rows} activations"
        with undisturbed(self._model), ExitStack() as rest:
            if activation.requires_grad:
                rest.enter_context(Differentiation(twice=False))
            functions = self._functions(activation, stretch)
            with intercepted(functions, self._layer), torch.set_grad_enabled(activation.requires_grad):
                own_images = _is_blank(images)  # nothing reads them
                return run(self._model, images, self.extra.rows(stretch.owners), purpose, own_images=own_images)

    def _functions(self, activation: Tensor, stretch: _Stretch) -> dict[nn.Module, Interceptor]:
        returned: dict[str, list[Callable[[], Any]]] = defaultdict(list)
        for step in self._plan.steps:
            returned[step.module].append(partial(self._again, step, stretch))
        functions = {self._modules[name]: _first_these(iter(values)) for name, values in returned.items()}
        functions[self._layer] = self._replaced(activation)
        return functions

    def _replaced(self, activation: Tensor) -> Interceptor:
        """What the layer's call returns."""

        def replace(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            del original, args, kwargs
            torch.set_grad_enabled(mode=activation.requires_grad)  # as in the traced pass
            return self.form.put(activation.clone() if self._plan.writes_activation else activation, self._layer)

        return replace

    def _again(self, step: Step, stretch: _Stretch) -> Any:
        growths = iter(step.growths)

        def again(tensor: Tensor) -> Tensor:
            stretched = stretch(tensor, next(growths))
            return stretched.clone() if step.written else stretched

        return map_tensors(again, self._values[step])


def _first_these(values: Iterator[Callable[[], Any]]) -> Interceptor:
    """Return the recorded values in turn, and run the module for real when they are used up."""

    def replay(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for value in values:
            return value()
        return original(*args, **kwargs)

    return replay


@dataclass(frozen=True)
class _Stretch:
    """Fits what was recorded for a batch of images to another number of rows, by views where possible."""

    batch: int
    rows: int
    samples: Tensor | None

    @property
    def owners(self) -> Tensor:
        """Which image each row belongs to."""
        if self.samples is not None:
            return self.samples
        return torch.arange(self.rows) if self.batch > 1 else torch.zeros(self.rows, dtype=torch.long)

    def __call__(self, tensor: Tensor, growth: Growth | None) -> Tensor:
        if growth is None or (self.samples is None and self.rows == self.batch):
            return tensor
        others = tensor.shape[growth.dim] // self.batch
        sizes, place = ((self.batch, others), growth.dim) if growth.outside else ((others, self.batch), growth.dim + 1)
        each: Tensor = tensor.unflatten(growth.dim, sizes)
        if _is_blank(tensor) or self.batch == 1:
            shape = list(each.shape)
            shape[place] = self.rows
            each = each.narrow(place, 0, 1).expand(shape)
        elif self.samples is not None:
            each = each.index_select(place, self.samples.to(each.device))
        return each.flatten(growth.dim, growth.dim + 1)


def keep(step: Step, value: Any) -> Any:
    """Return what is kept of a module's output: all of it, a copy if it will be overwritten, or only its shape."""

    def kept(tensor: Tensor) -> Tensor:
        if not step.read and tensor.is_floating_point():
            return _blank(tensor)
        return tensor.detach().clone() if step.written else tensor.detach()

    return map_tensors(kept, value)


def _blank(tensor: Tensor) -> Tensor:
    """NaN of the tensor's shape, in the memory of one number."""
    return tensor.new_full((), torch.nan).expand(tensor.shape)


def _is_blank(tensor: Tensor) -> bool:
    return tensor.dim() > 0 and not any(tensor.stride())
