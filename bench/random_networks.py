"""Draws small networks and compares the library with plain hooks and autograd in float64; writes a report.

Each draw is a network (blocks, norms, activations, skips, writes in place, sharing, layouts, attention, poolings), a
layer of it, a question, images, and the state in which a user hands it all over. First order, second order and
coalitions are compared, and what must not change is.

    python bench/random_networks.py --draws 2000     # about ten minutes; writes bench/results/random_networks.md
    python bench/random_networks.py --seed 17        # one draw, with all that was drawn; writes nothing
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch

from measure import machine, report
from random_case import draw_case
from random_check import CLOSE, Finding, check

VERDICTS = ("wrong", "refused", "unjudged", "agreed")
"""The worst first: a draw counts as the worst that came of it."""
MEANING = {
    "wrong": "other values, an error that is not the library's, or something changed",
    "refused": "a question was refused with a reason",
    "unjudged": "plain autograd has no answer to compare with",
    "agreed": "all questions were answered as plain hooks and autograd answer them",
}
SHOWN = 8


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst verdict."""
    verdicts = {finding.verdict for finding in findings}
    return next(verdict for verdict in VERDICTS if verdict in verdicts)


def text_of(draws: Mapping[int, list[Finding]], seconds: float) -> str:
    """The report in Markdown: how many draws came to what, and why, with seeds to repeat them."""
    counts = dict.fromkeys(VERDICTS, 0)
    reasons: dict[str, dict[str, set[int]]] = {verdict: defaultdict(set) for verdict in VERDICTS}
    for seed, findings in draws.items():
        counts[worst(findings)] += 1
        for finding in findings:
            if finding.reason:
                reasons[finding.verdict][finding.kind].add(seed)
    lines = [
        "# Random networks",
        "",
        f"{len(draws)} networks by bench/random_networks.py, seeds {min(draws)} to {max(draws)}.",
        f"First order, second order and coalitions are within {CLOSE:g} of plain hooks and autograd in float64.",
        "",
        "| draws | came to | which means |",
        "|---|---|---|",
        *(f"| {counts[verdict]} | {verdict} | {MEANING[verdict]} |" for verdict in reversed(VERDICTS)),
    ]
    for verdict in VERDICTS:
        if reasons[verdict]:
            lines += ["", f"## {verdict.capitalize()}", "", "| draws | reason | seeds |", "|---|---|---|"]
            by_count = sorted(reasons[verdict].items(), key=lambda pair: -len(pair[1]))
            lines += [f"| {len(seeds)} | {_cell(kind)} | {_seeds(seeds)} |" for kind, seeds in by_count]
    return "\n".join((*lines, "", f"({seconds:.0f} s; {machine()})", ""))


def described(seed: int) -> str:
    """All that was drawn for a seed, and what came of it."""
    case = draw_case(seed)
    answers = (f"{finding.question}: {finding.verdict} {finding.reason}".rstrip() for finding in check(case))
    return "\n".join((str(case.network), *case.choices, *answers))


def main(words: list[str]) -> None:
    """Check many draws and write the report, or one and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="how many networks")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone, with all that was drawn")
    options = parser.parse_args(words)
    torch.set_num_threads(1)  # the networks are too small for more
    warnings.filterwarnings("ignore", message="None of the inputs have requires_grad", category=UserWarning)
    if options.seed is not None:
        print(described(options.seed))
        return
    draws: dict[int, list[Finding]] = {}
    start = time.perf_counter()
    for seed in range(options.first, options.first + options.draws):
        draws[seed] = check(draw_case(seed))
        if worst(draws[seed]) == "wrong":
            reasons = dict.fromkeys(finding.reason for finding in draws[seed] if finding.verdict == "wrong")
            print(f"seed {seed}: {'; '.join(reasons)}", flush=True)
    report("random_networks.md", text_of(draws, time.perf_counter() - start))


def _cell(text: str) -> str:
    return text.replace("|", "/")


def _seeds(seeds: set[int]) -> str:
    shown = ", ".join(map(str, sorted(seeds)[:SHOWN]))
    return shown + (", …" if len(seeds) > SHOWN else "")


if __name__ == "__main__":
    main(sys.argv[1:])
