"""What true Shapley values cost at a class-token ViT's default layer, against the user's own forward pass.

python bench/class_token.py [--rounds N] [--photos N] [--data FOLDER]    writes bench/results/class_token.md

Untrained DeiT-small networks whose attention is sharpened, so that a token gets up to tens of times another's weight,
as in trained networks. Nothing of them is downloaded. Times are of one image, as ratios to the eager pass that was run
just before.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from measure import THREADS, machine, report, seconds
from shapleycam import Explainer, values
from shapleycam.errors import ShapleyCamWarning
from shapleycam.game import Game
from shapleycam.values import ShapleyValues

DATA = Path(__file__).parents[2] / "shared/data/imagenet-sample"
TOLERANCES = (0.03, 0.01)
COLUMNS = (
    "| network | images | a coalition | by the head itself | the shortcut | a model's first call, to 3% | orders to 3% "
    "| later calls | error | orders to 1% | later calls | error | largest error |"
)
ESTIMATES = "| network | first order | second order | path, 8 nodes | curvature |"
CPU = torch.device("cpu")
WITH_SHORTCUT, WITHOUT = 4096, 64
"""Coalitions of a measurement."""


@dataclass(frozen=True)
class Case:
    """A network and the images that it explains."""

    name: str
    factor: float
    whole: bool
    """Whether all matrices are larger by the factor; otherwise queries and keys alone."""
    images: list[Tensor] | list[Path]

    def model(self) -> nn.Module:
        """Return the network."""
        torch.manual_seed(0)
        model = timm.create_model("deit_small_patch16_224").eval().requires_grad_(requires_grad=False)
        for name, parameter in model.named_parameters():
            if self.whole and parameter.dim() == 2:
                parameter.mul_(self.factor)
            elif name.endswith("qkv.weight") and not self.whole:
                parameter[: 2 * parameter.shape[1]].mul_(self.factor)
        return model


@dataclass(frozen=True)
class Sampled:
    """What sampling an image to a tolerance took: orders, ratio to the forward pass, and the error that was made."""

    orders: float
    passes: float
    error: float


@dataclass(frozen=True)
class Row:
    """What was measured of one case."""

    name: str
    images: int
    with_shortcut: float
    without: float
    first: float
    sampled: dict[float, list[Sampled]]
    estimates: list[float]


def smooth_image() -> Tensor:
    """Return an image of smooth noise (1, 3, 224, 224)."""
    noise = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, 224, mode="bicubic")


def measure(case: Case, rounds: int) -> Row:
    """Return a row of the table: medians over rounds and images, each beside a forward pass."""
    first = statistics.median(first_call(case) for _ in range(rounds))
    explainer = Explainer(case.model(), device="cpu")
    values.permutation(explainer.game(case.images[0]), orders=4)  # what is learned once a model, and the kept proof
    ratios: tuple[list[float], list[float]] = ([], [])
    sampled: dict[float, list[Sampled]] = {tolerance: [] for tolerance in TOLERANCES}
    estimates = []
    for given in case.images:
        image = explainer.explain(given, "gradcam").images
        floor = partial(run, explainer.model, image)
        game = explainer.game(image)
        if not game.structure.query_rows:
            raise SystemExit("the shortcut was not proven")
        for times, (call, count) in zip(ratios, coalition_calls(game), strict=True):
            for _ in range(rounds):
                times.append(seconds(call, CPU) / min(seconds(floor, CPU) for _ in range(2)) / count)
        reference = values.permutation(game, tolerance=0.004, seed=99)
        for tolerance in TOLERANCES:
            for seed in range(rounds):
                forward = min(seconds(floor, CPU) for _ in range(3))
                shares: list[ShapleyValues] = []
                took = seconds(partial(append_sample, shares, explainer, image, tolerance, seed), CPU)
                orders = float(shares[0].evaluations[0]) / (game.n_players - 1)
                sampled[tolerance].append(Sampled(orders, took / forward, distance(shares[0], reference)))
        derived = [values.taylor(game, 1), values.taylor(game, 2), values.path(game, 8)]
        errors = [distance(shares, reference) for shares in derived]
        change = (derived[1].values - derived[0].values).abs().sum()
        estimates.append([*errors, float(change / (derived[0].values.abs().sum() + change))])
    medians = [statistics.median(times) for times in ratios]
    columns = [statistics.median(column) for column in zip(*estimates, strict=True)]
    return Row(case.name, len(case.images), medians[0], medians[1], first, sampled, columns)


def first_call(case: Case) -> float:
    """Return the ratio to the forward pass of sampling to the first tolerance with a model that nothing is known of."""
    image = Explainer(case.model(), device="cpu").explain(case.images[0], "gradcam").images
    explainer = Explainer(case.model(), device="cpu")
    forward = min(seconds(partial(run, explainer.model, image), CPU) for _ in range(3))
    return seconds(partial(append_sample, [], explainer, image, TOLERANCES[0], 0), CPU) / forward


def run(model: nn.Module, image: Tensor) -> None:
    """Run the user's own pass."""
    with torch.inference_mode():
        model(image)


