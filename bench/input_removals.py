"""What a coalition costs at the input of the default network, by removal, beside a run of the network.

python bench/input_removals.py [--rounds N]     prints the table and writes bench/results/input_removals.md

It takes about a minute. The photograph is the portrait that comes with matplotlib.
"""

from __future__ import annotations

import argparse
import time

import matplotlib as mpl
import torch

from measure import machine, report, time_ratios
from shapleycam import Explainer
from shapleycam.game.imputation import impute
from shapleycam.models.zoo import DEFAULT

COALITIONS, REFERENCES = 16, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each pair")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    photograph = mpl.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    explainer = Explainer(DEFAULT, layer="input", device="cpu")
    reference = torch.randn(REFERENCES, 3, 224, 224)
    games = {
        name: explainer.game(
            photograph, players=(7, 7), removal=name, reference=reference if name == "samples" else None
        )
        for name in ("zero", "blur", "impute", "samples")
    }
    coalitions = torch.stack([torch.randperm(49) < size for size in torch.linspace(1, 48, COALITIONS).long()])
    absent = games["zero"].players.presence(coalitions[None].float())[0].unflatten(1, (224, 224)) == 0
    images = games["zero"].activation.expand(COALITIONS, -1, -1, -1)
    head = games["zero"].trace
    first = torch.zeros(COALITIONS, dtype=torch.long)
    calls = {name: lambda game=game: game.value(coalitions) for name, game in games.items()}
    calls["impute, without the network"] = lambda: impute(images, absent)
    with torch.inference_mode(mode=False), torch.no_grad():
        floor, ratios = time_ratios(
            lambda: head.head(images, first), calls, options.rounds, torch.device("cpu"), time.process_time
        )
    each = 1000 * floor / COALITIONS
    names = {"samples": f"samples, {REFERENCES} photographs"}
    rows = [["a run of the network", f"{each:.1f}", "1"]]
    rows += [[names.get(name, name), f"{each * ratio:.1f}", f"{ratio:.2f}"] for name, ratio in ratios.items()]
    heads = ["removal", "ms a coalition", "runs of the network"]
    lines = [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)]
    text = [
        "# A coalition at the input, by removal",
        "",
        f"`python bench/input_removals.py --rounds {options.rounds}` on {machine('timm')}",
        "",
        f"EfficientNet-Lite0 at 224 pixels, 7 x 7 regions, {COALITIONS} coalitions of all sizes at a time, medians of",
        f"{options.rounds} alternating measurements of the processor's time on one thread.",
        "The run of the network is of all these images at once; games run as many at once as fit into `memory=`, which",
        "takes less of the processor here. Dropping is measured in [dropping](dropping.md).",
        "",
        *lines,
        "",
    ]
    report("input_removals.md", "\n".join(text))


if __name__ == "__main__":
    main()
