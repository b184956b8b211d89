"""How near each estimator comes to the true Shapley values, for how many head evaluations and how much time.

python bench/shapley.py [--photos N] [--data FOLDER]     prints the tables and writes bench/results/shapley.md

Ours, shapiq's on the very same game, and captum's, which runs the whole network again for each coalition. Errors are
‖φ̂ - φ‖ / ‖φ‖, medians over photographs; times are of one photograph, the forward pass not included, and are also given
as a ratio to the plain forward pass that was run just before.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from captum.attr import ShapleyValueSampling
from shapiq.approximator import KernelSHAP, PermutationSamplingSV
from torch import Tensor, nn

from measure import THREADS, machine, report, seconds
from shapleycam import Explainer, values
from shapleycam.errors import ShapleyCamError, ShapleyCamWarning
from shapleycam.game import Game

DATA = Path(__file__).parents[2] / "shared/data/imagenet-sample"
LAYERS = {"bn2": (None, 0.002), "blocks.6": (None, 0.002), "blocks.5": (3, 0.015)}
"""Of the default network: how many photographs at most, and to what the true values are sampled."""
LEVELS = (0.3, 0.1, 0.05, 0.02, 0.01, 0.005)
CPU = torch.device("cpu")
Estimator = Callable[[Game], Tensor]


@dataclass(frozen=True)
class Point:
    """One estimator with one budget, over all photographs (medians)."""

    name: str
    budget: str
    evaluations: float
    error: float
    ms: float
    passes: float


def antithetic_pairs(game: Game, pairs: int, seed: int) -> Tensor:
    """The textbook: random orders, each with its reverse."""
    n = game.n_players
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(pairs, n, generator=generator).argsort(1).argsort(1)
    places = torch.cat([order, n - 1 - order])
    inside = places[:, None] < torch.arange(n + 1)[:, None]
    worth = game.value(inside.flatten(0, 1)).double().unflatten(1, (2 * pairs, n + 1))
    return worth.diff(dim=2).gather(2, places[None]).mean(1)


def of_shapiq(maker: Callable[..., object], budget: int) -> Estimator:
    """A shapiq approximator on our game: it calls for coalitions, as it does for any."""

    def estimate(game: Game) -> Tensor:
        def worth(coalitions: np.ndarray) -> np.ndarray:
            return game.value(torch.from_numpy(np.atleast_2d(coalitions).astype(bool)))[0].double().numpy()

        interaction_values = maker(n=game.n_players, random_state=0).approximate(budget, worth)
        return torch.from_numpy(np.asarray(interaction_values.get_n_order_values(1)))[None]

    return estimate


def of_captum(explainer: Explainer, image: Tensor, samples: int) -> Estimator:
    """captum's ShapleyValueSampling of the same game, by running the whole network for each coalition."""
    layer = explainer.model.get_submodule(explainer.find_layer())

    def estimate(game: Game) -> Tensor:
        def utility(present: Tensor) -> Tensor:
            def zeroed(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
                return output * game.layout.broadcast(present)

            hook = layer.register_forward_hook(zeroed)
            try:
                with torch.inference_mode():
                    output = explainer.model(image.expand(len(present), -1, -1, -1))
            finally:
                hook.remove()
            return game.utility(output, game.target.expand(len(present)))

        present = torch.ones(1, game.n_players)
        sampling = ShapleyValueSampling(utility)
        return sampling.attribute(present, n_samples=samples, perturbations_per_eval=game.n_players).double()

    return estimate


def estimators(
    explainer: Explainer, image: Tensor, *, whole: bool
) -> Iterator[tuple[str, str, Callable[[Game], float], Estimator]]:
    """Name, budget, head evaluations (gradients for path and Taylor) and estimator; `whole` leaves out the slowest."""
    for order in (1, 2):
        yield f"Taylor {order}", f"order {order}", lambda _, o=order: o, lambda g, o=order: values.taylor(g, o).values
    for nodes in (1, 2, 4, 8, 16, 32):
        yield "path", f"{nodes} nodes", lambda _, k=nodes: k, lambda g, k=nodes: values.path(g, k).values
    for orders in (4, 8, 16, 32, 64, 128, 256, 512):
        if whole or orders <= 128:
            many = lambda g, o=orders: o * (g.n_players - 1)  # noqa: E731
            yield "permutation", f"{orders} orders", many, lambda g, o=orders: values.permutation(g, o).values
            yield "antithetic pairs", f"{orders} orders", many, lambda g, o=orders: antithetic_pairs(g, o // 2, o)
    for budget in (256, 512, 1024, 2048, 4096, 8192, 16384):
        if whole or budget <= 4096:
            yield "kernel", f"{budget}", lambda _, b=budget: b, lambda g, b=budget: values.kernel(g, b).values
            for maker in (PermutationSamplingSV, KernelSHAP):
                yield f"shapiq {maker.__name__}", f"{budget}", lambda _, b=budget: b, of_shapiq(maker, budget)
    for samples in (1, 2):
        name = "captum ShapleyValueSampling"
        yield name, f"{samples} orders", lambda g, s=samples: s * g.n_players, of_captum(explainer, image, samples)


def relative_errors(estimate: Tensor, true: Tensor) -> Tensor:
    """‖φ̂ - φ‖ / ‖φ‖ of each photograph."""
    return (estimate.double() - true).norm(dim=1) / true.norm(dim=1)


def measured(explainer: Explainer, photos: list[Path], tolerance: float, *, whole: bool) -> list[Point]:
    """All estimators on all photographs."""
    measurements: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for photo in photos:
        first = explainer.explain(photo, "gradcam")
        game = explainer.game(first.images)
        true = values.permutation(game, tolerance=tolerance, seed=99, most_orders=10**6).values

        def plain(images: Tensor = first.images) -> None:
            with torch.inference_mode():
                explainer.model(images)

        for name, budget, evaluations, estimate in estimators(explainer, first.images, whole=whole):
            played = explainer.game(first.images)  # nothing is left of the game that was played before
            forward = seconds(plain, CPU)
            results: list[Tensor] = []
            try:
                spent = seconds(lambda e=estimate, g=played, r=results: r.append(e(g)), CPU)
            except ShapleyCamError:  # too few evaluations to tell the players apart
                continue
            error = float(relative_errors(results[0], true))
            measurements.setdefault((name, budget), []).append((evaluations(game), error, spent * 1e3, spent / forward))
    return [
        Point(*key, *(statistics.median(column) for column in zip(*rows, strict=True)))
        for key, rows in measurements.items()
    ]


def table(points: list[Point]) -> list[str]:
    """Every point."""
    lines = ["| estimator | budget | evaluations | error | ms | / forward pass |", "|---|---|---|---|---|---|"]
    return lines + [
        f"| {p.name} | {p.budget} | {p.evaluations:.0f} | {p.error:.4f} | {p.ms:.1f} | {p.passes:.2f} |" for p in points
    ]


def reached(points: list[Point], level: float, ruler: Callable[[Point], float]) -> tuple[float, bool] | None:
    """The least time or evaluations of an estimator's points at which the error is no larger than the level.

    Sampling that ends before is continued as its error does, with the square root (True says so); a derivative's error
    does not shrink, so that None is returned.
    """
    reaching = [ruler(p) for p in points if p.error <= level]
    if reaching:
        return min(reaching), False
    if points[0].name == "path" or points[0].name.startswith("Taylor"):
        return None
    last = min(points, key=lambda p: p.error)
    return ruler(last) * (last.error / level) ** 2, True


def level_table(points: list[Point], ruler: Callable[[Point], float], unit: str) -> list[str]:
    """What each estimator takes for each error, and how many times less ours takes than the best peer."""
    names = list(dict.fromkeys(p.name for p in points))
    lines = [
        f"| error at most | {' | '.join(names)} | ours / best of shapiq | ours / captum |",
        "|---" * (len(names) + 3) + "|",
    ]
    for level in LEVELS:
        cost = {name: reached([p for p in points if p.name == name], level, ruler) for name in names}
        ours = min(c[0] for name, c in cost.items() if c and name in {"permutation", "path", "Taylor 1", "Taylor 2"})
        shapiq = min(c[0] for name, c in cost.items() if c and name.startswith("shapiq"))
        captum = next(c[0] for name, c in cost.items() if c and name.startswith("captum"))
        cells = ["never" if c is None else f"{'≈' if c[1] else ''}{c[0]:.3g}{unit}" for c in cost.values()]
        lines.append(f"| {level:.1%} | {' | '.join(cells)} | {shapiq / ours:.1f} x | {captum / ours:.0f} x |")
    return lines


def included(explainer: Explainer, images: Tensor, method: str) -> float:
    """The time of an explanation in plain forward passes, each measured just before."""

    def plain() -> None:
        with torch.inference_mode():
            explainer.model(images)

    explainer.explain(images, method)
    pairs = [(seconds(plain, CPU), seconds(lambda: explainer.explain(images, method), CPU)) for _ in range(7)]
    return statistics.median(explain_seconds / forward_seconds for forward_seconds, explain_seconds in pairs)


def budgets(explainer: Explainer, photos: list[Path]) -> list[str]:
    """The layer before pooling, everything included, for single photographs and for batches."""
    images = explainer.explain(photos, "gradcam").images
    lines = ["| what, forward pass included | photographs at a time | / forward pass, median | largest | budget |"]
    lines.append("|---|---|---|---|---|")
    for size in (1, 10):
        for method, effort, budget in (("sampledshapley", "to 1%", "2"), ("pathcam-h", "8 nodes", "1.2")):
            shares = [included(explainer, part, method) for part in images.split(size)]
            figures = f"{statistics.median(shares):.2f} | {max(shares):.2f}"
            lines.append(f"| {method}, {effort} | {size} | {figures} | {budget} |")
    game = explainer.game(images)
    true, sampled = values.permutation(game, tolerance=0.005, seed=99), values.permutation(game)
    wrong = relative_errors(values.path(game, 8).values, true.values)
    orders = sampled.evaluations // (game.n_players - 1)
    took = (
        f"Sampling took {int(orders.min())} to {int(orders.max())} orders (32 is the least) for a standard error of "
        f"{float(sampled.uncertainty.median()):.2%} (median; {float(sampled.uncertainty.max()):.2%} at most)."
    )
    path = (
        f"Path with 8 nodes is {float(wrong.median()):.2%} (median; {float(wrong.max()):.2%} at most) from values "
        "sampled to 0.5%; the budget is 1.5%."
    )
    return [*lines, "", took, path]


def scale_invariant() -> list[str]:
    """Heads that begin or end their pooling with a norm: untrained networks, whose cost is that of trained ones."""
    lines = [
        (
            "| network, layer | shortcut | Taylor 1 | Taylor 2 | path, 8 nodes | kernel, 2048 | permutation, 32 orders "
            "| its ms | / forward pass |"
        ),
        "|---" * 9 + "|",
    ]
    for name, layer in (("convnext_tiny", "stages.3"), ("swin_tiny_patch4_window7_224", "layers.3")):
        torch.manual_seed(0)
        explainer = Explainer(timm.create_model(name), layer=layer)
        images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
        game = explainer.game(images)
        true = values.permutation(game, tolerance=0.002, seed=99, most_orders=4000).values
        others = [values.taylor(game, 1), values.taylor(game, 2), values.path(game, 8), values.kernel(game, 2048)]
        errors = [float(relative_errors(estimate.values, true)) for estimate in (*others, values.permutation(game, 32))]

        def plain(explainer: Explainer = explainer, images: Tensor = images) -> None:
            with torch.inference_mode():
                explainer.model.eval()(images)

        plain()
        pairs = [
            (seconds(plain, CPU), seconds(lambda e=explainer, i=images: values.permutation(e.game(i), 32), CPU))
            for _ in range(5)
        ]
        structure = game.structure
        reads = "a sum over positions" if structure.is_sum else "reads the mean" if structure.reads_mean else "none"
        ms = statistics.median(sampling_seconds for _, sampling_seconds in pairs) * 1e3
        ratio = statistics.median(sampling_seconds / forward_seconds for forward_seconds, sampling_seconds in pairs)
        figures = " | ".join(f"{error:.3f}" for error in errors)
        lines.append(f"| {name}, {layer} | {reads} | {figures} | {ms:.0f} | {ratio:.2f} |")
    return lines


def main() -> None:
    """Print and keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    paths = sorted(options.data.rglob("*.JPEG"))
    photos = paths[:: max(1, len(paths) // options.photos)][: options.photos]
    if not photos:
        parser.error(f"no photographs (*.JPEG) below {options.data}: name the folder with --data")
    default = Explainer("efficientnet_lite0", device="cpu")
    text = [
        "# Shapley values: error against evaluations and time",
        "",
        f"`python bench/shapley.py --photos {options.photos}` on {machine('shapiq', 'captum', 'timm')}",
        "",
        f"EfficientNet-Lite0, ReST, the predicted class of {len(photos)} ImageNet photographs.",
        "",
        "## Before pooling, the forward pass included",
        "",
        *budgets(default, photos),
    ]
    for layer, (most, tolerance) in LAYERS.items():
        explainer = Explainer(default.model, layer=layer, preprocess=default.preprocess)
        points = measured(explainer, photos[:most], tolerance, whole=most is None)
        structure = explainer.game(photos[0]).structure
        evaluation = "a sum over positions" if structure.is_sum else "the whole head for each coalition"
        text += [
            "",
            f"## {layer}: {evaluation}, {len(photos[:most])} photographs",
            "",
            f"True values: permutation sampling to {tolerance:.1%}; the forward pass is not included.",
            "",
            *table(points),
            "",
            f"Milliseconds for each error at {layer} (≈: continued with the square root of the evaluations):",
            "",
            *level_table(points, lambda p: p.ms, ""),
            "",
            f"Head evaluations for each error at {layer}; a gradient of path and Taylor counts as one:",
            "",
            *level_table(points, lambda p: p.evaluations, ""),
        ]
    text += ["", "## Heads that ignore scale (error against values sampled to 0.2%)", "", *scale_invariant(), ""]
    report("shapley.md", "\n".join(text))


if __name__ == "__main__":
    main()
