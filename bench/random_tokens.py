"""Blocks of random networks on tokens (b, n, c) and on maps with the channels last (b, h, w, c)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from draw import Draw
from random_layers import activation, convolution


class Tokens(nn.Module):
    """Tokens of a map, with places' embeddings, behind `prefix` learned ones (class, registers)."""

    def __init__(self, channels: int, positions: int, prefix: int) -> None:
        super().__init__()
        self.prefix = nn.Parameter(torch.randn(1, prefix, channels))
        self.places = nn.Parameter(0.3 * torch.randn(1, prefix + positions, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return torch.cat([self.prefix.expand(len(x), -1, -1), tokens], 1) + self.places


class HandMadeAttention(nn.Module):
    """Two heads, their product and softmax written out or PyTorch's own function."""

    def __init__(self, channels: int, *, by_function: bool) -> None:
        super().__init__()
        self.qkv, self.proj, self.by_function = (
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
            by_function,
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        if self.by_function:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))


class LinearAttention(nn.Module):
    """Attention by a feature map in the place of softmax (Katharopoulos 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        return q @ (k.transpose(1, 2) @ v) / (q @ k.sum(1)[..., None])


class ModuleAttention(nn.Module):
    """nn.MultiheadAttention on itself; `sequence_first` as in PyTorch's default, positions before images."""

    def __init__(self, channels: int, *, weights: bool = False, sequence_first: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=not sequence_first)
        self.weights, self.sequence_first = weights, sequence_first

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1) if self.sequence_first else x
        mixed, _ = self.attention(x, x, x, need_weights=self.weights)
        return mixed.transpose(0, 1) if self.sequence_first else mixed


class AcrossTokens(nn.Module):
    """A linear layer along the tokens (MLP-Mixer)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.mixing = nn.Linear(count, count)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixing(x.transpose(1, 2)).transpose(1, 2)


class OnMap(nn.Module):
    """A convolution of the tokens, laid out as a map for it (PVT v2, CvT); the prefix tokens pass by."""

    def __init__(self, body: nn.Module, grid: tuple[int, int], prefix: int) -> None:
        super().__init__()
        self.body, self.grid, self.prefix = body, grid, prefix

    def forward(self, x: Tensor) -> Tensor:
        first, rest = x[:, : self.prefix], x[:, self.prefix :]
        mapped = self.body(rest.transpose(1, 2).reshape(len(x), -1, *self.grid))
        return torch.cat([first, mapped.flatten(2).transpose(1, 2)], 1)


class TokenBatchNorm(nn.Module):
    """Batch norm of each channel over all tokens, as in LeViT."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class Block(nn.Module):
    """Attention and a perceptron, with their norms before or after, added in place or not."""

    def __init__(
        self, mixer: nn.Module, norms: list[nn.Module], act: nn.Module, channels: int, norm_order: str
    ) -> None:
        super().__init__()
        self.mixer, self.norm_order = mixer, norm_order
        self.norm1, self.norm2 = norms
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), act, nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_order == "norm after":
            x = self.norm1(x + self.mixer(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.mixer(self.norm1(x))
        if self.norm_order == "norm before, added in place":
            y = self.mlp(self.norm2(x))
            y += x
            return y
        return x + self.mlp(self.norm2(x))


class ChannelsLast(nn.Module):
    """Swin's way: its body works on (b, h, w, c)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


class Windows(nn.Module):
    """Its body on windows of 2 x 2 positions, shifted by one."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, c = x.shape
        cut = x.roll((-1, -1), (1, 2)).unflatten(2, (w // 2, 2)).unflatten(1, (h // 2, 2)).transpose(2, 3)
        windows = self.body(cut.reshape(-1, 4, c)).reshape(cut.shape)
        return windows.transpose(2, 3).reshape(x.shape).roll((1, 1), (1, 2))


MIXERS: dict[str, Callable[[Draw, int, tuple[int, int], int], nn.Module]] = {
    "attention, hand-made": lambda _d, c, _g, _p: HandMadeAttention(c, by_function=False),
    "attention by function": lambda _d, c, _g, _p: HandMadeAttention(c, by_function=True),
    "attention, linear": lambda _d, c, _g, _p: LinearAttention(c),
    "MultiheadAttention": lambda _d, c, _g, _p: ModuleAttention(c),
    "MultiheadAttention with weights": lambda _d, c, _g, _p: ModuleAttention(c, weights=True),
    "MultiheadAttention, sequence first": lambda _d, c, _g, _p: ModuleAttention(c, sequence_first=True),
    "across tokens": lambda _d, _c, g, p: AcrossTokens(g[0] * g[1] + p),
    "convolution": lambda d, c, g, p: OnMap(convolution(d, c, c), g, p),
}
TOKEN_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer": nn.LayerNorm,
    "root mean square": nn.RMSNorm,
    "batch": TokenBatchNorm,
    "none": lambda _: nn.Identity(),
}
HOW = ("norm before", "norm before, added in place", "norm after")


def token_block(draw: Draw, channels: int, grid: tuple[int, int], prefix: int) -> nn.Module:
    """Draw a block on tokens."""
    if draw.chance("TransformerEncoderLayer", 0.1):
        first = draw.of("norms", (True, False))
        return nn.TransformerEncoderLayer(channels, 2, 2 * channels, batch_first=True, norm_first=first)
    mixer = MIXERS[draw.of("tokens mixed by", MIXERS)](draw, channels, grid, prefix)
    norms = [TOKEN_NORMS[draw.of("norm of tokens", TOKEN_NORMS)](channels) for _ in range(2)]
    return Block(mixer, norms, activation(draw), channels, draw.of("order", HOW))


def channels_last_block(draw: Draw, channels: int) -> nn.Module:
    """Draw a block on maps that are permuted to (b, h, w, c) for it: of each position, or of windows."""
    body: nn.Module = nn.Sequential(nn.Linear(channels, channels), activation(draw))
    if draw.chance("attention in windows", 0.5):
        body = Windows(HandMadeAttention(channels, by_function=draw.of("by function", (True, False))))
    return ChannelsLast(nn.Sequential(nn.LayerNorm(channels), body))
