"""Learning, once for a model and a layer, what a replay of the head needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError, ReplayError
from shapleycam.tracing.calls import Form, activation_in, calls_around
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.isolation import Interceptor, intercepted, run, undisturbed
from shapleycam.tracing.nested import alike, tensors_of, version_of
from shapleycam.tracing.reads import Reads
from shapleycam.tracing.repeats import close, reseeded, row_of, same
from shapleycam.tracing.replay import Growth, Plan, Recorder, Replay, Step

_Key = tuple[str, torch.Size, str]
_plans: WeakKeyDictionary[nn.Module, dict[_Key, Plan]] = WeakKeyDictionary()


def plan_for(owner: nn.Module, copied: nn.Module, layer: str, images: Tensor, extra: ExtraInputs) -> Plan:
    """Return the plan for images of this size, learned at the first call from the first image of the batch.

    `owner` is the user's model, by which plans are kept; `copied` is the private copy of it that is run.

    Raises:
        LayerError: the layer does not run exactly once.
        ReplayError: the head cannot be run on its own, or not without writing into what is the user's.
    """
    plans = _plans.setdefault(owner, {})
    key = (layer, images.shape[1:], ",".join(extra.keywords))
    if key not in plans:
        plans[key] = learn(copied, layer, images[:1], extra.rows(torch.zeros(1, dtype=torch.long)))
    return plans[key]


def forget(owner: nn.Module) -> None:
    """Learn this model's plans anew at their next use."""
    _plans.pop(owner, None)


def learn(model: nn.Module, layer: str, image: Tensor, extra: ExtraInputs) -> Plan:
    """Return the plan for one layer, from passes over one image, alone and beside another.

    Where the modules before the layer cannot be replaced by what they returned (features go around the layer unseen,
    through a hook or an attribute), the plan runs the whole model again for each batch of activations.

    Raises:
        LayerError: the layer does not run exactly once.
        ReplayError: a pass writes into the user's parameters, the head draws at random, or the rows of a
            batch influence each other.
    """
    pair, extra_of_pair = torch.cat([image, _another(image)]), extra.rows(torch.zeros(2, dtype=torch.long))
    around, form = calls_around(model, layer, image, extra)
    whole = Plan((), reads_images=True, writes_activation=True, form=form)
    reads = Reads(model.parameters())
    try:
        plan = _lean(model, layer, (image, pair), (extra, extra_of_pair), around, form, reads)
    except _NotLeanError:
        plan = whole
    _check_untouched(reads, layer)
    trial = _Trial(model, layer, pair, extra_of_pair)
    trial.check_rows(whole)
    return plan if plan is whole or trial.agrees(plan) else whole


class _NotLeanError(Exception):
    """What the modules before the layer returned cannot stand in for them."""


def _lean(
    model: nn.Module,
    layer: str,
    images: tuple[Tensor, Tensor],
    extra: tuple[ExtraInputs, ExtraInputs],
    around: frozenset[tuple[str, int]],
    form: Form,
    reads: Reads,
) -> Plan:
    """A plan in which modules that finished before the layer do not run again.

    Calls that return an object which cannot be stretched to another number of rows (torchvision's ImageList) run for
    real, as do those around the layer.
    """
    while True:
        alone = _Observer(model, layer, images[0], extra[0], around)
        reads.read.clear()
        both = _Observer(model, layer, images[1], extra[1], around, reads)
        names = [[(call.module, call.number) for call in seen.calls] for seen in (alone, both)]
        if names[0] != names[1]:
            raise _NotLeanError
        strange = {
            name for name, one, two in zip(names[0], alone.calls, both.calls, strict=True)
            if not alike(one.value, two.value)
        }  # fmt: skip
        if not strange:
            break
        around = around | strange
    steps = tuple(
        _step(one, two, is_read=name in reads.read)
        for name, one, two in zip(names[0], alone.calls, both.calls, strict=True)
    )
    return Plan(steps, _IMAGES in reads.read, alone.writes_activation or both.writes_activation, form)


def _step(one: _Call, two: _Call, *, is_read: bool) -> Step:
    written = one.written or two.written
    pairs = zip(tensors_of(one.value), tensors_of(two.value), strict=True)
    return Step(one.module, one.number, tuple(_growth(a, b) for a, b in pairs), is_read or written, written)


def _growth(alone: Tensor, both: Tensor) -> Growth | None:
    """How a tensor grows from one image to two, read off the numbers of the first image."""
    if alone.shape == both.shape:
        if close(both, alone):
            return None
        raise _NotLeanError
    if alone.dim() != both.dim():
        raise _NotLeanError
    grown = [d for d in range(alone.dim()) if alone.shape[d] != both.shape[d]]
    if len(grown) != 1 or both.shape[grown[0]] != 2 * alone.shape[grown[0]]:
        raise _NotLeanError
    dim, size = grown[0], alone.shape[grown[0]]
    for outside, sizes, place in ((True, (2, size), dim), (False, (size, 2), dim + 1)):
        if close(both.unflatten(dim, sizes).select(place, 0), alone):
            return Growth(dim, outside)
    raise _NotLeanError


def _another(image: Tensor) -> Tensor:
    """A second image of the same kind, so that rows of the two can be told apart."""
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
    spread = image.std() if image.numel() > 1 else image.new_ones(())
    return 0.8 * image.flip(-1) + 0.2 * spread.clamp(min=1e-3) * noise


