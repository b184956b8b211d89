"""A hook on a model that remembers the last forward pass, with torch-cam's names for turning it on and off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from torch import nn
from torch.utils.hooks import RemovableHandle

from shapleycam.compat.torchcam.recorded_pass import RecordedPass


class PassHook:
    """Remembers the last forward pass of a model while its hook is there and enabled; as a context it removes it."""

    def __init__(self, model: nn.Module, enable_hooks: bool) -> None:
        self.model = model
        self.hook_handles: list[RemovableHandle] = []
        self._hooks_enabled = enable_hooks
        self._pass: RecordedPass | None = None
        self._register_hook()

    def enable_hooks(self) -> None:
        """Remember forward passes."""
        self._hooks_enabled = True

    def disable_hooks(self) -> None:
        """Take no notice of forward passes."""
        self._hooks_enabled = False

    def reset_hooks(self) -> None:
        """Forget the forward pass."""
        self._pass = None

    def remove_hooks(self) -> None:
        """Remove the hook from the model."""
        for handle in self.hook_handles:
            handle.remove()
        self.hook_handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_hooks()
        self.reset_hooks()

    @contextmanager
    def _hook_removed(self) -> Iterator[None]:
        """Take the hook off the model while this runs: an explainer must see the model as its owner made it."""
        was_registered = bool(self.hook_handles)
        self.remove_hooks()
        try:
            yield
        finally:
            if was_registered:
                self._register_hook()

    def _register_hook(self) -> None:
        # A function and not a method: a private copy of the model copies methods' objects, and functions not.
        # Copies share the hook, and their passes are not the user's: another explainer, or extractor, runs them.
        def remember(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            if self._hooks_enabled and module is self.model:
                self._pass = RecordedPass.of_call(arguments, keywords, output)

        self.hook_handles.append(self.model.register_forward_hook(remember, with_kwargs=True))
