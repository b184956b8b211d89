"""Learning, once for a model and a layer, what a replay of the head needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shapleycam.errors import ReplayError
from shapleycam.trace.calls import activation_in, calls_around
from shapleycam.trace.guest import parts_of, patched, run
from shapleycam.trace.nested import alike, map_tensors, numbers_of, tensors_of, version_of
from shapleycam.trace.replay import Plan, Recorder, Replay, Step, keep

_plans: WeakKeyDictionary[nn.Module, dict[tuple[str, torch.Size], Plan]] = WeakKeyDictionary()


def plan_for(model: nn.Module, layer: str, images: Tensor) -> Plan:
    """The plan for images of this size, learned at the first call (from the first image of the batch).

    Raises:
        LayerError: the layer does not run exactly once.
        ReplayError: the head cannot be run on its own.
    """
    plans = _plans.setdefault(model, {})
    key = (layer, images.shape[1:])
    if key not in plans:
        plans[key] = learn(model, layer, images[:1])
    return plans[key]


def forget(model: nn.Module) -> None:
    """Learn this model's plans anew at their next use."""
    _plans.pop(model, None)


def learn(model: nn.Module, layer: str, image: Tensor) -> Plan:
    """The plan for one layer, from passes over one image, alone and twice in a batch."""
    alone, twice = _observed(model, layer, image)
    steps = [_step(one, two) for one, two in zip(alone.calls, twice.calls, strict=True)]
    whole = Plan(tuple(steps), True, alone.writes_activation, alone.form)
    trial = _Trial(model, layer, image, whole)
    if not trial.gives_output(whole):
        raise ReplayError(_refusal(layer, steps))
    nothing = replace(whole, steps=tuple(replace(step, read=False) for step in steps), reads_images=False)
    if trial.gives_output(nothing):
        return nothing
    read = [not trial.gives_output(_without(whole, index)) for index in range(len(steps))]
    return replace(
        whole,
        steps=tuple(replace(step, read=is_read) for step, is_read in zip(steps, read, strict=True)),
        reads_images=not trial.gives_output(replace(whole, reads_images=False)),
    )


def same(found: Any, expected: Any) -> bool:
    """Whether two outputs agree, up to rounding of their precision."""
    if not isinstance(found, type(expected)):
        return False
    ours, theirs = tensors_of(found), tensors_of(expected)
    return len(ours) == len(theirs) and all(map(_close, ours, theirs))


def _observed(model: nn.Module, layer: str, image: Tensor) -> tuple[_Observer, _Observer]:
    """The calls for one image alone and twice. Those that return an object which cannot be stretched to another number
    of rows (torchvision's ImageList) run for real, as do those around the layer.
    """
    around = calls_around(model, layer, image)
    while True:
        alone = _Observer(model, layer, image, around)
        twice = _Observer(model, layer, image.repeat(2, *[1] * (image.dim() - 1)), around)
        names = [[(call.module, call.number) for call in seen.calls] for seen in (alone, twice)]
        if names[0] != names[1]:
            raise ReplayError(
                f"layer {layer!r}: other modules run before it for two images than for one, so that what comes after "
                "it cannot be run on its own; choose a method without a path (gradcam, shapleycam), or another layer"
            )
        strange = {
            call for call, one, two in zip(names[0], alone.calls, twice.calls, strict=True)
            if not alike(one.value, two.value)
        }  # fmt: skip
        if not strange:
            return alone, twice
        around = around | strange


