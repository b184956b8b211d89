"""What the fitted surrogate of `values.permutation` saves, and takes, where a coalition costs a run of the head.

    python bench/surrogate.py [FOLDER_OF_PHOTOGRAPHS]     writes bench/results/surrogate.md

Both standard errors of a row are of the same orders, and both times of the same run. It is fitted for every head here,
also where `permutation` leaves it out, since the head is cheap.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from measure import machine, report
from shapleycam import Explainer, values
from shapleycam.game import Game
from shapleycam.values import _surrogate_control
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._surrogate_control import SurrogateControl

DATA = Path(__file__).parents[2] / "shared/data/reference/crops"
PHOTOGRAPHS = 2
CASES = (
    ("EfficientNet-Lite0, blocks.4", "efficientnet_lite0", "blocks.4", None, (64, 256)),
    ("EfficientNet-Lite0, blocks.2, 14 x 14 regions", "efficientnet_lite0", "blocks.2", (14, 14), (64,)),
    ("two 3 x 3 convolutions of 8 channels, 14 x 14 cells", "small", "0", None, (64, 256)),
)


@dataclass
class Watched:
    """What correcting took in a run, and the standard errors before and after the last correction."""

    seconds: float = 0.0
    before: Tensor = field(default_factory=lambda: torch.zeros(1))
    after: Tensor = field(default_factory=lambda: torch.zeros(1))


def small_network() -> nn.Sequential:
    """A head that is cheap, and that no shortcut takes."""
    torch.manual_seed(0)
    convolutions = (nn.Conv2d(8, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1), nn.GELU())
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), *convolutions, *head).eval()


def watch(watched: Watched) -> None:
    """Let corrections tell how long they took, and what they changed."""
    original = SurrogateControl.correct

    def correct(
        control: SurrogateControl, sums: StreamSums, game: Game, images: Tensor, tolerance: float | None
    ) -> None:
        sums.fitted.zero_()
        watched.before = sums.stderr
        start = time.perf_counter()
        original(control, sums, game, images, tolerance)
        watched.seconds += time.perf_counter() - start
        watched.after = sums.stderr

    SurrogateControl.correct = correct


HEADING = """# A surrogate fitted to the samples, where a coalition costs a run of the head

`python bench/surrogate.py` on {machine}

One photograph a row, utility ReST. Evaluations and time for the same error, as a share of what it takes without the
surrogate: below 1 is a gain. The last head is so small that `values.permutation` leaves the surrogate out.

| head and photograph | orders | evaluations for the same error | s, evaluating | s, fitting | time for the same error |
|---|---|---|---|---|---|
"""


def main(folder: Path) -> None:
    watched = Watched()
    watch(watched)
    _surrogate_control.LEAST_BYTES = 0
    rows = []
    for name, network, layer, players, several in CASES:
        explainer = Explainer(small_network() if network == "small" else network, layer=layer, device="cpu")
        for orders in several:
            for photo in sorted(folder.glob("*.png"))[:PHOTOGRAPHS]:
                game = game_of(explainer, photo, players)
                watched.seconds, start = 0.0, time.perf_counter()
                values.permutation(game, orders=orders)
                seconds = time.perf_counter() - start - watched.seconds
                saved = float(watched.after.square().sum() / watched.before.square().sum())
                whole = saved * (seconds + watched.seconds) / seconds
                head = f"{name}: {photo.stem}"
                rows.append(
                    f"| {head} | {orders} | {saved:.2f} | {seconds:.2f} | {watched.seconds:.2f} | {whole:.2f} |"
                )
    report("surrogate.md", HEADING.format(machine=machine("timm")) + "\n".join(rows) + "\n")


def game_of(explainer: Explainer, photo: Path, players: tuple[int, int] | None) -> Game:
    if explainer.preprocess is None:
        from torchvision.io import read_image

        return explainer.game(read_image(str(photo))[None, :3].float() / 128 - 1, players=players, utility="rest")
    return explainer.game(photo, players=players, utility="rest")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
