"""Which layer to explain at, found by running the model once and asking where its output comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, ModelError
from shapleycam.models.layout import Layout, layout_of
from shapleycam.trace.guest import borrowed, patched, run
from shapleycam.trace.nested import version_of
from shapleycam.trace.trace import check_finite


@dataclass(frozen=True)
class Candidate:
    """A layer that can be explained: its name, the activation's shape (without the batch) and layout.

    `gradient_norm` is the Euclidean norm of the predicted class's logit gradient by the activation of one image;
    `live_cells` counts the cells of the grid whose gradient is not zero.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    gradient_norm: float
    live_cells: int


def candidates(model: nn.Module, image: Float[Tensor, "1 *image"]) -> list[Candidate]:
    """Every layer with a grid of positions that runs once and that the output depends on, in running order.

    Of layers that pass on the same tensor (a block and its last module, say) one is named: the outermost around
    the first of them.

    Raises:
        ModelError: the output is not a tensor, or not finite.
    """
    outputs = _outputs(model, image)
    modules = dict(model.named_modules())
    found = []
    for name, value, gradient in outputs:
        if _inside_attention(name, modules) or len(value) != len(image):
            continue
        try:
            layout = layout_at(model, name, value, image)
        except LayerError:  # not proposed; explained with that message where a user names it
            continue
        cells = layout.cells(layout.positions(gradient).abs().amax(2))
        if bool((cells > 0).any()):
            norm = float(gradient.norm())
            found.append(Candidate(name, tuple(value.shape[1:]), layout, norm, int((cells > 0).sum())))
    return found


def before_pool(found: Sequence[Candidate]) -> Candidate:
    """The last candidate of which more than one position matters to the output: the one before pooling.

    Raises:
        LayerError: there is none.
    """
    for candidate in reversed(found):
        if candidate.live_cells > 1:
            return candidate
    raise LayerError(
        "no layer of this model has an output with a grid of positions that its output depends on; name one with layer="
    )


def layout_at(
    model: nn.Module, layer: str, activation: Float[Tensor, "b *shape"], images: Float[Tensor, "b *image"]
) -> Layout:
    """The layout of a layer's activation.

    Raises:
        LayerError: there is no grid of several positions in it, or two readings of its shape are possible.
    """
    shape, size = tuple(activation.shape), (images.shape[-2], images.shape[-1])
    prefix = getattr(model, "num_prefix_tokens", None)
    layout = layout_of(shape, size, model.get_submodule(layer), prefix)
    if layout is None or layout.height * layout.width == 1:
        raise LayerError(
            f"layer {layer!r} returns shape {shape} for images of {size[0]} x {size[1]}, in which there is "
            "no grid of positions; choose one before pooling (shapleycam layers MODEL lists them)"
        )
    return layout


def _outputs(model: nn.Module, image: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    """Name, output and gradient of the modules that run once, in the order in which they finish."""
    watch = _Watch()
    leaf = image.detach().clone().requires_grad_()
    with borrowed(model), torch.enable_grad():
        with patched({m: watch.on(name, m) for name, m in model.named_modules() if name}):
            output = run(model, leaf.clone())
        if not isinstance(output, torch.Tensor):
            raise ModelError(f"the model returns a {type(output).__name__}; expected a tensor of logits (b, classes)")
        check_finite(output, model, "the output")
        seen = watch.seen()
        if not seen or not output.requires_grad:
            return []
        score = output.flatten(1).amax(1).sum()
        gradients = torch.autograd.grad(score, [value for _, value in seen], allow_unused=True)
    pairs = zip(seen, gradients, strict=True)
    return [(name, value.detach(), gradient) for (name, value), gradient in pairs if gradient is not None]


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

    def on(self, name: str, module: nn.Module) -> Callable[..., Any]:
        """The forward to run in place of the module's own."""
        original, is_leaf = module.forward, not any(module.children())

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = args[0] if args and isinstance(args[0], torch.Tensor) else None
            version = None if given is None else version_of(given)
            value = original(*args, **kwargs)
            self._runs[name] += 1
            if not isinstance(value, torch.Tensor) or not value.requires_grad or value.dim() < 3:
                return value
            written = given is not None and version_of(given) != version
            if is_leaf and given is not None and not written and _same_numbers(value, given):
                return value  # dropout, an identity, a pooling that has nothing to pool
            return self._record(name, value)

        return forward

    def seen(self) -> list[tuple[str, Tensor]]:
        """Each tensor once, with the name of its module, if that ran once."""
        return [(s.name, s.value) for s in self._by_identity.values() if self._runs[s.name] == 1]

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
    """Strictly inside: there positions are split into queries, keys and values."""
    around = [name[:end] for end, letter in enumerate(name) if letter == "."]
    return any("attn" in type(modules[n]).__name__.lower() or "attention" in type(modules[n]).__name__.lower()
               for n in around)  # fmt: skip
