"""One random network with a layer of it, images, a question, and the state in which a user hands it over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from draw import Draw
from random_habits import Caching
from random_layouts import Grid, candidates
from random_model import Network, draw_network

DTYPES = (*[torch.float32] * 6, *[torch.float64] * 2, torch.bfloat16, torch.float16)
CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "none": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@dataclass(frozen=True)
class Case:
    """`network` as the user has it; `images` (b, 3, h, w), `target` (b,), `coalitions` (b, s, players).

    `companions` are other images, for batches of one; `layout` is what the explainer is told, None for nothing.
    """

    seed: int
    network: Network
    layer: str
    grid: Grid
    images: Tensor
    companions: Tensor
    target: Tensor
    utility: str
    coalitions: Tensor
    layout: str | None
    context: Callable[[], AbstractContextManager[Any]]
    watching: Watching | None
    choices: tuple[str, ...]

    def other_batch(self) -> tuple[Tensor, Tensor]:
        """The first image alone, or a single image beside its companion; and their classes."""
        images = self.images[:1] if len(self.images) > 1 else torch.cat([self.images, self.companions])
        return images, self.target[:1].expand(len(images))

    def plain_model(self, dtype: torch.dtype) -> Network:
        """The network drawn again, in eval mode and in this precision, without checkpointing."""
        model = draw_case(self.seed).network
        model.saving = {}
        return model.to(dtype).eval()


class Watching:
    """A user's hook that only looks: at how many images come, and whether all numbers are finite."""

    def __init__(self) -> None:
        self.strange: list[str] = []

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Look at what a module is given, by position."""
        for value in inputs:
            self(module, (), value)

    def __call__(self, module: nn.Module, _inputs: Any, value: Any) -> None:
        """Look at what a module returns."""
        if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()):
            self.strange.append(type(module).__name__)


def draw_case(seed: int) -> Case:
    """Draw a case; the same seed gives the same one."""
    draw = Draw(seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        drawn = draw_network(draw)
        network = drawn.network
        for module in network.modules():
            _randomise(module)
        batch = draw.of("images", (1, 2, 3))
        pictures = torch.randn(batch + 1, 3, *drawn.size)
        grids = candidates(network.eval(), network.parts(), drawn.tokens, pictures)
        _forget(network)
        layer = sorted(grids)[draw.index(len(grids))]
        grid = grids[layer]
        draw.choices.append(f"layer: {layer}, a {type(network.get_submodule(layer)).__name__}, {grid}")
        dtype = draw.of("dtype", DTYPES)
        network.to(dtype)
        pictures = pictures.to(dtype if dtype == torch.float64 or draw.chance("images so too", 0.5) else torch.float32)
        if draw.chance("channels_last", 0.2):
            network.to(memory_format=torch.channels_last)
            pictures = pictures.to(memory_format=torch.channels_last)
        watching = _hand_over(draw, network)
        players = grid.sides[0] * grid.sides[1] + (grid.prefix > 0)
        return Case(
            seed=seed,
            network=network,
            layer=layer,
            grid=grid,
            images=pictures[:batch],
            companions=pictures[batch:],
            target=torch.randint(max(2, drawn.classes), (batch,)),
            utility=draw.of("utility", ("rest", "logit", "log_probability")),
            coalitions=_coalitions(batch, players),
            layout=str(grid) if draw.chance("layout given", 0.75) else None,
            context=CONTEXTS[draw.of("caller's context", (*["none"] * 3, *CONTEXTS))],
            watching=watching,
            choices=tuple(draw.choices),
        )


def _forget(network: Network) -> None:
    """Leave nothing of a first pass behind."""
    for module in network.modules():
        if isinstance(module, Caching):
            module.tables.clear()


def _randomise(module: nn.Module) -> None:
    """Weights and running statistics of norms as if trained."""
    for name in ("running_mean", "running_var"):
        numbers = getattr(module, name, None)
        if isinstance(numbers, Tensor):
            numbers.copy_(torch.rand_like(numbers) + 0.5 if name == "running_var" else 0.3 * torch.randn_like(numbers))
    if "Norm" in type(module).__name__ or type(module).__name__ == "RootMeanSquare":
        for name in ("weight", "bias"):
            numbers = getattr(module, name, None)
            if isinstance(numbers, Tensor):
                numbers.add_(0.3 * torch.randn_like(numbers))


def _hand_over(draw: Draw, network: Network) -> Watching | None:
    """Modes, weights that want no gradient or have one, hooks."""
    mode = draw.of("mode", ("eval", "eval", "train", "mixed"))
    for module in network.modules():
        module.training = mode == "train" or (mode == "mixed" and draw.index(2) == 0)
    if draw.chance("no weight wants a gradient", 0.15):
        network.requires_grad_(requires_grad=False)
    for parameter in network.parameters():
        if draw.index(10) == 0:
            parameter.grad = torch.ones_like(parameter)
    if not draw.chance("watched by a hook", 0.2):
        return None
    watching, modules = Watching(), list(network.modules())
    for _ in range(3):
        modules[draw.index(len(modules))].register_forward_hook(watching)
    modules[draw.index(len(modules))].register_forward_pre_hook(watching.before)
    return watching


def _coalitions(batch: int, players: int) -> Tensor:
    """Four random ones, two players alone, one left out: others for each image."""
    rows = [torch.rand(batch, 4, players) < torch.rand(batch, 4, 1)]
    alone = torch.zeros(batch, 3, players, dtype=torch.bool)
    alone.scatter_(2, torch.randint(players, (batch, 3, 1)), value=True)
    alone[:, 2] = ~alone[:, 2]
    return torch.cat([*rows, alone], 1)
