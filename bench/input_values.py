"""How near the values of an image's regions come to the true ones, by the runs of the model that they took.

python bench/input_values.py PHOTOGRAPHS --truth 10000

holds ours beside captum's and shap's, at the input of the default network, on the first --count photographs of a
folder, and writes bench/results/input_values.md. Runs are counted by a wrapper around the model. The truth is ours
too, from other orders; the table says how sure it is.
"""

from __future__ import annotations

import argparse
import os
import pickle
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from tempfile import TemporaryFile
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import shapleycam
from input_peers import binary_levels, peers
from measure import THREADS, machine, report
from shapleycam import values
from shapleycam.errors import OptionError, ShapleyCamWarning
from shapleycam.game import Game
from shapleycam.images import SUFFIXES
from shapleycam.models.zoo import DEFAULT
from shapleycam.values._limited_runs import permutation_within
from shapleycam.values.group_tree import trees_of_images
from shapleycam.wording import percent

PLAYERS = {"7x7": (7, 7), "superpixels": "superpixels"}
TRUTH_SEED = 10**6
NEVER = 1e-12
"""A tolerance that ends no sampling."""
OURS = "sampledshapley", "owen", "owen (two parts at a time)"
SHAPLEY, OWEN, BINARY = "Shapley", "Owen", "Owen, two parts at a time"
HELD_TO = {
    "owen": OWEN,
    "owen (two parts at a time)": BINARY,
    "shap PartitionExplainer": BINARY,
}
"""The values that a method estimates; Shapley's where it is not named."""


_COUNTED = TemporaryFile(buffering=0)  # noqa: SIM115  # open as long as the program runs


