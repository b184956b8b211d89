"""Draws a small network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from draw import Draw
from random_blocks import block
from random_layers import norm, strided
from random_layouts import Grid
from random_readouts import FORMS, MAP_POOLS, TOKEN_POOLS, head
from random_tokens import ChannelsLast, Tokens, channels_last_block, token_block


class Network(nn.Module):
    """Stages one after the other, a long skip beside some of them, a pooling and a head."""

    def __init__(self, stages: list[nn.Module], kinds: list[str], pool: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.stages, self.kinds = nn.ModuleList(stages), kinds
        self.pool, self.classifier = pool, classifier
        self.form: Callable[[Tensor], Any] = FORMS["tensor"]
        self.skip: tuple[int, int] | None = None
        self.bridge: nn.Module = nn.Identity()
        self.saving: dict[int, bool] = {}
        self.shifts_input, self.keeps_on_self = False, False

    def parts(self) -> list[tuple[str, nn.Module, str]]:
        """The name of each stage, the stage, and the layout of what it returns."""
        staged = enumerate(zip(self.stages, self.kinds, strict=True))
        return [(f"stages.{number}", stage, kind) for number, (stage, kind) in staged]

    def forward(self, x: Tensor) -> Any:
        if self.shifts_input:
            x -= 0.1
        early = x
        for number, stage in enumerate(self.stages):
            reentrant = self.saving.get(number)
            x = stage(x) if reentrant is None else checkpoint(stage, x, use_reentrant=reentrant)
            if self.skip and number == self.skip[0]:
                early = x
                if self.keeps_on_self:
                    self.early = x
            if self.skip and number == self.skip[1]:
                x = self._bridged(x, self.early if self.keeps_on_self else early, self.kinds[number])
        return self.form(self.classifier(self.pool(x)))

    def _bridged(self, x: Tensor, early: Tensor, kind: str) -> Tensor:
        """Joined to what an earlier stage made, or to the image; tokens get its mean."""
        if kind == "tokens":
            return x + self.bridge(early.mean((2, 3), keepdim=True)).flatten(2).transpose(1, 2)
        return x + self.bridge(F.adaptive_avg_pool2d(early, x.shape[2:]))


@dataclass(frozen=True)
class Drawn:
    """A network, the size of its images, its number of classes, and the grid of its tokens if it makes any."""

    network: Network
    size: tuple[int, int]
    classes: int
    tokens: Grid


def draw_network(draw: Draw) -> Drawn:
    """Draw a network; its weights come from torch's generator."""
    height, width = (4 * draw.of(side, (3, 4, 5)) for side in ("height/4", "width/4"))
    channels, classes = draw.of("channels", (4, 6, 8)), draw.of("classes", (1, 2, 3, 5))
    stages, kinds = [_stem(draw, channels)], ["NCHW"]
    sides = (height // 2, width // 2)
    for _ in range(draw.of("blocks", (1, 2, 3))):
        even = not any(side % 2 for side in sides)
        last = draw.chance("channels last", 0.15) and even
        stages.append(channels_last_block(draw, channels) if last else block(draw, channels))
        kinds.append("NCHW")
        if even and draw.chance("halved", 0.2):
            stages.append(nn.Sequential(strided(draw, channels, channels), norm(draw, channels)))
            kinds.append("NCHW")
            sides = (sides[0] // 2, sides[1] // 2)
    prefix = 0
    if tokens := draw.chance("tokens", 0.4):
        prefix = draw.of("prefix tokens", (0, 1, 2))
        blocks = [token_block(draw, channels, sides, prefix) for _ in range(draw.of("token blocks", (1, 2)))]
        stages += [Tokens(channels, sides[0] * sides[1], prefix), *blocks]
        kinds += ["tokens"] * (1 + len(blocks))
    _share(draw, stages, kinds)
    grid = Grid("tokens", sides, prefix)
    pool, features = _pool(draw, channels, grid, tokens=tokens)
    network = Network(stages, kinds, pool, head(draw, features, classes))
    network.form = FORMS[draw.of("returned as", FORMS)]
    _with_skip(draw, network, channels)
    return Drawn(network, (height, width), classes, grid)


def _stem(draw: Draw, channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 2, stride=2), norm(draw, channels))


def _share(draw: Draw, stages: list[nn.Module], kinds: list[str]) -> None:
    """Let one block run twice, with others in between or not."""
    shareable = [number for number in range(1, len(stages)) if not isinstance(stages[number], (Tokens, nn.Sequential))]
    if shareable and draw.chance("one block twice", 0.1):
        number = shareable[draw.index(len(shareable))]
        fits = number if isinstance(stages[number], ChannelsLast) else max(_alike(kinds, kinds[number]))
        stages.insert(fits + 1, stages[number])
        kinds.insert(fits + 1, kinds[number])


def _alike(kinds: list[str], kind: str) -> list[int]:
    return [number for number, each in enumerate(kinds) if each == kind]


def _pool(draw: Draw, channels: int, grid: Grid, *, tokens: bool) -> tuple[nn.Module, int]:
    """Draw what makes a vector of the map or of the tokens, and how long that is."""
    if tokens:
        count = grid.prefix + grid.sides[0] * grid.sides[1]
        return TOKEN_POOLS[draw.of("pooled by", TOKEN_POOLS)](channels, count)
    return MAP_POOLS[draw.of("pooled by", MAP_POOLS)](channels, grid.sides)


def _with_skip(draw: Draw, network: Network, channels: int) -> None:
    """A long skip from an earlier map, or from the image, to a later stage; and what saves memory."""
    if draw.chance("long skip", 0.3):
        maps = [-1, *(number for number, kind in enumerate(network.kinds) if kind == "NCHW")]
        begin = maps[draw.index(len(maps))]
        later = range(begin + 1, len(network.stages))
        if later:
            network.skip = (begin, later[draw.index(len(later))])
            network.bridge = nn.Conv2d(3 if begin < 0 else channels, channels, 1)
            network.keeps_on_self = begin >= 0 and draw.chance("skip kept as an attribute", 0.15)
            draw.choices.append(f"skip from stage {begin} to {network.skip[1]}")
    network.shifts_input = draw.chance("shifts its input in place", 0.1)
    if draw.chance("checkpointing", 0.15):
        reentrant = draw.of("reentrant", (True, False))
        network.saving = {number: reentrant for number in range(len(network.stages)) if draw.index(2)}
