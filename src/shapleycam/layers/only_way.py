"""Prove, for all images of a size, that no image reaches a model's output without passing a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.layers.image_flow import ImageFlow
from shapleycam.layers.way_around import HeldOutputs, blocks_around
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.interrupts import result_or_none
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.memory_reads import MemoryReads
from shapleycam.tracing.nested import float_tensors_of, have_same_structure, map_tensors, tensors_of
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.running import run


@dataclass(frozen=True)
class OnlyWay:
    """What was proven of a layer for all images of a size.

    Attributes:
        is_proven: whether every image passes the layer. If not, each image may or may not.
        extra: the model's further inputs.
        reads_further: whether the operations depend on the numbers of these.
    """

    is_proven: bool
    extra: ExtraInputs
    reads_further: bool

    def holds_with(self, extra: ExtraInputs) -> bool:
        """Return whether it holds for another image of this size with these further inputs."""
        own, other = ([inputs.positional, dict(inputs.keywords)] for inputs in (self.extra, extra))
        if not have_same_structure(own, other):
            return False
        pairs = zip(tensors_of(own), tensors_of(other), strict=True)
        return all(a.shape == b.shape and (not self.reads_further or torch.equal(a, b)) for a, b in pairs)


def prove_only_way(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    layer: str,
    select: OutputSelector,
    extra: ExtraInputs = NO_EXTRA,
) -> OnlyWay:
    """Return whether every image of this size passes a layer, or a block around it; the cost is one run of the model.

    Numbers do not count: a branch that is multiplied by zero is a way around the layer. Arguments are as in
    `has_way_around`.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers.only_way import prove_only_way
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 5))
        >>> prove_only_way(model, torch.rand(1, 3, 8, 8), "0", lambda output: output).is_proven
        True
    """
    image = image.detach().clone()
    with isolated_copy(model) as copied, torch.no_grad():
        further = tensors_of([extra.positional, dict(extra.keywords)])
        marks = _Marks(ImageFlow(image, further, _tensors_before(copied), len(blocks_around(layer))), layer)
        memory = MemoryReads(marks.flow.depends)
        interceptors = {copied.get_submodule(block): marks.interceptor(block) for block in blocks_around(layer)}

        def output_of_run() -> list[Tensor]:
            with intercept_calls(interceptors), marks.flow, memory:
                return float_tensors_of(select(run(copied, image, extra, own_images=True)))

        output = result_or_none(output_of_run)
        if output is None:  # an error of the model or the user's function; the explanation's own pass reports it
            return OnlyWay(is_proven=False, extra=extra, reads_further=True)
        is_proven = not memory.are_seen and marks.prove(output)
        return OnlyWay(is_proven, extra, marks.flow.reads_further)


class _Marks:
    """Marks what the blocks around a layer return as having passed the layer.

    Attributes:
        flow: what depends on the image, and on it past which of the blocks.
    """

    def __init__(self, flow: ImageFlow, layer: str) -> None:
        self.flow, self._layer, self._blocks = flow, layer, blocks_around(layer)
        self._returned: dict[str, list[Tensor]] = {}

    def interceptor(self, block: str) -> Interceptor:
        """Return the interceptor of a block, which returns copies with marks."""

        def mark(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            self._returned[block] = tensors_of(value, objects=0)
            outputs = self._outputs([])
            return map_tensors(
                lambda tensor: self._marked(tensor, block) if outputs.is_held(tensor, block) else tensor, value
            )

        return mark

    def prove(self, output: list[Tensor]) -> bool:
        """Return whether the output depends on the image, and past one of the blocks does not, whatever the numbers."""
        if self.flow.reads_image or not any(map(self.flow.depends, output)):
            return False
        outputs = self._outputs(output)
        return any(
            any(outputs.is_held(tensor, block) for tensor in self._returned.get(block, ()))
            and not any(self.flow.goes_past(tensor, number) for tensor in output)
            for number, block in enumerate(self._blocks)
        )

    def _marked(self, tensor: Tensor, block: str) -> Tensor:
        return self.flow.passed(tensor, self._blocks.index(block))

    def _outputs(self, output: list[Tensor]) -> HeldOutputs:
        return HeldOutputs(self._returned, self._layer, output)


def _tensors_before(copied: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors that a model has before it runs: weights, buffers and other attributes."""
    yield from chain(copied.parameters(), copied.buffers())
    for module in copied.modules():
        yield from tensors_of(vars(module), objects=0)