def coalition_calls(game: Game) -> list[tuple[Callable[[], object], int]]:
    """Return calls that evaluate coalitions with the shortcut and without, and how many."""
    coalitions = torch.rand(WITH_SHORTCUT, game.n_players, generator=torch.Generator().manual_seed(1)) < 0.5
    evaluator, images = game._coalitions, torch.tensor([0])  # noqa: SLF001

    def without() -> None:
        with torch.no_grad():
            evaluator.batches.utilities(evaluator.general, coalitions[None, :WITHOUT], images)

    return [(partial(game.value, coalitions), WITH_SHORTCUT), (without, WITHOUT)]


def distance(shares: ShapleyValues, reference: ShapleyValues) -> float:
    """Return ‖φ̂ - φ‖ / ‖φ‖."""
    return float((shares.values - reference.values).norm() / reference.values.norm())


def append_sample(
    shares: list[ShapleyValues], explainer: Explainer, image: Tensor, tolerance: float, seed: int
) -> None:
    """Append values sampled to a tolerance, from an image: a pass, what is proven of the head, and the coalitions."""
    shares.append(values.permutation(explainer.game(image), tolerance=tolerance, seed=seed))


def main() -> None:
    """Print the table and write it to bench/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    paths = sorted(arguments.data.rglob("*.JPEG"))
    photos = paths[:: max(1, len(paths) // arguments.photos)][: arguments.photos]
    if not photos:
        parser.error(f"no photographs (*.JPEG) below {arguments.data}: name the folder with --data")
    noise = [smooth_image()]
    rows = [
        measure(case, arguments.rounds)
        for case in (
            Case("queries and keys 2 x, noise", 2.0, whole=False, images=noise),
            Case("queries and keys 3 x, noise", 3.0, whole=False, images=noise),
            Case("all matrices 3 x, photographs", 3.0, whole=True, images=photos),
            Case("queries and keys 6 x, photographs", 6.0, whole=False, images=photos),
        )
    ]
    lines = [
        "# True values at a class token's layer",
        "",
        f"`python bench/class_token.py --rounds {arguments.rounds} --photos {arguments.photos}` on {machine('timm')}",
        "",
        "Untrained DeiT-small networks (224 pixels) at the default layer, `blocks.11.norm1`: 196 cells and the class",
        "token's player, ReST; matrices are so many times as large as timm draws them. Times are divided by that of",
        "the user's eager pass of one image, run just before; sampling includes a pass, the table of tokens and the",
        "control variate, which counts as 128 evaluations. A model's first call learns what comes after the layer,",
        "proves and confirms it; later calls, of any image, record it and check four coalitions after each use. Error:",
        "from values sampled to 0.4%, of other orders. Medians over images and seeds.",
        "",
        COLUMNS,
        "|" + "---|" * 13,
    ]
    for row in rows:
        cells = [row.name, str(row.images), f"1/{1 / row.with_shortcut:,.0f}", f"1/{1 / row.without:,.0f}"]
        cells += [f"{row.without / row.with_shortcut:.0f} x", f"{row.first:.1f}"]
        for samples in row.sampled.values():
            orders, passes, error = (
                statistics.median(getattr(sample, name) for sample in samples) for name in ("orders", "passes", "error")
            )
            cells += [f"{orders:,.1f}", f"{passes:.1f}", f"{100 * error:.2f}%"]
        cells.append(f"{100 * max(sample.error for sample in samples):.2f}%")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "What derivatives make of the same values (errors, medians over images):",
        "",
        ESTIMATES,
        "|---" * 5 + "|",
    ]
    lines += [f"| {row.name} | {' | '.join(f'{figure:.2f}' for figure in row.estimates)} |" for row in rows]
    report("class_token.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
