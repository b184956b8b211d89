"""FullGrad: the gradients of the input and of the biases of all layers.

Source: Srinivas & Fleuret 2019, arXiv:1905.00780. A ReLU network is f(x) = ∇_x f · x + Σ_b ∇_b f · b, with b the biases
of all layers. The bias of a batch norm with fixed statistics is its output for zeros. A bias has one term for each
position of its layer's output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from shapleycam.cams.bases import Basis, Cost, PositionValues
from shapleycam.cams.heatmaps import resize
from shapleycam.cams.layer_biases import Bias, bias_of
from shapleycam.cams.pixel_cells import values_of_cells
from shapleycam.game import Game
from shapleycam.game.image_gradients import image_gradient
from shapleycam.models.layout import Layout, spatial_size
from shapleycam.precision import accurate, widened
from shapleycam.values.options import EstimatorOptions
from shapleycam.wording import number

_TOLERANCE = 1e-3
"""Relative difference between the sum of all terms and the utility up to which there is no note."""


@dataclass(frozen=True)
class FullGradient:
    """The full gradient of one image.

    Attributes:
        input_term: ∇_x U · x (1, ...), elementwise.
        bias_total: the sum of the terms of all biases.
        bias_map: (1, *size), the sum over all channels of the absolute terms, scaled to [0, 1] in each channel.
    """

    input_term: Float[Tensor, "1 *image"]
    bias_total: float
    bias_map: Float[Tensor, "1 *size"]

    @property
    def total(self) -> float:
        """Return the sum of all terms; for a logit of a ReLU network it equals the utility."""
        return float(self.input_term.to(accurate(self.input_term.device)).sum()) + self.bias_total


def full_gradient(game: Game, image: int) -> FullGradient:
    """Return the full gradient of one of a game's images.

    Raises:
        DerivativeError: the model passes no gradient on to the image.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.cams.full_gradient import full_gradient
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="1", utility="logit").game(torch.rand(1, 3, 8, 8))
        >>> abs(full_gradient(game, 0).total - float(game.full)) < 1e-4
        True
    """
    channels = game.image_channels
    terms = _BiasTerms(spatial_size(tuple(game.images.shape), channels), game.layout)
    sample = torch.tensor([image], device=game.images.device)
    gradient = image_gradient(game, sample, observer=_BiasRecorder(terms))
    return FullGradient(gradient * widened(game.images[sample]), terms.total, terms.map_like(gradient))


class _BiasTerms:
    """Collects the terms of biases: their sum, and the sum of the channels' maps.

    Each image runs in a pass of its own. So all terms belong to this image, whatever the layout of a layer's output.
    """

    def __init__(self, size: tuple[int, ...], layout: Layout) -> None:
        self._size, self._layout = size, layout
        self._maps: dict[tuple[int, ...], Tensor] = {}
        self._totals: list[Tensor] = []

    @property
    def total(self) -> float:
        """Return the sum of all terms."""
        return float(torch.stack(self._totals).sum()) if self._totals else 0.0

    def add(self, term: Tensor, channel_axis: int) -> None:
        """Add the terms of one layer, in the shape of its output."""
        self._totals.append(term.to(accurate(term.device)).sum())
        channels = self._channels_of(term, channel_axis)
        if channels is not None:
            scaled = _scaled(channels.abs()).sum(0, keepdim=True)
            size = tuple(scaled.shape[1:])
            self._maps[size] = self._maps[size] + scaled if size in self._maps else scaled

    def map_like(self, gradient: Float[Tensor, "1 *image"]) -> Float[Tensor, "1 *size"]:
        """Return the sum of all maps at the size of the image."""
        total = gradient.new_zeros(1, *self._size)
        for each in self._maps.values():
            total = total + resize(each.to(gradient), self._size)
        return total

    def _channels_of(self, term: Tensor, channel_axis: int) -> Float[Tensor, "k *grid"] | None:
        """Return one map for each channel; None if the layer's output has no positions in the image."""
        is_last = channel_axis == term.dim() - 1
        if term.dim() == len(self._size) + 1 and channel_axis == 0:  # an image without a batch axis
            return term
        if term.dim() == len(self._size) + 2:
            return term[0].movedim(channel_axis - 1, 0) if len(term) == 1 else None
        tokens = self._layout.prefix + self._layout.count
        if self._layout.kind == "tokens" and is_last and sorted(term.shape[:-1]) in ([tokens], [1, tokens]):
            cells: Tensor = term.flatten(0, -2)[self._layout.prefix :].T.unflatten(1, self._layout.grid)
            return cells
        return None