def _close(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    if not expected.numel() or not expected.is_floating_point():
        return torch.equal(found, expected)
    tolerance = expected.abs().max() * 100 * torch.finfo(expected.dtype).eps
    return bool(((found - expected).abs() <= tolerance).all())


def _refusal(layer: str, steps: list[Step]) -> str:
    written = [step.module for step in steps if step.written]
    reason = f"the model writes in place into the output of {written[0]}" if written else "it is not deterministic"
    return (
        f"layer {layer!r}: what comes after it, run on its own, does not give the model's output (perhaps {reason}); "
        "choose the block around this layer (shapleycam layers MODEL), or a method without a path"
    )


def _step(one: _Call, two: _Call) -> Step:
    shapes = zip(tensors_of(one.value), tensors_of(two.value), strict=True)
    batched = tuple(_grows(a, b, one.module) for a, b in shapes)
    return Step(one.module, one.number, batched, read=True, written=one.written or two.written)


def _grows(alone: Tensor, twice: Tensor, module: str) -> bool:
    if alone.shape == twice.shape:
        return False
    if alone.dim() and (2 * alone.shape[0], *alone.shape[1:]) == tuple(twice.shape):
        return True
    shapes = f"{tuple(alone.shape)} for one image and {tuple(twice.shape)} for two"
    raise ReplayError(f"module {module!r} returns {shapes}; expected the batch in the first dimension")


def _without(plan: Plan, index: int) -> Plan:
    steps = list(plan.steps)
    steps[index] = replace(steps[index], read=False)
    return replace(plan, steps=tuple(steps))


class _Trial:
    """Replays of one recorded pass under several plans."""

    def __init__(self, model: nn.Module, layer: str, image: Tensor, whole: Plan) -> None:
        self._model, self._layer, self._parts = model, model.get_submodule(layer), parts_of(model)
        self._image, self._whole = image, whole
        original = self._layer.forward

        def keep(*args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            self._activation = activation_in(value, layer).detach().clone()
            return value

        self._recorder = Recorder(whole, model)
        with patched({**self._recorder.forwards(), self._layer: keep}):
            self._output = run(model, image)

    def gives_output(self, plan: Plan) -> bool:
        """Whether the head gives the model's output, and a finite gradient, when only what this plan reads is there.

        The gradient may read more: behind a norm of rows that the output ignores, NaN times 0 is NaN.
        """
        pairs = zip(plan.steps, self._whole.steps, strict=True)
        kept = {step: keep(step, self._recorder.values[full]) for step, full in pairs}
        replay = Replay(self._model, self._layer, plan, kept, self._image, self._parts)
        try:
            with torch.enable_grad():
                leaf = self._activation.clone().requires_grad_()
                output = replay(leaf)
                return same(output, self._output) and _is_finite(_gradient(output, leaf))
        except Exception:  # noqa: BLE001  # whatever a guest's code does with NaN, it has read it
            return False


def _gradient(output: Any, leaf: Tensor) -> Tensor:
    """Of the sum of all numbers in an output; zeros where none depends on the leaf."""
    numbers = [tensor.sum() for tensor in numbers_of(output) if tensor.requires_grad]
    if not numbers:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(torch.stack(numbers).sum(), leaf, materialize_grads=True)
    return gradient


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


@dataclass
class _Call:
    module: str
    number: int
    value: Any
    written: bool = False

    def __post_init__(self) -> None:
        self.versions = self._versions()

    def sync(self, *, real: bool) -> None:
        """Note whether the value was changed in place since the last look, by code that also runs on replay."""
        versions = self._versions()
        self.written |= real and versions != self.versions
        self.versions = versions

    def _versions(self) -> list[int]:
        return [version_of(tensor) for tensor in tensors_of(self.value)]


class _Observer:
    """One pass with every module watched: the outermost calls that finish before the layer, and who overwrites them.

    `around` are the calls that the layer's own call is inside of: their code runs on replay.
    """

    def __init__(self, model: nn.Module, layer: str, images: Tensor, around: frozenset[tuple[str, int]]) -> None:
        self.calls: list[_Call] = []
        self._activation: _Call | None = None
        self._layer, self._around = model.get_submodule(layer), around
        self._numbers: Counter[str] = Counter()
        self._inside = False
        with patched({module: self._watching(name, module) for name, module in model.named_modules() if name}):
            run(model, images)
        self._sync(real=True)

    @property
    def form(self) -> Callable[[Tensor], Any]:
        """From an activation to what the layer returns."""
        empty = map_tensors(lambda tensor: tensor.new_empty(0), self._activation.value if self._activation else None)
        return lambda activation: map_tensors(lambda _: activation, empty)

    @property
    def writes_activation(self) -> bool:
        """Whether what follows the layer writes into its output in place."""
        return self._activation is not None and self._activation.written

    def _watching(self, name: str, module: nn.Module) -> Callable[..., Any]:
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            number = self._numbers[name]
            self._numbers[name] += 1
            if self._inside or self._activation is not None or (name, number) in self._around:
                return original(*args, **kwargs)
            self._sync(real=True)
            self._inside = True
            value = original(*args, **kwargs)
            self._inside = False
            self._sync(real=False)  # written by a call that replay skips: what is kept has it already
            call = _Call(name, number, value)
            if module is self._layer:
                self._activation = call
            else:
                self.calls.append(call)
            return value

        return forward

    def _sync(self, *, real: bool) -> None:
        for call in (*self.calls, *([self._activation] if self._activation else [])):
            call.sync(real=real)
