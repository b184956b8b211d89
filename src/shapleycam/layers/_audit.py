"""Which layers of a model can be explained, found by running it once and asking where its output comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.layers.layout import reading_at, supposed
from shapleycam.layers.proof import Solid, channel_axis
from shapleycam.models.layout import Layout, spatial_size
from shapleycam.models.outputs import find_logits
from shapleycam.tracing._trace import Select
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.finals import Finals
from shapleycam.tracing.graph import derivatives, missing_derivative
from shapleycam.tracing.isolation import Interceptor, intercepted, isolated, run
from shapleycam.tracing.nested import is_empty, map_tensors, numbers_of, only_tensor, version_of
from shapleycam.tracing.scores import scores_if_any
from shapleycam.tracing.soundness import check_output, nothing_returned

_NO_DERIVATIVE = "the output has no derivative by the images: something is quantised, detached or under no_grad"
_ATTENTION = {"attn", "attention", "self_attn", "self_attention"}


@dataclass(frozen=True)
class Candidate:
    """A layer that can be explained: its name, the activation's shape (without the batch) and layout.

    `gradient_norm` is the Euclidean norm of the predicted class's logit gradient by the activation of one image;
    `live_cells` counts the cells of the grid whose gradient is not zero. `maker` is the innermost module that returned
    this tensor first; `proven` tells whether the layout is proven, or supposed from the shape.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    gradient_norm: float
    live_cells: int
    maker: str = ""
    proven: bool = True


@dataclass(frozen=True)
class Audit:
    """The layers of a model that can be explained, in running order; `dense` if its output is not one row of numbers
    an image but one for each pixel, or detections. `without_grid` are those in which no grid was found: names, shapes
    and reasons. `last` is the last of both. `obstacle` says why others could not be looked at: they run several times,
    have other rows than the images, or the output has no derivative.
    """

    candidates: tuple[Candidate, ...]
    dense: bool
    without_grid: tuple[tuple[str, tuple[int, ...], str], ...]
    last: str = ""
    obstacle: str = ""


def audit(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    select: Select = find_logits,
    solid: Solid = None,
    extra: ExtraInputs = NO_EXTRA,
) -> Audit:
    """Every layer with a grid of positions that runs once and that the output depends on, in running order.

    Of layers that pass on the same tensor (a block and its last module, say) one is named: the outermost around
    the first of them. `select` takes the output that is explained from what the model returns; `solid` says what
    images of five dimensions are; `extra` are the model's further inputs.

    Raises:
        ImageError: it is not known what images of five dimensions are.
        LayerError: the output's gradient is 0 everywhere.
        ModelError: the output holds no numbers to explain, or they are not finite.
    """
    seen, dense, obstacle = _outputs(model, image, select, extra)
    modules = dict(model.named_modules())
    if seen and not any(bool(one.gradient.any()) for one in seen):
        raise LayerError(
            "the gradient of the model's output is 0 at all of its layers (its last weights are zeros, as some "
            "untrained models' are, its last activations are dead, or it is rounded); expected an output "
            "that depends on the image: load trained weights"
        )
    channels = channel_axis(model, image, solid, extra)
    sides = spatial_size(tuple(image.shape), channels)
    found, without, last = [], [], ""
    for one in seen:
        if len(one.value) != len(image):
            obstacle = f"layer {one.name!r} returns {len(one.value)} rows for {len(image)} image"
            continue
        if _inside_attention(one.name, modules):
            continue
        shape, last = tuple(one.value.shape), one.name
        reading = reading_at(model, one.name, image, channels, extra)
        layout = supposed(model, one.name, shape, sides) if reading.unknown else reading.layout
        if layout is None or layout.count == 1:  # not proposed; refused with the reason where a user names it
            without.append((one.name, shape, reading.reason or "there is but one cell"))
            continue
        cells = layout.cells(layout.positions(one.gradient).abs().amax(2))
        if bool((cells > 0).any()):
            norm, live = float(one.gradient.norm()), int((cells > 0).sum())
            proven = not reading.unknown
            found.append(Candidate(one.name, shape[1:], layout, norm, live, one.first, proven))
    return Audit(tuple(found), dense, tuple(without), last, obstacle)


@dataclass(frozen=True)
class _Output:
    """What a module returned, and the gradient by it."""

    name: str
    first: str
    value: Tensor
    gradient: Tensor


