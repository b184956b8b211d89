"""How near each estimator comes to the true Shapley values, for how many head evaluations and how much time.

python bench/shapley.py [--photos N] [--peers PYTHON] [--data FOLDER]     writes bench/results/shapley.md

Ours, shapiq's on the very same game, and captum's, which runs the whole network again for each coalition. shapiq's
newest versions need a newer Python; `--peers` is the interpreter of an environment that has it:

    uv venv --python 3.13 /tmp/peers && uv pip install --python /tmp/peers/bin/python "shapiq[proxy]>=1.8"

All of it takes about ten minutes on two quiet cores: what costs most is explained for one or two photographs (see
`shapley_cases.py`), true values are sampled no finer than the table needs, and a peer that has taken longer than
`TOO_LONG` gets no larger budget. `--only NAME` runs a case by itself.

Errors are ‖φ̂ - φ‖ / ‖φ‖, medians over photographs; times are of one photograph. What all estimators share is not in
them: the pass, the proof of the head and the table of its shortcut, whose time is given for each head.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor, nn

from measure import THREADS, machine, report, seconds, time_ratios
from shapley_cases import CASES, Case
from shapley_peers import APPROXIMATORS, PeerError, Shapiq
from shapleycam import Explainer, values
from shapleycam.errors import ShapleyCamError, ShapleyCamWarning
from shapleycam.game import Game

DATA = Path(__file__).parents[2] / "shared/data/imagenet-sample"
LEVELS = (0.1, 0.03, 0.01)
CPU = torch.device("cpu")
TOO_LONG = 10.0
"""Seconds after which a peer is not given a larger budget."""
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


def ours(case: Case) -> Iterator[tuple[str, str, Callable[[Game], values.ShapleyValues]]]:
    """Yield name, budget and estimator."""
    for order in (1, 2):
        yield f"Taylor {order}", f"order {order}", lambda game, order=order: values.taylor(game, order)
    for nodes in (2, 8, 32):
        yield "path", f"{nodes} nodes", lambda game, nodes=nodes: values.path(game, nodes)
    for orders in (4, 16, 32, 64, 256):
        if orders <= case.most_orders:
            yield "permutation", f"{orders} orders", lambda game, orders=orders: values.permutation(game, orders)
    for tolerance in (0.03, 0.01):
        name = f"to {tolerance:.0%}"
        yield "permutation", name, lambda game, tolerance=tolerance: values.permutation(game, tolerance=tolerance)
    for budget in case.budgets:
        yield "kernel", f"{budget}", lambda game, budget=budget: values.kernel(game, budget)


def others(
    case: Case, explainer: Explainer, image: Tensor, shapiq: Shapiq | None
) -> Iterator[tuple[str, str, Callable[[Game], float], Estimator]]:
    """Yield name, budget, evaluations and estimator of what ours is compared with."""
    for orders in (4, 16, 32, 64, 256):
        if orders <= case.most_orders:
            many = lambda game, orders=orders: orders * (game.n_players - 1)  # noqa: E731
            yield (
                "antithetic pairs",
                f"{orders} orders",
                many,
                lambda game, orders=orders: antithetic_pairs(game, orders // 2, orders),
            )
    for name in APPROXIMATORS if shapiq else ():
        for budget in case.budgets:
            estimate = lambda game, name=name, budget=budget: shapiq.estimate(name, game, budget)  # noqa: E731
            yield f"shapiq {name}", f"{budget}", lambda _, budget=budget: budget, estimate
    if "bn2" in case.name:
        yield "captum ShapleyValueSampling", "1 order", lambda game: game.n_players, of_captum(explainer, image, 1)


def relative_errors(estimate: Tensor, true: Tensor) -> Tensor:
    """‖φ̂ - φ‖ / ‖φ‖ of each photograph."""
    return (estimate.double() - true).norm(dim=1) / true.norm(dim=1)


@dataclass(frozen=True)
class Measured:
    """A case's points, what a coalition costs, the time of pass, proof and table, and the error of the true values."""

    points: list[Point]
    cost: str
    shared_passes: float
    true_error: float


