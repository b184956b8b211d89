"""Observe one pass, call by call: which calls finish before the layer, and what code uses their values afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from shapleycam.tracing.calls import CallId
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import is_input, layer_module, modules_by_name
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import run_context
from shapleycam.tracing.nested import is_in_transform, tensors_of
from shapleycam.tracing.running import run
from shapleycam.tracing.storage_access import StorageAccessMonitor
from shapleycam.tracing.torch_internals import version_of

IMAGES = "the images"
"""The name under which the monitor records reads of the images."""

_PURPOSE = "of which the second was put beside the first to see what the model makes of it there"
"""What the monitored pass is for, as an error message says it."""


@dataclass
class ObservedCall:
    """A call that finished before the layer.

    Attributes:
        module: the module's dotted name.
        number: the index of this call among the module's calls.
        value: what the call returned.
        is_written: whether code that runs on replay writes into the value in place.
    """

    module: str
    number: int
    value: Any
    is_written: bool = False

    def __post_init__(self) -> None:
        self._versions = self._current_versions()

    @property
    def id(self) -> CallId:
        """Return the identifier of the call: the module's name and the number of the call."""
        return (self.module, self.number)

    def update(self, *, runs_on_replay: bool) -> None:
        """Check whether the value was changed in place since the last update.

        `runs_on_replay` says whether the code that ran since then also runs on replay; only its writes count.
        """
        versions = self._current_versions()
        self.is_written |= runs_on_replay and versions != self._versions
        self._versions = versions

    def _current_versions(self) -> list[int]:
        return [version_of(tensor) for tensor in tensors_of(self.value)]


class CallObserver:
    """Runs one pass with every module intercepted; `calls` are the outermost calls that finish before the layer.

    Args:
        model: a private copy of the user's model.
        layer: the layer's name.
        images: the images of the pass.
        extra: the further inputs of the pass.
        enclosing: calls that are not taken as a whole, but opened: the code inside them runs on replay. At least the
            calls around the layer's own call are among them.
        monitor: records which of the calls' values are read by code that runs on replay; None records nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        images: Tensor,
        extra: ExtraInputs,
        enclosing: frozenset[CallId],
        monitor: StorageAccessMonitor | None = None,
    ) -> None:
        self.calls: list[ObservedCall] = []
        self._layer_call: ObservedCall | None = None
        self._layer, self._enclosing, self._monitor = layer_module(model, layer), enclosing, monitor
        self._call_counts: Counter[str] = Counter()
        self._is_inside = False
        modules = modules_by_name(model, layer)
        interceptors = {module: self._interceptor(name, module) for name, module in modules.items()}
        with run_context(model), intercept_calls(interceptors, self._layer):
            if monitor is None:
                run(model, images, extra)
            else:
                images = images.clone()
                if not is_input(model, layer):  # at layer "input" the images are the activation, which is replaced
                    monitor.watch(IMAGES, [images])
                with monitor:
                    run(model, images, extra, _PURPOSE, own_images=True)
        self._update(runs_on_replay=True)

    @property
    def writes_activation(self) -> bool:
        """Return whether code after the layer writes into the layer's output in place."""
        return self._layer_call is not None and self._layer_call.is_written

    def _interceptor(self, name: str, module: nn.Module) -> Interceptor:
        def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            number = self._call_counts[name]
            self._call_counts[name] += 1
            if self._is_inside or self._layer_call is not None or (name, number) in self._enclosing:
                return original(*args, **kwargs)
            if is_in_transform((args, kwargs)):  # its tensors do not outlive the transform, which runs on replay
                return original(*args, **kwargs)
            # If a value changed since the last call finished, code between the calls changed it, and this code runs on
            # replay. Changes that this call makes are not made again: the recorded values already contain them.
            self._update(runs_on_replay=True)
            self._set_inside(inside=True)
            value = original(*args, **kwargs)
            self._set_inside(inside=False)
            self._update(runs_on_replay=False)
            if is_in_transform(value):
                return value
            call = ObservedCall(name, number, value)
            if module is self._layer:
                self._layer_call = call
            else:
                self.calls.append(call)
                if self._monitor is not None:
                    self._monitor.watch(call.id, tensors_of(value))
            return value

        return observe

    def _set_inside(self, *, inside: bool) -> None:
        """Set whether the code that runs now is inside a call that does not run on replay: its reads do not count."""
        self._is_inside = inside
        if self._monitor is not None:
            self._monitor.notes_reads = not inside

    def _update(self, *, runs_on_replay: bool) -> None:
        for call in (*self.calls, *([self._layer_call] if self._layer_call else [])):
            call.update(runs_on_replay=runs_on_replay)
