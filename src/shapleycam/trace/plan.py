"""Learning, once for a model and a layer, what a replay of the head needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shapleycam.errors import ReplayError
from shapleycam.trace.calls import check_runs_once
from shapleycam.trace.guest import patched
from shapleycam.trace.nested import tensors_of
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
    check_runs_once(model, layer, image)
    alone = _Observer(model, layer, image)
    twice = _Observer(model, layer, image.repeat(2, *[1] * (image.dim() - 1)))
    steps = [_step(one, two) for one, two in zip(alone.calls, twice.calls, strict=True)]
    whole = Plan(tuple(steps), reads_images=True, writes_activation=alone.writes_activation)
    trial = _Trial(model, layer, image, whole)
    if not trial.gives_output(whole):
        raise ReplayError(_refusal(layer, steps))
    nothing = replace(whole, steps=tuple(replace(step, read=False) for step in steps), reads_images=False)
    if trial.gives_output(nothing):
        return nothing
    read = [not trial.gives_output(_without(whole, index)) for index in range(len(steps))]
    return Plan(
        tuple(replace(step, read=is_read) for step, is_read in zip(steps, read, strict=True)),
        reads_images=not trial.gives_output(replace(whole, reads_images=False)),
        writes_activation=whole.writes_activation,
    )


def same(found: Any, expected: Any) -> bool:
    """Whether two outputs agree, up to rounding of their precision."""
    pairs = zip(tensors_of(found), tensors_of(expected), strict=True)
    return all(_close(one, other) for one, other in pairs)


def _close(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
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
        self._model, self._layer = model, model.get_submodule(layer)
        self._image, self._whole = image, whole
        original = self._layer.forward

        def keep(*args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            self._activation = value.detach().clone()
            return value

        self._recorder = Recorder(whole, model)
        with patched({**self._recorder.forwards(), self._layer: keep}):
            self._output = model(image)

    def gives_output(self, plan: Plan) -> bool:
        """Whether the head gives the model's output when only what this plan reads is there."""
        pairs = zip(plan.steps, self._whole.steps, strict=True)
        kept = {step: keep(step, self._recorder.values[full]) for step, full in pairs}
        replay = Replay(self._model, self._layer, plan, kept, self._image)
        try:
            return same(replay(self._activation), self._output)
        except Exception:  # noqa: BLE001  # whatever a guest's code does with NaN, it has read it
            return False


@dataclass(eq=False)
class _Call:
    module: str
    number: int
    value: Any = None
    versions: list[int] = field(default_factory=list)
    writers: list[_Call] = field(default_factory=list)
    inner: list[_Call] = field(default_factory=list)
    written: bool = False

    def note_writes(self, writer: _Call) -> None:
        """Remember `writer` if the value has changed in place since the last look."""
        versions = [tensor._version for tensor in tensors_of(self.value)]  # noqa: SLF001  # autograd's own counter
        if versions != self.versions:
            self.versions = versions
            self.writers.append(writer)


class _Observer:
    """One pass with every module watched: which outermost calls finish before the layer, and who overwrites them."""

    def __init__(self, model: nn.Module, layer: str, images: Tensor) -> None:
        self._layer = layer
        self._numbers: Counter[str] = Counter()
        self._stack = [_Call("", 0)]
        self._open: list[_Call] | None = None  # the calls around the layer's, once it has finished
        self.calls: list[_Call] = []
        self.writes_activation = False
        with patched({m: self._watching(name, m.forward) for name, m in model.named_modules() if name}):
            model(images)
        self._finish()

    def _watching(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._open is not None:
                return original(*args, **kwargs)
            self._note_writes(self._stack[-1])
            call = _Call(name, self._numbers[name])
            self._numbers[name] += 1
            self._stack.append(call)
            value = original(*args, **kwargs)
            if self._open is None:
                self._note_writes(call)
                self._stack.pop()
                self._done(call, value)
            return value

        return forward

    def _done(self, call: _Call, value: Any) -> None:
        call.value, call.inner = value, []
        call.versions = [tensor._version for tensor in tensors_of(value)]  # noqa: SLF001
        if call.module == self._layer:
            self._open, self._activation = list(self._stack), call
        else:
            self._stack[-1].inner.append(call)

    def _note_writes(self, writer: _Call) -> None:
        for around in self._stack:
            for call in around.inner:
                call.note_writes(writer)

    def _finish(self) -> None:
        """What has changed since the layer was written by code that also runs on replay."""
        around = self._open or []
        head = _Call("", -1)
        self.calls = [call for frame in around for call in frame.inner]
        for call in self.calls:
            call.note_writes(head)
            call.written = any(writer in (head, *around) for writer in call.writers)
        self._activation.note_writes(head)
        self.writes_activation = bool(self._activation.writers)
