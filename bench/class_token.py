"""What true Shapley values cost at a class-token ViT's default layer, against the user's own forward pass.

python bench/class_token.py [--rounds N]     prints the table and writes bench/results/class_token.md

An untrained DeiT-small whose attention is sharpened: queries and keys are 2 and 3 times as large as timm draws them, so
that a token gets up to tens of times another's weight, as in trained networks. Nothing of it is downloaded. Times are
of one image, as ratios to the eager pass that was run just before.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from measure import THREADS, machine, report, seconds
from shapleycam import Explainer, values
from shapleycam.errors import ShapleyCamWarning
from shapleycam.values import ShapleyValues

SHARPNESS = (2.0, 3.0)
TOLERANCES = (0.03, 0.01)
COLUMNS = (
    "| queries and keys | a coalition | by the head itself | the shortcut | orders to 3% | time | error | orders to 1% "
    "| time | error | variance that is the class token's |"
)
CPU = torch.device("cpu")
WITH_SHORTCUT, WITHOUT = 4096, 64
"""Coalitions of a measurement."""


@dataclass(frozen=True)
class Row:
    """What was measured of one network."""

    sharpness: float
    with_shortcut: float
    without: float
    sampled: dict[float, tuple[float, float, float]]
    """By tolerance: orders, ratio to the forward pass, and the distance from values of other orders."""
    prefix_share: float


def sharpened(sharpness: float) -> nn.Module:
    """Return the network, its queries and keys larger."""
    torch.manual_seed(0)
    model = timm.create_model("deit_small_patch16_224").eval().requires_grad_(requires_grad=False)
    for name, parameter in model.named_parameters():
        if name.endswith("qkv.weight"):
            parameter[: 2 * parameter.shape[1]] *= sharpness
    return model


def smooth_image() -> Tensor:
    """Return an image of smooth noise (1, 3, 224, 224)."""
    noise = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, 224, mode="bicubic")


def measure(sharpness: float, rounds: int) -> Row:
    """Return a row of the table: medians over rounds, each beside a forward pass."""
    model, image = sharpened(sharpness), smooth_image()
    explainer = Explainer(model, device="cpu")

    def forward() -> None:
        with torch.inference_mode():
            model(image)

    def ratio(call: Callable[[], object], per: int) -> float:
        ratios = []
        for _ in range(rounds):
            floor = min(seconds(forward, CPU) for _ in range(2))
            ratios.append(seconds(call, CPU) / floor / per)
        return statistics.median(ratios)

    game = explainer.game(image)
    if not game.structure.query_rows:
        raise SystemExit("the shortcut was not proven")
    generator = torch.Generator().manual_seed(1)
    coalitions = torch.rand(WITH_SHORTCUT, game.n_players, generator=generator) < 0.5
    evaluator = game._coalitions  # noqa: SLF001
    images = torch.tensor([0])

    def without() -> None:
        with torch.no_grad():
            evaluator.run(evaluator.general, coalitions[None, :WITHOUT], images)

    reference = values.permutation(game, orders=512, seed=99)
    sampled = {}
    for tolerance in TOLERANCES:
        floor = min(seconds(forward, CPU) for _ in range(3))
        shares: list[ShapleyValues] = []
        took = seconds(partial(append_sample, shares, explainer, image, tolerance), CPU)
        error = float((shares[0].values - reference.values).norm() / reference.values.norm())
        sampled[tolerance] = (float(shares[0].evaluations[0]) / (game.n_players - 1), took / floor, error)
    variance = reference.stderr.square()
    return Row(
        sharpness,
        ratio(lambda: game.value(coalitions), WITH_SHORTCUT),
        ratio(without, WITHOUT),
        sampled,
        float(variance[0, -1] / variance.sum()),
    )


def append_sample(shares: list[ShapleyValues], explainer: Explainer, image: Tensor, tolerance: float) -> None:
    """Append values sampled to a tolerance, from an image: a pass, the proof of the head, and the coalitions."""
    shares.append(values.permutation(explainer.game(image), tolerance=tolerance))


def main() -> None:
    """Print the table and write it to bench/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    rows = [measure(sharpness, arguments.rounds) for sharpness in SHARPNESS]
    lines = [
        "# True values at a class token's layer",
        "",
        f"`python bench/class_token.py --rounds {arguments.rounds}` on {machine('timm')}",
        "",
        "An untrained DeiT-small (224 pixels) at its default layer, `blocks.11.norm1`: 196 cells and the class token's",
        "player, ReST; queries and keys are larger than timm draws them. Times are divided by that of the user's eager",
        "pass of one image, run just before. Error: from values of 512 other orders. Sampling includes a pass, the",
        "proof of the head, and the table of tokens.",
        "",
        COLUMNS,
        "|" + "---|" * 11,
    ]
    for row in rows:
        cells = [f"{row.sharpness:.0f} x", f"1/{1 / row.with_shortcut:,.0f}", f"1/{1 / row.without:,.0f}"]
        cells.append(f"{row.without / row.with_shortcut:.0f} x")
        for orders, time, error in row.sampled.values():
            cells += [f"{orders:,.0f}", f"{time:.1f}", f"{100 * error:.1f}%"]
        lines.append("| " + " | ".join([*cells, f"{100 * row.prefix_share:.0f}%"]) + " |")
    report("class_token.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