def _outputs(model: nn.Module, image: Tensor, select: Select, extra: ExtraInputs) -> tuple[list[_Output], bool, str]:
    """The outputs of the modules that run once, in the order in which they finish; whether the model's is dense; and
    what stands in the way of others.
    """
    watch = _Watch()
    leaf = image.detach().clone().requires_grad_()
    with isolated(model) as copied, torch.enable_grad(), Differentiation(twice=False):
        with intercepted({m: watch.on(name, m) for name, m in copied.named_modules() if name}), Finals() as finals:
            output = select(run(copied, leaf, extra))
        numbers = numbers_of(output)
        if is_empty(output):
            raise nothing_returned(model)
        for tensor in numbers:
            check_output(tensor, model)
        numbers = [scores_if_any(tensor, len(image), finals, leaf) for tensor in numbers]
        seen, score = watch.seen(), sum(_score(tensor) for tensor in numbers)
        dense = not isinstance(output, torch.Tensor) or output.dim() > 2
        if not isinstance(score, torch.Tensor) or not score.requires_grad or missing_derivative(score) is not None:
            return [], dense, _NO_DERIVATIVE
        if not seen:
            return [], dense, watch.repeated()
        gradients = derivatives(score, [one.value for one in seen])
    pairs = zip(seen, gradients, strict=True)
    outputs = [_Output(one.name, one.first, one.value.detach(), g) for one, g in pairs if g is not None]
    return outputs, dense, watch.repeated()


def _score(output: Tensor) -> Tensor:
    """The largest logit, of each pixel where there are several; the sum of an output without classes."""
    return output.amax(1).sum() if output.dim() > 1 and output.numel() else output.sum()


@dataclass
class _Seen:
    name: str  # of the outermost module that returned this tensor so far
    first: str
    value: Tensor
    handed: Tensor  # what the model got in its place; kept, so that its identity stays its own
    version: int


class _Watch:
    """Collects what modules return, and hands on copies, so that later writes in place do not touch it."""

    def __init__(self) -> None:
        self._runs: Counter[str] = Counter()
        self._by_identity: dict[int, _Seen] = {}

    def on(self, name: str, module: nn.Module) -> Interceptor:
        """What to run in place of the module's call."""
        is_leaf = not any(module.children())

        def forward(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            torch.set_grad_enabled(mode=True)  # a model may run its backbone under no_grad
            given = args[0] if args and isinstance(args[0], torch.Tensor) else None
            version = None if given is None else version_of(given)
            value = original(*args, **kwargs)
            self._runs[name] += 1
            tensor = only_tensor(value)
            if tensor is None or not tensor.requires_grad or tensor.dim() < 3:
                return value
            written = given is not None and version_of(given) != version
            if is_leaf and given is not None and not written and _same_numbers(tensor, given):
                return value  # dropout, an identity, a pooling that has nothing to pool
            handed = self._record(name, tensor)
            return map_tensors(lambda _: handed, value)

        return forward

    def seen(self) -> list[_Seen]:
        """Each tensor once, if its module ran once."""
        return [one for one in self._by_identity.values() if self._runs[one.name] == 1]

    def repeated(self) -> str:
        """Say of the last layer that runs several times that it does; nothing where there is none."""
        names = [one.name for one in self._by_identity.values() if self._runs[one.name] > 1]
        return f"layer {names[-1]!r} runs {self._runs[names[-1]]} times in a forward pass" if names else ""

    def _record(self, name: str, value: Tensor) -> Tensor:
        known = self._by_identity.get(id(value))
        if known is not None and version_of(value) == known.version:
            if known.first.startswith(f"{name}."):
                known.name = name
            return value
        handed = value.clone()
        self._by_identity[id(handed)] = _Seen(name, name, value, handed, version_of(handed))
        return handed


def _same_numbers(value: Tensor, other: Tensor) -> bool:
    return value is other or (value.shape == other.shape and torch.equal(value, other))


def _inside_attention(name: str, modules: dict[str, nn.Module]) -> bool:
    """Strictly inside: there positions are split into queries, keys and values. A block around attention and more
    (open_clip's ResidualAttentionBlock) is not meant.
    """
    around = [name[:end] for end, letter in enumerate(name) if letter == "."]
    kinds = [type(modules[outer]).__name__.lower() for outer in around]
    by_kind = any(("attn" in kind or "attention" in kind) and "block" not in kind for kind in kinds)
    return by_kind or any(outer.rsplit(".", maxsplit=1)[-1] in _ATTENTION for outer in around)
