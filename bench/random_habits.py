"""Ways in which people write modules that copying, patching or caching has to bear with; each around a body on maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Returning(nn.Module):
    """Its body's output wrapped up: alone in a tuple, or in a dict."""

    def __init__(self, body: nn.Module, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.wrap = body, wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.body(x))


class Unwrapping(nn.Module):
    """The tensor that its body returns wrapped up."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        value = self.body(x)
        return value[0] if isinstance(value, tuple) else value["features"]


class Observing(nn.Module):
    """Keeps in a buffer the largest number that it saw, in eval mode too, as quantisation observers do."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.seen, self.last = body, 0, None
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        value = self.body(x)
        self.largest.copy_(torch.maximum(self.largest, value.detach().amax()))
        self.seen, self.last = self.seen + 1, value.detach().mean()
        return value


class Caching(nn.Module):
    """Adds a table of places that it makes from a weight once for each size, and keeps in a dict."""

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        self.body, self.slopes = body, nn.Parameter(torch.randn(channels, 1, 1))
        self.tables: dict[tuple[int, ...], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        size = tuple(x.shape[2:])
        if size not in self.tables:
            self.tables[size] = (self.slopes * torch.linspace(-1, 1, size[1], dtype=x.dtype)).detach()
        return self.body(x + self.tables[size])


class InPlainList(nn.Module):
    """Registers its modules, and runs them from a list and a dict of its own."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        self.first, *others = body
        self.others = {"others": others}

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for module in self.others["others"]:
            x = module(x)
        return x


class Choosing(nn.Module):
    """Chooses its way once, and keeps the method."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.way = self.added

    def added(self, x: Tensor) -> Tensor:
        """Return input and body's output together."""
        return x + self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x)


class Closing(nn.Module):
    """Runs a function that was made around its body."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.function = lambda x: body(x) + x

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def forward_replaced(body: nn.Module) -> nn.Module:
    """Give a module another forward, which calls its own (as accelerate and torch.compile do)."""
    original = body.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) * 1.5

    body.forward = forward  # type: ignore[method-assign]
    return body