def _check_untouched(reads: Reads, layer: str) -> None:
    """Refuse replays of a model that writes into what its copy shares with the user's model."""
    remedy = "explain by a method without a path or sampling (gradcam, hirescam, shapleycam)"
    if reads.written is not None:
        raise ReplayError(
            f"layer {layer!r}: the model writes into one of its parameters, of shape {reads.written}, in its forward, "
            f"and each replay would do so again; {remedy}, or keep such state in a buffer"
        )


class _Trial:
    """Replays of one recorded pass over two images under several plans, with more rows than images."""

    def __init__(self, model: nn.Module, layer: str, pair: Tensor, extra: ExtraInputs) -> None:
        self._model, self._layer, self._pair, self._extra = model, layer, pair, extra
        self._samples = torch.tensor([1, 0, 1], device=pair.device)
        self._activation = self._recorded(None)[0]
        scales = torch.tensor([0.5, 1.0, 0.75]).to(self._activation)
        rows = self._activation[self._samples]
        self._rows = rows * scales.reshape(-1, *[1] * (rows.dim() - 1))

    def check_rows(self, whole: Plan) -> None:
        """Refuse heads that give one row another output alone than in a batch.

        Raises:
            ReplayError: the head draws at random, or mixes the rows of a batch.
        """
        self._expected = self._head(whole, {})
        with undisturbed(self._model), reseeded(1):
            alone = self._head(whole, {}, slice(0, 1))
        if row_of(self._expected, 0, 3, alone):
            return
        with undisturbed(self._model), reseeded(2):
            again = self._head(whole, {})
        layer = f"layer {self._layer!r}"
        if not same(again, self._expected):
            raise ModelError(
                f"{layer}: what comes after it draws at random in eval mode, so that each run explains another draw; "
                "make it deterministic (dropout only while self.training, a fixed generator)"
            )
        raise ReplayError(
            f"{layer}: the rows of a batch influence each other in what comes after it (batch statistics, dynamic "
            "quantisation), so that a coalition has no value of its own and there is no game; use a layer behind "
            "that, or a method without a path or sampling on one image at a time"
        )

    def agrees(self, plan: Plan) -> bool:
        """Whether the head by this plan gives what the whole model gives; call `check_rows` first."""
        _, values = self._recorded(plan)
        try:
            return same(self._head(plan, values), self._expected)
        except ModelError:  # rows that do not fit: features went around the layer unseen
            return False

    def _head(self, plan: Plan, values: Mapping[Step, Any], which: slice = slice(None)) -> Any:
        replay = Replay(self._model, self._layer, plan, values, self._pair, self._extra)
        return replay(self._rows[which], self._samples[which])

    def _recorded(self, plan: Plan | None) -> tuple[Tensor, Mapping[Step, Any]]:
        kept: list[Tensor] = []

        def keep_activation(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            kept.append(activation_in(value, self._layer).detach().clone())
            return value

        recorder = None if plan is None else Recorder(plan, self._model)
        functions: dict[nn.Module, Interceptor] = {} if recorder is None else dict(recorder.functions)
        layer = self._model.get_submodule(self._layer)
        functions[layer] = keep_activation
        with undisturbed(self._model), intercepted(functions, layer):
            run(self._model, self._pair, self._extra)
        return kept[0], {} if recorder is None else recorder.values


_IMAGES = "the images"


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

    `around` are the calls that the layer's own call is inside of: their code runs on replay. `reads` notes what such
    code reads of the calls' values.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        images: Tensor,
        extra: ExtraInputs,
        around: frozenset[tuple[str, int]],
        reads: Reads | None = None,
    ) -> None:
        self.calls: list[_Call] = []
        self._activation: _Call | None = None
        self._layer, self._around, self._reads = model.get_submodule(layer), around, reads
        self._numbers: Counter[str] = Counter()
        self._inside = False
        functions = {module: self._watching(name, module) for name, module in model.named_modules() if name}
        with undisturbed(model), intercepted(functions, self._layer):
            if reads is None:
                run(model, images, extra)
            else:
                own = images.clone()
                reads.watch(_IMAGES, [own])
                with reads:
                    run(model, own, extra, own_images=True)
        self._sync(real=True)

    @property
    def writes_activation(self) -> bool:
        """Whether what follows the layer writes into its output in place."""
        return self._activation is not None and self._activation.written

    def _watching(self, name: str, module: nn.Module) -> Interceptor:
        def watch(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            number = self._numbers[name]
            self._numbers[name] += 1
            if self._inside or self._activation is not None or (name, number) in self._around:
                return original(*args, **kwargs)
            self._sync(real=True)
            self._enter(inside=True)
            value = original(*args, **kwargs)
            self._enter(inside=False)
            self._sync(real=False)  # written by a call that replay skips: what is kept has it already
            call = _Call(name, number, value)
            if module is self._layer:
                self._activation = call
            else:
                self.calls.append(call)
                if self._reads is not None:
                    self._reads.watch((name, number), tensors_of(value))
            return value

        return watch

    def _enter(self, *, inside: bool) -> None:
        self._inside = inside
        if self._reads is not None:
            self._reads.on = not inside

    def _sync(self, *, real: bool) -> None:
        for call in (*self.calls, *([self._activation] if self._activation else [])):
            call.sync(real=real)