def measured(case: Case, photos: list[Path], shapiq: Shapiq | None) -> Measured:
    """Return all estimators on all photographs of a case."""
    explainer = case.make(photos)
    rows: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    shared, true_errors, cost, slow = [], [], "", set[str]()
    for photo in photos[: case.photos]:
        image = explainer.explain(photo, "gradcam").images

        def plain(image: Tensor = image) -> None:
            with torch.inference_mode():
                explainer.model(image)

        def make(image: Tensor = image) -> Game:
            game = explainer.game(image)
            game.windows(2**20)  # its table, where it has one; otherwise the proof
            return game

        make()
        forward = min(seconds(plain, CPU) for _ in range(3))
        games: list[Game] = []
        shared.append(seconds(lambda games=games: games.append(make()), CPU) / forward)
        (game,) = games
        truth = values.permutation(game, tolerance=case.tolerance, seed=99, most_orders=10**5)
        true_errors.append(float(truth.uncertainty))
        cost = game.coalition_cost

        def point(name: str, budget: str, evaluations: float, estimate: Tensor, spent: float) -> None:
            error = float(relative_errors(estimate, truth.values))  # noqa: B023
            rows.setdefault((name, budget), []).append((evaluations, error, spent * 1e3, spent / forward))  # noqa: B023

        for name, budget, estimate in ours(case):
            results: list[values.ShapleyValues] = []
            spent = seconds(lambda e=estimate, r=results: r.append(e(game)), CPU)  # noqa: B023
            point(name, budget, float(results[0].evaluations[0]), results[0].values, spent)
        for name, budget, evaluations, estimate in others(case, explainer, image, shapiq):
            if name in slow:
                continue
            found: list[Tensor] = []
            try:
                spent = seconds(lambda e=estimate, r=found: r.append(e(game)), CPU)  # noqa: B023
            except (ShapleyCamError, PeerError) as error:  # too few evaluations to tell the players apart, say
                print(f"{case.name}: {name}, {budget}: {error}", file=sys.stderr)
                continue
            point(name, budget, evaluations(game), found[0], spent)
            if spent > TOO_LONG:
                slow.add(name)
    points = [
        Point(*key, *(statistics.median(column) for column in zip(*of_photos, strict=True)))
        for key, of_photos in rows.items()
    ]
    return Measured(points, cost, statistics.median(shared), statistics.median(true_errors))


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


def level_table(points: list[Point], ruler: Callable[[Point], float]) -> list[str]:
    """What each estimator takes for each error, and how many times less sampling takes than the best peer."""
    names = list(dict.fromkeys(p.name for p in points))
    lines = [f"| error at most | {' | '.join(names)} | best peer / permutation |", "|---" * (len(names) + 2) + "|"]
    for level in LEVELS:
        cost = {name: reached([p for p in points if p.name == name], level, ruler) for name in names}
        peers = [c[0] for name, c in cost.items() if c and name.startswith(("shapiq", "captum"))]
        own = cost["permutation"][0]
        cells = ["never" if c is None else f"{'≈' if c[1] else ''}{c[0]:.3g}" for c in cost.values()]
        lines.append(f"| {level:.0%} | {' | '.join(cells)} | {f'{min(peers) / own:.1f} x' if peers else ''} |")
    return lines


def included(explainer: Explainer, images: Tensor, method: str) -> float:
    """The time of an explanation in plain forward passes, each measured just before."""

    def plain() -> None:
        with torch.inference_mode():
            explainer.model(images)

    _, ratios = time_ratios(plain, {method: lambda: explainer.explain(images, method)}, 7, CPU)
    return ratios[method]


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


def main() -> None:
    """Print and keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=6, help="photographs at most; cases that cost more take fewer")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--peers", type=Path, help="the Python of an environment with shapiq")
    parser.add_argument("--only", default="", help="cases whose name has this in it; nothing is kept then")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    paths = sorted(options.data.rglob("*.JPEG"))
    photos = paths[:: max(1, len(paths) // options.photos)][: options.photos]
    if not photos:
        parser.error(f"no photographs (*.JPEG) below {options.data}: name the folder with --data")
    with ExitStack() as stack:
        shapiq = stack.enter_context(Shapiq(options.peers)) if options.peers else None
        peers = f"shapiq {shapiq.version} (Python {shapiq.python_version})" if shapiq else "no shapiq"
        text = [
            "# Shapley values: error against evaluations and time",
            "",
            f"`python bench/shapley.py --photos {options.photos} --peers PYTHON`",
            f"on {machine('captum', 'timm')}; {peers}",
            "",
            "ReST, the predicted class of ImageNet photographs. What shapiq takes includes the pipe to the Python that",
            "runs it.",
        ]
        if not options.only:
            text += ["", "## Before pooling, the forward pass included", ""]
            text += budgets(Explainer("efficientnet_lite0", device="cpu"), photos)
        for case in CASES:
            if options.only not in case.name:
                continue
            began = time.perf_counter()
            result = measured(case, photos, shapiq)
            print(f"{case.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
            text += [
                "",
                f"## {case.name}",
                "",
                f"A coalition costs {result.cost}.",
                f"Photographs: {min(len(photos), case.photos)}.",
                f"The pass, the proof and the table take {result.shared_passes:.1f} forward passes.",
                f"True values: sampled to {result.true_error:.2%}.",
                "",
                *table(result.points),
                "",
                "Milliseconds for each error (≈: continued with the square root of the evaluations):",
                "",
                *level_table(result.points, lambda p: p.ms),
                "",
                "Head evaluations for each error; a gradient of path and Taylor counts as one:",
                "",
                *level_table(result.points, lambda p: p.evaluations),
            ]
    if options.only:
        print("\n".join(text))
    else:
        report("shapley.md", "\n".join([*text, ""]))


if __name__ == "__main__":
    main()