_observed_attention = FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda _: False},
    argdefs=F.multi_head_attention_forward.__defaults__,
)
"""A copy of `F.multi_head_attention_forward` whose single operations reach a `TorchFunctionMode`.

The original passes itself to the mode as one function, which hides its biases.
"""


class _BiasRecorder(TorchFunctionMode):
    """Context that collects the terms of all biases of a pass when its gradient is taken.

    The gradient is read at the autograd node of a layer's output, so that later in-place operations do not change it.
    """

    def __init__(self, terms: _BiasTerms) -> None:
        super().__init__()
        self._terms = terms

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function; if it adds a bias, register a hook that collects its term."""
        if func is F.multi_head_attention_forward:
            with self:
                return _observed_attention(*args, **(kwargs or {}))
        value = func(*args, **(kwargs or {}))
        if isinstance(value, Tensor) and value.grad_fn is not None:
            bias = bias_of(func, args, kwargs or {}, value)
            if bias is not None:
                value.grad_fn.register_prehook(self._collect(bias))
        return value

    def _collect(self, bias: Bias) -> Callable[[tuple[Tensor | None, ...]], None]:
        def collect(gradients: tuple[Tensor | None, ...]) -> None:
            if gradients[0] is not None:
                self._terms.add(widened(gradients[0].detach()) * bias.values.detach(), bias.channel_axis)

        return collect


def full_gradient_map(game: Game, image: int) -> tuple[Float[Tensor, "1 *size"], tuple[str, ...]]:
    """Return the map of arXiv:1905.00780 of one image, and notes on it.

    It is Σ ψ(∇_x U · x) + Σ_b ψ(∇_b U · b), each over channels; ψ takes the absolute value of one channel, scales it to
    [0, 1] and resizes it to the size of the image.

    Raises:
        DerivativeError: as `full_gradient`.
    """
    terms = full_gradient(game, image)
    of_input = terms.input_term[0].movedim(game.image_channels - 1, 0).abs()
    return _scaled(of_input).sum(0, keepdim=True) + terms.bias_map, _notes(terms.total, float(game.full[image]))


def _full_gradient(game: Game, _: EstimatorOptions) -> PositionValues:
    """Return the maps, summed over the pixels of each position's cell."""
    maps, notes = zip(*(full_gradient_map(game, image) for image in range(len(game.images))), strict=True)
    return values_of_cells(game, torch.cat(maps), notes)


def _notes(total: float, utility: float) -> tuple[str, ...]:
    """Return a sentence if the terms do not sum to the utility."""
    if abs(total - utility) <= _TOLERANCE * max(abs(total), abs(utility)):
        return ()
    sentence = (
        f"the terms of input and biases sum to {number(total)}, not to the utility {number(utility)}: they do of a "
        "logit of a network of ReLUs; other activation functions, norms over an image and attention have a part that "
        "no term has, and so have constants that no layer adds as its bias, and TorchScript"
    )
    return (sentence,)


FULL_GRADIENT = Basis(
    "full gradient",
    _full_gradient,
    lambda _players, _nodes: Cost(head_gradients=1, model_passes=1),
    "derivatives by the image",
    "#6699CC",
    needs_model_passes=True,
)


def _scaled(channels: Float[Tensor, "k *grid"]) -> Float[Tensor, "k *grid"]:
    """Return each channel scaled to [0, 1], but for 1e-7, which pytorch-grad-cam adds to the range.

    Channels whose terms are far smaller than that are next to nothing so, and not noise that is as bright as others.
    """
    dims = tuple(range(1, channels.dim()))
    lowest, highest = channels.amin(dims, keepdim=True), channels.amax(dims, keepdim=True)
    return (channels - lowest) / (1e-7 + (highest - lowest))
