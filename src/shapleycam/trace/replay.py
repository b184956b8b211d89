"""Running again only what comes after a layer, for any batch of activations.

The modules that finished before the layer return what they returned in the recorded pass, stretched to the new
batch by views; the code between them and all that follows the layer runs for real. What the head does not read is
not kept: NaN of the right shape and no size stands in for it, so that a wrong plan shows in the output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.trace.guest import Parts, borrowed, patched
from shapleycam.trace.nested import map_tensors


@dataclass(frozen=True)
class Step:
    """One call of a module that finished before the layer, inside no other such call.

    `call` is its number among the module's calls of a full pass; `batched` says of each tensor that it returns
    whether its first dimension grows with the batch; `read`, whether the head reads it; `written`, whether code
    that runs on replay writes into it in place.
    """

    module: str
    call: int
    batched: tuple[bool, ...]
    read: bool
    written: bool


@dataclass(frozen=True)
class Plan:
    """What must be kept of a pass so that the head of one layer can run again.

    `form(activation)` is what the layer returns: the activation itself, or a tuple with nothing else in it.
    """

    steps: tuple[Step, ...]
    reads_images: bool
    writes_activation: bool
    form: Callable[[Tensor], Any]


class Recorder:
    """Keeps the values that a plan asks for while the model runs."""

    def __init__(self, plan: Plan, model: nn.Module) -> None:
        self.values: dict[Step, Any] = {}
        self._modules = dict(model.named_modules())
        self._steps: dict[str, dict[int, Step]] = defaultdict(dict)
        for step in plan.steps:
            self._steps[step.module][step.call] = step

    def forwards(self) -> dict[nn.Module, Callable[..., Any]]:
        """What to run in place of the modules' own forwards."""
        return {
            self._modules[name]: self._recording(self._modules[name].forward, steps)
            for name, steps in self._steps.items()
        }

    def _recording(self, original: Callable[..., Any], steps: Mapping[int, Step]) -> Callable[..., Any]:
        calls = count()

        def forward(*args: Any, **kwargs: Any) -> Any:
            step = steps.get(next(calls))
            value = original(*args, **kwargs)
            if step is not None:
                self.values[step] = keep(step, value)
            return value

        return forward


class Replay:
    """The head of one recorded pass: `replay(activation)` is the model's output for that activation.

    `parts` are the model's as its owner has it, found before it was borrowed.
    """

    def __init__(
        self, model: nn.Module, layer: nn.Module, plan: Plan, values: Mapping[Step, Any], images: Tensor, parts: Parts
    ) -> None:
        self._model, self._layer, self._plan, self._parts = model, layer, plan, parts
        self._modules = {step.module: model.get_submodule(step.module) for step in plan.steps}
        self._values = values
        self._images = images if plan.reads_images else _blank(images)
        self._batch = len(images)

    def __call__(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """The output for each row's activation; `samples` says which image of the pass a row belongs to.

        Without `samples` there is one row for each image, or any number of rows for a single image.
        """
        rows = len(activation)
        stretch = _Stretch(self._batch, rows, samples)
        with (
            borrowed(self._model, self._parts),
            torch.set_grad_enabled(activation.requires_grad),
            patched(self._forwards(activation, stretch)),
        ):
            return self._model(stretch(self._images, batched=True))

    def _forwards(self, activation: Tensor, stretch: _Stretch) -> dict[nn.Module, Callable[..., Any]]:
        returned: dict[str, list[Callable[[], Any]]] = defaultdict(list)
        for step in self._plan.steps:
            returned[step.module].append(partial(self._again, step, stretch))
        forwards = {
            self._modules[name]: _first_these(iter(values), self._modules[name].forward)
            for name, values in returned.items()
        }
        writes = self._plan.writes_activation
        form = self._plan.form
        forwards[self._layer] = lambda *_, **__: form(activation.clone() if writes else activation)
        return forwards

    def _again(self, step: Step, stretch: _Stretch) -> Any:
        batched = iter(step.batched)

        def again(tensor: Tensor) -> Tensor:
            stretched = stretch(tensor, batched=next(batched))
            return stretched.clone() if step.written else stretched

        return map_tensors(again, self._values[step])


def _first_these(values: Iterator[Callable[[], Any]], then: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that returns the recorded values in turn, and runs for real when they are used up."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        for value in values:
            return value()
        return then(*args, **kwargs)

    return forward


@dataclass(frozen=True)
class _Stretch:
    """Fits what was recorded for a batch of images to another number of rows, by views where possible."""

    batch: int
    rows: int
    samples: Tensor | None

    def __call__(self, tensor: Tensor, *, batched: bool) -> Tensor:
        if not batched:
            return tensor
        each: Tensor = tensor.unflatten(0, (self.batch, tensor.shape[0] // self.batch))
        if _is_blank(tensor) or self.batch == 1:
            each = each[:1].expand(self.rows, *each.shape[1:])
        elif self.samples is not None:
            each = each[self.samples]
        return each.flatten(0, 1)


def keep(step: Step, value: Any) -> Any:
    """What of a module's output is kept: all of it, a copy if it will be overwritten, or only its shape."""

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
