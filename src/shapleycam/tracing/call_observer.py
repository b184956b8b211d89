"""Observation of one pass, call by call: what finishes before the layer, and what overwrites or reads it afterwards."""

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
from shapleycam.tracing.nested import tensors_of, version_of
from shapleycam.tracing.running import run
from shapleycam.tracing.storage_access import StorageAccessMonitor

IMAGES = "the images"
"""The name under which the monitor notes reads of the images."""

_OF_TWO = "of which the second was put beside the first to see what the model makes of it there"
"""What the monitored pass is for."""


@dataclass
class ObservedCall:
    """A call that finished before the layer, what it returned, and whether code that runs on replay overwrites that."""

    module: str
    number: int
    value: Any
    is_written: bool = False

    def __post_init__(self) -> None:
        self._versions = self._current_versions()

    @property
    def id(self) -> CallId:
        """Return the module's name and the number of the call."""
        return (self.module, self.number)

    def update(self, *, runs_on_replay: bool) -> None:
        """Note whether the value was changed in place since the last update; `runs_on_replay` says by which code."""
        versions = self._current_versions()
        self.is_written |= runs_on_replay and versions != self._versions
        self._versions = versions

    def _current_versions(self) -> list[int]:
        return [version_of(tensor) for tensor in tensors_of(self.value)]


class CallObserver:
    """One pass with every module intercepted: `calls` are the outermost ones that finish before the layer.

    `enclosing` are the calls that the layer's own call is inside of: their code runs on replay. `monitor` notes what
    such code reads of the calls' values.
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
                if not is_input(model, layer):  # there they are the activation, which is replaced
                    monitor.watch(IMAGES, [images])
                with monitor:
                    run(model, images, extra, _OF_TWO, own_images=True)
        self._update(runs_on_replay=True)

    @property
    def writes_activation(self) -> bool:
        """Return whether what follows the layer writes into its output in place."""
        return self._layer_call is not None and self._layer_call.is_written

    def _interceptor(self, name: str, module: nn.Module) -> Interceptor:
        def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            number = self._call_counts[name]
            self._call_counts[name] += 1
            if self._is_inside or self._layer_call is not None or (name, number) in self._enclosing:
                return original(*args, **kwargs)
            # Whatever changed a value since the last call finished is code between the calls, which runs on replay.
            # What this call itself changes is not run again: what is recorded of the other calls has the change in it.
            self._update(runs_on_replay=True)
            self._set_inside(inside=True)
            value = original(*args, **kwargs)
            self._set_inside(inside=False)
            self._update(runs_on_replay=False)
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
        """Set whether the code that runs now is inside a call that is not run again; its reads do not count."""
        self._is_inside = inside
        if self._monitor is not None:
            self._monitor.notes_reads = not inside

    def _update(self, *, runs_on_replay: bool) -> None:
        for call in (*self.calls, *([self._layer_call] if self._layer_call else [])):
            call.update(runs_on_replay=runs_on_replay)
