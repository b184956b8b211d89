"""The figures of docs/theory.md, from explanations of the photograph that ships: writes docs/images/theory/.

python bench/theory_figures.py                    # ten seconds on two cores
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

import shapleycam
from measure import THREADS
from shapleycam import values
from shapleycam.models import zoo
from shapleycam.values.distance import efficiency_gap

DOCS = Path(__file__).parents[1] / "docs"
LAYERS = {"bn2": "before pooling (bn2)", "blocks.6": "before a convolution (blocks.6)"}
EDGES = (0, 2, 5, 7)
"""Where the nine regions begin and end, in cells of the layer's grid of 7 x 7."""
REGIONS = torch.bucketize(torch.arange(7), torch.tensor(EDGES[1:-1]), right=True)
LABELS = REGIONS[:, None] * 3 + REGIONS
PRESENT, PLACE = (1, 4, 6, 8), 7
"""The coalition that the first figure shows, and the place that joins it."""
INK, FAINT, FIRST, SECOND, PATH, TRUE = "#222222", "#8a8a8a", "#b34700", "#1f5fa8", "#1c7d4d", "#111111"
STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11}
COLOURS = 80
"""A figure of few colours is a fourth of the bytes; no difference can be seen."""


def the_coalitions() -> tuple[Tensor, Tensor]:
    """Return the coalition that the first figure shows, and it with the place that joins it."""
    coalition = torch.zeros(9, dtype=torch.bool)
    coalition[list(PRESENT)] = True
    joined = coalition.clone()
    joined[PLACE] = True
    return coalition, joined


def the_game(explainer: shapleycam.Explainer, photo: Path) -> Figure:
    """A coalition, what a place adds to it, the shares of nine places, and that they make up the whole."""
    game = explainer.game(photo, players=LABELS)
    shares = values.exact(game).values[0]
    coalition, joined = the_coalitions()
    without, with_place = game.value(torch.stack([coalition, joined]))[0].tolist()
    picture = explainer.explain(photo).picture(0).numpy() / 255

    figure = Figure(figsize=(6.8, 7.4), layout="constrained")
    upper, lower = figure.subplots(2, 2)
    _show_coalition(upper[0], picture, coalition, f"coalition S is worth v(S) = {without:.2f}")
    _show_coalition(upper[1], picture, joined, f"with place j: {with_place:.2f}, so j adds {with_place - without:+.2f}")
    _outline(upper[1], PLACE)
    _show_shares(lower[0], picture, shares)
    lower[0].set_title("the mean over all orders is j's share")
    _stack(lower[1], shares, float(game.grand[0]))
    return figure


def _show_coalition(axis: Axes, picture: np.ndarray, coalition: Tensor, title: str) -> None:
    present = np.kron(coalition[LABELS].numpy(), np.ones((32, 32)))[..., None]
    axis.imshow(np.where(present > 0, picture, 0.9 + 0.06 * (picture.mean(2, keepdims=True) - 0.5)))
    _lines(axis)
    axis.set_title(title)


def _show_shares(axis: Axes, picture: np.ndarray, shares: Tensor) -> None:
    largest = 1.4 * float(shares.abs().max())  # without the scale's darkest ends
    colours = mpl.colormaps["RdBu_r"](Normalize(-largest, largest)(np.kron(shares[LABELS].numpy(), np.ones((32, 32)))))
    axis.imshow(0.3 * picture.mean(2, keepdims=True) + 0.7 * colours[..., :3])
    _lines(axis)
    for place, share in enumerate(shares.tolist()):
        down, across = (16 * (EDGES[i] + EDGES[i + 1]) for i in divmod(place, 3))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        axis.text(across, down, f"{share:+.2f}", ha="center", va="center", color=INK, bbox=box)


def _lines(axis: Axes) -> None:
    for edge in EDGES[1:-1]:
        axis.axhline(32 * edge - 0.5, color="white", linewidth=1.5)
        axis.axvline(32 * edge - 0.5, color="white", linewidth=1.5)
    axis.set(xlim=(-3, 226), ylim=(226, -3))  # the same whether a place has a frame or not
    axis.axis("off")


def _outline(axis: Axes, place: int) -> None:
    """Draw a frame around a place and its letter."""
    row, column = divmod(place, 3)
    top, bottom, left, right = (32 * EDGES[i] for i in (row, row + 1, column, column + 1))
    axis.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#d7191c", linewidth=3)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axis.text(left + 8, top + 8, "j", ha="left", va="top", color="#d7191c", weight="bold", bbox=box)


def _stack(axis: Axes, shares: Tensor, grand: float) -> None:
    """Draw each share where the one before it ended; the last ends at v(N)."""
    ends = shares.cumsum(0)
    colours = ["#b2182b" if share > 0 else "#2166ac" for share in shares.tolist()]
    axis.barh(range(9), shares, left=ends - shares, color=colours)
    axis.axvline(grand, color=INK, linestyle="--", linewidth=1)
    axis.text(grand - 0.2, -0.5, f"v(N) = {grand:.2f}", ha="right", va="center", color=INK)
    axis.set(
        xlim=(0, 1.05 * grand), ylim=(9, -1), yticks=[], xlabel="units of ReST", title="the nine shares make up v(N)"
    )
    axis.set_ylabel("places, row by row")


