"""Test whether the image reaches a model's output without passing a layer, as in a network with several branches.

In a block with a shortcut, the shortcut bypasses the layers inside. So the blocks around a layer are tested too, and
one block that the whole image passes is enough (docs/decisions.md, "A layer that a rule finds is tried for ways around
it").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.layers.border_trial import is_unchanged
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.nested import float_tensors_of, map_tensors, tensors_of
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.running import run
from shapleycam.wording import type_and_first_line

_MATERIAL = 1e-4
"""Changes below this share of the largest output do not count: they hardly matter in a map, or are a GPU's rounding."""


def has_way_around(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    layer: str,
    select: OutputSelector,
    extra: ExtraInputs = NO_EXTRA,
) -> bool:
    """Return whether the output changes with the image even if a layer, or any block around it, returns the same.

    If nothing bypasses the layer, the test costs two runs of the model. The result is False if the test cannot be run.

    Args:
        model: the user's model.
        image: one image.
        layer: dotted name of the layer.
        select: returns the output that is explained, from the model's output.
        extra: the model's further inputs.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers.way_around import has_way_around
        >>> class Branches(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a, self.b = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)
        ...
        ...     def forward(self, images):
        ...         return (self.a(images) + self.b(images)).mean((2, 3))
        >>> has_way_around(Branches(), torch.rand(1, 3, 8, 8), "b", lambda output: output)
        True
    """
    blocks = blocks_around(layer)
    try:
        with isolated_copy(model) as copied, torch.no_grad():
            trial = _Trial(copied, image, select, extra, blocks)
            return not any(trial.holds_all(block) for block in blocks) and trial.is_repeatable(layer)
    except ModelError:  # the model may refuse only the changed image, which proves nothing
        return False


def blocks_around(layer: str) -> list[str]:
    """Return the names of a layer and of all blocks around it, from the inside.

    Examples:
        >>> from shapleycam.layers.way_around import blocks_around
        >>> blocks_around("stage.1.conv")
        ['stage.1.conv', 'stage.1', 'stage']
    """
    parts = layer.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


class HeldOutputs:
    """Says which tensors that a block returns stand for what passes the layer inside.

    They have places and are not the model's output. If a block returns several tensors, only those with the shape of
    the layer's output count: a block may return two branches, of which only one passes the layer.

    Args:
        returned: the tensors that each block returned.
        layer: the layer.
        output: the tensors in the model's output.
    """

    def __init__(self, returned: Mapping[str, Sequence[Tensor]], layer: str, output: list[Tensor]) -> None:
        self._returned, self._output = returned, output
        of_layer = returned.get(layer, [])
        self.shape = of_layer[0].shape if len(of_layer) == 1 else None

    def is_held(self, tensor: Tensor, block: str) -> bool:
        """Return whether a tensor that a block returned stands for what passes the layer."""
        is_only = len(self._returned[block]) == 1 and not _is_same([tensor], self._output)
        return tensor.dim() > 2 and (is_only or tensor.shape == self.shape)


class _Trial:
    """Runs a model on another image, in which one of its blocks returns its outputs for the first image."""

    def __init__(
        self, model: nn.Module, image: Tensor, select: OutputSelector, extra: ExtraInputs, blocks: Sequence[str]
    ) -> None:
        self._model, self._image, self._select, self._extra = model, image, select, extra
        self._returned: dict[str, list[Tensor]] = {}
        self._output = self._run(image, {name: self._keeper(name) for name in blocks})
        self._outputs = HeldOutputs(self._returned, blocks[0], self._output)

    def holds_all(self, block: str) -> bool:
        """Return whether another image has the first image's output if the block returns its outputs for the first."""
        held = [tensor for tensor in self._returned.get(block, []) if self._outputs.is_held(tensor, block)]
        return bool(held) and _is_same(self._output, self._run(self._other_image(), self._given(block)))

    def is_repeatable(self, layer: str) -> bool:
        """Return whether the image itself has the same output again if the layer returns the same."""
        return self._outputs.shape is not None and _is_same(self._output, self._run(self._image, self._given(layer)))

    def _other_image(self) -> Tensor:
        noise = torch.rand(
            self._image.shape, generator=torch.Generator().manual_seed(0), device="cpu", dtype=torch.float32
        )
        low, high = self._image.amin(), self._image.amax()
        return low + (high - low).clamp(min=1) * noise.to(self._image)

    def _run(self, image: Tensor, interceptors: dict[str, Interceptor]) -> list[Tensor]:
        by_module = {self._model.get_submodule(name): interceptor for name, interceptor in interceptors.items()}
        with intercept_calls(by_module):
            output = run(self._model, image, self._extra)
        with convert_errors_of_function(  # the user's function may find nothing in noise
            lambda error: ModelError(f"output= raised {type_and_first_line(error)} for another image")
        ):
            selected = self._select(output)
        return [tensor.clone() for tensor in float_tensors_of(selected)]

    def _keeper(self, name: str) -> Interceptor:
        def keep(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            self._returned[name] = [tensor.clone() for tensor in tensors_of(value, objects=0)]
            return value

        return keep

    def _given(self, name: str) -> dict[str, Interceptor]:
        def give(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            kept = iter(self._returned[name])

            def held_or_new(new: Tensor) -> Tensor:
                old = next(kept, new)
                return old.clone() if old.shape == new.shape and self._outputs.is_held(old, name) else new

            return map_tensors(held_or_new, original(*args, **kwargs))

        return {name: give}


def _is_same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(is_unchanged(*pair, _MATERIAL) for pair in zip(first, second, strict=True))
