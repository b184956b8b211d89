"""How near the estimates are behind a LayerNorm of the mean, by what stands in for absent content.

python bench/removal.py [--data FOLDER] [--images N]     prints the table and writes bench/results/removal.md

Four photographs take about four minutes on two cores, nearly all of it for their true values behind the mean.

The network is the default one with a LayerNorm between its pooling and its classifier, at the layer before pooling. The
reference photographs are others than those that are explained. Errors are ‖φ̂ - φ‖ / ‖φ‖ from sampled true values.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from measure import THREADS, machine, report
from shapleycam import Explainer, Game, values
from shapleycam.errors import ShapleyCamWarning
from shapleycam.models.resolve import resolve_network
from shapleycam.models.zoo import DEFAULT
from shapleycam.values import ShapleyValues
from shapleycam.values.distance import relative_error

DATA = Path(__file__).parents[2] / "shared/data/imagenet-sample"
LAYER = "bn2"
TOLERANCES = {"zero": 0.05, "mean": 0.02}
"""Of the true values: a fraction of what path is off with each removal, since they take most of the time."""
ESTIMATORS: dict[str, Callable[[Game], ShapleyValues]] = {
    "first order": lambda game: values.taylor(game, order=1),
    "second order": values.taylor,
    "path, 8 nodes": lambda game: values.path(game, nodes=8),
    "path, 32 nodes": lambda game: values.path(game, nodes=32),
    "32 orders": lambda game: values.permutation(game, orders=32),
}


def normed(model: nn.Module) -> nn.Module:
    """Return a copy of the network with a LayerNorm of the mean before its classifier."""
    copied = copy.deepcopy(model)
    copied.global_pool = nn.Sequential(copied.global_pool, nn.LayerNorm(copied.num_features))
    return copied.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of photographs")
    parser.add_argument("--images", type=int, default=4, help="photographs that are explained")
    parser.add_argument("--references", type=int, default=64, help="photographs that the mean is taken over")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    photographs = sorted(options.data.rglob("*.JPEG"))
    if len(photographs) < options.images + options.references:
        parser.error(f"{len(photographs)} photographs (*.JPEG) below {options.data}: name the folder with --data")
    network = resolve_network(DEFAULT)
    explainer = Explainer(normed(network.model), layer=LAYER, preprocess=network.preprocess, device="cpu")
    step = len(photographs) // options.images
    explained = photographs[::step][: options.images]
    reference = [photo for photo in photographs if photo not in explained][: options.references]
    rows = [
        row_of("zero", explainer.game(explained), TOLERANCES["zero"]),
        row_of(
            f"mean of {len(reference)} photographs",
            explainer.game(explained, removal="mean", reference=reference),
            TOLERANCES["mean"],
        ),
    ]
    report("removal.md", "\n".join(text_of(rows, options.images)))


def row_of(name: str, game: Game, tolerance: float) -> list[str]:
    """Return a row of the table: the removal, v(N), how near the true values are, each estimator's median error."""
    true = values.permutation(game, tolerance=tolerance, seed=99)
    cells = [name, f"{statistics.median(game.grand.tolist()):.2f}", f"{float(true.uncertainty.max()):.1%}"]
    for estimate in ESTIMATORS.values():
        errors = relative_error(estimate(game).values.double(), true.values).tolist()
        cells.append(f"{statistics.median(errors):.1%} ({max(errors):.0%})")
    return cells


def text_of(rows: list[list[str]], images: int) -> list[str]:
    """Return the report, line by line."""
    head = ["removal", "v(N)", "true values to", *ESTIMATORS]
    return [
        "# What stands in for absent content, behind a LayerNorm",
        "",
        f"`python bench/removal.py --images {images}` on {machine('timm')}",
        "",
        f"EfficientNet-Lite0 at `{LAYER}` with a LayerNorm between pooling and classifier,",
        f"ReST, the predicted class of {images} ImageNet photographs.",
        "Errors ‖φ̂ - φ‖ / ‖φ‖ from values that were sampled: the median (and the largest). The norm is the same",
        "for every multiple of the mean, so that derivatives along the way from zero see nothing; the way from a mean",
        "leads through other directions.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


if __name__ == "__main__":
    main()