class Counted(nn.Module):
    """A model that counts the images that it scores, in a file: changes of memory are put back after each pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.file = model, _COUNTED.fileno()

    def forward(self, images: Tensor) -> Tensor:
        os.write(self.file, bytes(len(images)))
        return self.model(images)


def runs_so_far() -> int:
    return os.fstat(_COUNTED.fileno()).st_size


@dataclass(frozen=True)
class Cell:
    """What a method reached in a budget on one photograph: its runs, its errors by truth, its rank correlation."""

    runs: int
    errors: dict[str, float]
    rank: float


def our_estimates(tree_levels: Sequence[Tensor]) -> dict[str, Callable[[Game, int, int], Tensor]]:
    """Ours by name, in the form of `Peer.estimate`."""

    def owen(groups: Any) -> Callable[[Game, int, int], Tensor]:
        return lambda game, runs, seed: values.owen(game, groups, NEVER, seed, runs=runs).values[0]

    def sampled(game: Game, runs: int, seed: int) -> Tensor:
        return permutation_within(game, runs, NEVER, seed).values[0]

    return dict(zip(OURS, (sampled, owen(None), owen(tree_levels)), strict=True))


def truths(game: Game, runs: int) -> dict[str, values.PlayerValues]:
    """Each of the three kinds of values, sampled with so many runs, from orders that nothing else takes."""
    (tree,) = trees_of_images(None, game.players)
    return {
        SHAPLEY: permutation_within(game, runs, NEVER, TRUTH_SEED),
        OWEN: values.owen(game, None, NEVER, TRUTH_SEED, runs=runs),
        BINARY: values.owen(game, binary_levels(tree), NEVER, TRUTH_SEED, runs=runs),
    }


def relative_error(found: Tensor, true: Tensor) -> float:
    return float((found.cpu() - true.cpu()).norm() / true.norm())


def measure(game: Game, true: dict[str, values.PlayerValues], budgets: Sequence[int]) -> dict[tuple[str, int], Cell]:
    """Every method at every budget; what refuses a budget has no cell."""
    (tree,) = trees_of_images(None, game.players)
    methods = our_estimates(binary_levels(tree)) | {peer.name: peer.estimate for peer in peers()}
    cells = {}
    for name, estimate in methods.items():
        for budget in budgets:
            before = runs_so_far()
            try:
                found = estimate(game, budget, budget)
            except OptionError:
                continue
            errors = {kind: relative_error(found, shares.values[0]) for kind, shares in true.items()}
            rank = float(spearmanr(found.cpu(), true[SHAPLEY].values[0].cpu()).statistic)
            cells[name, budget] = Cell(runs_so_far() - before, errors, rank)
    return cells


def tables(cells: list[dict[tuple[str, int], Cell]], budgets: Sequence[int]) -> list[str]:
    """Errors against what each method estimates and against the Shapley values, and rank correlations."""
    ranked_only = {peer.name for peer in peers() if not peer.divides}
    names = list(dict.fromkeys(name for each in cells for name, _ in each))
    gathered: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    for each in cells:
        for key, cell in each.items():
            gathered[key].append(cell)

    def row(label: str, name: str, show: Callable[[list[Cell]], str]) -> str:
        shown = [show(gathered[name, budget]) if gathered[name, budget] else "–" for budget in budgets]
        return f"| {label} | {' | '.join(shown)} |"

    def error(kind: str) -> Callable[[list[Cell]], str]:
        return lambda of: f"{percent(mean(c.errors[kind] for c in of))} ({round(mean(c.runs for c in of)):,})"

    dividing = [name for name in names if name not in ranked_only]
    rules = [f"| method | {' | '.join(f'{budget:,}' for budget in budgets)} |", "|---" * (1 + len(budgets)) + "|"]
    own = [row(f"{name}: {HELD_TO.get(name, SHAPLEY)}", name, error(HELD_TO.get(name, SHAPLEY))) for name in dividing]
    shapley = [row(name, name, error(SHAPLEY)) for name in dividing]
    ranks = [row(name, name, lambda of: f"{mean(c.rank for c in of):.2f}") for name in names]
    return [
        *("Error against the values that the method estimates, ‖φ̂ - φ‖ / ‖φ‖ (runs of the model):", "", *rules, *own),
        *("", *verdicts(gathered, dividing, budgets)),
        *("", "Error against the Shapley values:", "", *rules, *shapley),
        *("", "Rank correlation with the Shapley values:", "", *rules, *ranks, ""),
    ]


def verdicts(gathered: dict[tuple[str, int], list[Cell]], names: list[str], budgets: Sequence[int]) -> list[str]:
    """Where ours is the nearest to what it estimates, and where it is not."""
    lines = []
    for kind in (SHAPLEY, BINARY):
        for budget in budgets:
            errors = {
                name: mean(cell.errors[kind] for cell in gathered[name, budget])
                for name in names
                if gathered[name, budget]
            }
            best = min(errors, key=errors.__getitem__)
            mine = min((name for name in errors if name in OURS), key=errors.__getitem__)
            if best != mine:
                lines.append(
                    f"- {kind}, {budget:,} runs: {best} is nearer ({percent(errors[best])}) than {mine} "
                    f"({percent(errors[mine])})."
                )
    return lines or ["Of each kind of values one of ours is the nearest at every budget."]


def one_photograph(options: argparse.Namespace, removal: str, players: str, photograph: Path) -> Any:
    """The truths and the cells of one photograph, kept where there is a folder for them."""
    kept = options.keep and options.keep / f"{removal}-{players}-{photograph.stem}.pickle"
    if kept and kept.exists():
        return pickle.loads(kept.read_bytes())  # noqa: S301  # our own
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    named = shapleycam.Explainer(options.model, device=options.device)
    explainer = shapleycam.Explainer(
        Counted(named.model), layer="input", preprocess=named.preprocess, labels=named.labels, device=options.device
    )
    game = explainer.game(photograph, players=PLAYERS[players], removal=removal)
    game.value(torch.rand(65, game.n_players) < 0.5)  # what is proven once is proven here
    true = truths(game, options.truth)
    cells = measure(game, true, options.budgets)
    sure = {kind: float(found.uncertainty) for kind, found in true.items()}
    measured = sure, relative_error(true[OWEN].values, true[SHAPLEY].values), cells
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(measured))
    print(removal, players, photograph.name, flush=True)
    return measured


def photographs_of(options: argparse.Namespace) -> list[Path]:
    """The first photographs of a folder, or one."""
    is_folder = options.photographs.is_dir()
    photographs = sorted(options.photographs.rglob("*.*")) if is_folder else [options.photographs]
    return [path for path in photographs if path.suffix.lower() in SUFFIXES][: options.count]


def section(removal: str, players: str, measured: list[Any], budgets: Sequence[int]) -> list[str]:
    """The tables of one removal and kind of players."""
    sure = {kind: mean(errors[kind] for errors, _, _ in measured) for kind in (SHAPLEY, OWEN, BINARY)}
    return [
        f"## {players}, removal {removal}",
        "",
        f"Standard errors of the truth: {', '.join(f'{kind} {percent(s)}' for kind, s in sure.items())}.",
        f"Owen values differ from Shapley values by {percent(mean(apart for _, apart, _ in measured))}.",
        "",
        *tables([cells for _, _, cells in measured], budgets),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="A folder of photographs, or one.")
    parser.add_argument("--count", type=int, default=4, help="How many photographs of it.")
    parser.add_argument("--truth", type=int, default=10_000, help="Runs of the model for each of the true values.")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--removals", nargs="+", default=["blur", "mean"])
    parser.add_argument("--players", nargs="+", choices=PLAYERS, default=list(PLAYERS))
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="Photographs at a time, each in a process.")
    parser.add_argument("--keep", type=Path, help="A folder in which results are kept, to go on from.")
    options = parser.parse_args()
    photographs = photographs_of(options)
    cases = [(removal, players) for removal in options.removals for players in options.players]
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as processes:
        running = {
            case: [processes.submit(one_photograph, options, *case, photo) for photo in photographs] for case in cases
        }
        measured = {case: [each.result() for each in of_case] for case, of_case in running.items()}
    lines = [
        "# Values of regions, by runs of the model",
        "",
        f"`python bench/input_values.py` on {machine('captum', *(['shap'] if find_spec('shap') else []))}",
        "",
        f"{options.model} at its input on {options.device}, ReST, the predicted class; photographs:",
        f"{', '.join(photo.name for photo in photographs)}.",
        f"The truth has {options.truth:,} runs of each kind of values, from orders of their own. Owen values are of",
        "quarters of quarters; PartitionExplainer's of the same groups in two parts at a time. A dash: too few runs",
        "for values with a standard error, which sampledshapley refuses.",
        "",
    ]
    tables_of_cases = [line for case in cases for line in section(*case, measured[case], options.budgets)]
    report("input_values.md", "\n".join([*lines, *tables_of_cases]))


if __name__ == "__main__":
    main()
