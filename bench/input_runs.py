"""What 1,000 runs of the default network reach at its input: time, standard error, and what 10% takes.

python bench/input_runs.py     prints the table and writes bench/results/input_runs.md

It takes about three minutes on two cores. The photograph is the portrait that comes with matplotlib.
"""

from __future__ import annotations

import time
import warnings

import matplotlib as mpl
import torch

from measure import THREADS, machine, report
from shapleycam import Explainer
from shapleycam.errors import ShapleyCamWarning
from shapleycam.models.zoo import DEFAULT
from shapleycam.values._limited_runs import permutation_within, runs_to_aim
from shapleycam.values.run_limit import RUNS_AT_INPUT
from shapleycam.wording import percent


def main() -> None:
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    photograph = mpl.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    explainer = Explainer(DEFAULT, layer="input", device="cpu")
    rows = []
    for removal in ("blur", "zero", "mean"):
        for players in ("superpixels", (7, 7)):
            game = explainer.game(photograph, players=players, removal=removal)
            begin = time.perf_counter()
            shares = permutation_within(game, RUNS_AT_INPUT)
            seconds, runs, error = time.perf_counter() - begin, int(shares.evaluations), float(shares.uncertainty)
            name = players if isinstance(players, str) else "7 x 7"
            cells = [removal, f"{game.n_players} ({name})", f"{float(game.empty):.2f}", f"{float(game.grand):.2f}"]
            rows.append([*cells, str(runs), f"{seconds:.0f} s", percent(error), f"{runs_to_aim(error, runs):,}"])
    heads = ["removal", "players", "U(head(R))", "v(N)", "runs", "time", "standard error", "runs to 10%"]
    lines = [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)]
    report(
        "input_runs.md",
        "\n".join(
            [
                "# Sampling at the input",
                "",
                f"`python bench/input_runs.py` on {machine()}",
                "",
                f"EfficientNet-Lite0 at its input, ReST, the predicted class of a portrait, {RUNS_AT_INPUT:,} runs of",
                "the network at most. U(head(R)) is what it makes of the image of which everything was removed.",
                "",
                *lines,
                "",
            ]
        ),
    )


if __name__ == "__main__":
    main()