def the_gap(explainer: shapleycam.Explainer, photo: Path) -> Figure:
    """What each method divides, of what there is to divide."""
    game = explainer.game(photo)
    names = ("gradcam", "shapleycam", "pathcam", "sampledshapley")
    explanations = explainer.compare(photo, names)
    sums = [float(explanations[name].values.sum()) for name in names]
    grand = float(game.grand[0])
    figure = Figure(figsize=(6.8, 2.9), layout="constrained")
    axis = figure.subplots()
    axis.barh(range(4), sums, color=[FIRST, SECOND, PATH, TRUE], height=0.6)
    missing = [grand - total for total in sums]
    axis.barh(range(4), missing, left=sums, color="none", edgecolor=FAINT, hatch="///", height=0.6)
    axis.axvline(grand, color=INK, linestyle="--", linewidth=1)
    for row, name in enumerate(names):
        gap = float(efficiency_gap(explanations[name].values.flatten(1), game.grand)[0])
        text = f"{sums[row]:.2f}, gap {gap:.0%}" if gap >= 0.005 else f"{sums[row]:.2f}, no gap"
        axis.text(0.2, row, text, va="center", color="white")
    axis.text(grand - 0.1, -0.7, f"v(N) = {grand:.2f}", ha="right", va="center", color=INK)
    axis.set(yticks=range(4), yticklabels=names, ylim=(3.5, -1), xlim=(0, 1.03 * grand))
    axis.set_xlabel("sum of the values, in units of ReST")
    return figure


def the_path(explainers: dict[str, shapleycam.Explainer], photo: Path) -> Figure:
    """The value of all places at a degree t, what first and second order expect of it, and random coalitions."""
    figure = Figure(figsize=(6.8, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    generator = torch.Generator().manual_seed(0)
    for axis, (layer, explainer) in zip(axes, explainers.items(), strict=True):
        game = explainer.game(photo)
        grand = float(game.grand[0])
        degrees = torch.linspace(0, 1, 61)
        worth = [float(game.utility_at(t * game.activation)[0] - game.empty[0]) for t in degrees]
        slope = float((game.activation * game.gradient()).sum())
        bend = float((game.activation * game.hvp(game.activation)).sum())
        sizes = torch.randint(1, game.n_players, (120,), generator=generator)
        drawn = torch.stack([torch.randperm(game.n_players, generator=generator) < size for size in sizes])
        axis.scatter(
            sizes / game.n_players, game.value(drawn)[0], s=9, color=FAINT, label="random coalitions", zorder=1
        )
        axis.plot(degrees, worth, color=PATH, linewidth=2.5, label="all places to degree t")
        axis.plot(degrees, grand - (1 - degrees) * slope, color=FIRST, linestyle="--", label="first order")
        parabola = grand - (1 - degrees) * slope + (1 - degrees) ** 2 * bend / 2
        axis.plot(degrees, parabola, color=SECOND, linestyle=":", linewidth=2, label="second order")
        axis.set(xlabel="t, or the share of places present", title=LAYERS[layer], ylim=(-0.6 * grand, 1.25 * grand))
    axes[0].set_ylabel("value, in units of ReST")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


ESTIMATES: dict[str, tuple[str, str, Callable[[shapleycam.Game], values.ShapleyValues]]] = {
    "first order": (FIRST, "o", lambda game: values.taylor(game, 1)),
    "second order": (SECOND, "s", lambda game: values.taylor(game, 2)),
    "path": (PATH, "^", values.path),
}


def the_estimates(explainers: dict[str, shapleycam.Explainer], photo: Path) -> Figure:
    """Each place's estimated value against its sampled one, whose standard error is smaller than a mark."""
    figure = Figure(figsize=(6.8, 3.7), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (layer, explainer) in zip(axes, explainers.items(), strict=True):
        game = explainer.game(photo)
        true = values.permutation(game, tolerance=0.01)
        axis.axline((0, 0), slope=1, color=FAINT, linewidth=1)
        for name, (colour, marker, estimator) in ESTIMATES.items():
            estimate = estimator(game).values[0].detach()
            axis.scatter(true.values[0], estimate, s=14, color=colour, marker=marker, label=name)
        axis.set(title=LAYERS[layer], xlabel="true value (to 1%)")
    axes[0].set_ylabel("estimate, in units of ReST")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure on white, which is readable beside a light and a dark text."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.12)
    Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw the four figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DOCS / "images/theory", help="The folder of the figures.")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    photo = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    explainers = {layer: shapleycam.Explainer(zoo.DEFAULT, layer=layer, device="cpu") for layer in LAYERS}
    with mpl.rc_context(STYLE):
        save(the_game(explainers["bn2"], photo), out / "game.png")
        save(the_gap(explainers["bn2"], photo), out / "gap.png")
        save(the_path(explainers, photo), out / "path.png")
        save(the_estimates(explainers, photo), out / "estimates.png")


if __name__ == "__main__":
    main()
