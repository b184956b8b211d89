"""What a coalition costs where a vision transformer's tokens are left out, and where they are masked.

python bench/dropping.py [--rounds N]     prints the table and writes bench/results/dropping.md

It takes about two minutes. The network is a DeiT-small without weights: time does not depend on them. The
image's 196 patches are the players, and both sides evaluate the same coalitions in the same batches.
"""

from __future__ import annotations

import argparse
import time

import timm
import torch

from measure import machine, report, time_ratios
from shapleycam import Explainer, Game

MODEL = "deit_small_patch16_224"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each pair")
    parser.add_argument("--coalitions", type=int, default=16, help="evaluated at a time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = timm.create_model(MODEL).eval()
    image = torch.randn(1, 3, 224, 224)
    masked, dropped = (
        Explainer(model, layer="input", removal=removal, device="cpu").game(image, 0, players="patches")
        for removal in ("zero", "drop")
    )
    sizes = torch.linspace(1, masked.n_players - 1, options.coalitions).long()
    cases = {f"{share:.0%} of the patches": of_share(share, masked.n_players, options.coalitions) for share in SHARES}
    cases["sizes as in random orders"] = torch.stack([torch.randperm(masked.n_players) < size for size in sizes])
    rows = [row_of(name, case, masked, dropped, options.rounds) for name, case in cases.items()]
    heads = ["coalitions", "masked, ms each", "dropped, ms each", "dropped / masked"]
    lines = [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)]
    text = [
        "# Leaving tokens out",
        "",
        f"`python bench/dropping.py --rounds {options.rounds} --coalitions {options.coalitions}` on {machine('timm')}",
        "",
        f"DeiT-small at 224 pixels, 196 patches as players, {options.coalitions} coalitions at a time, medians of",
        f"{options.rounds} alternating measurements of the processor's time on one thread.",
        "Masked is removal `zero`: the model runs on all tokens. Dropped is removal `drop`.",
        "Random orders have coalitions of all sizes, so that few are equally large and run together.",
        "",
        *lines,
        "",
    ]
    report("dropping.md", "\n".join(text))


def of_share(share: float, n: int, count: int) -> torch.Tensor:
    """Return random coalitions of this share of the players."""
    return torch.stack([torch.randperm(n) < round(share * n) for _ in range(count)])


def row_of(name: str, coalitions: torch.Tensor, masked: Game, dropped: Game, rounds: int) -> list[str]:
    """Return a row of the table: both times of a coalition, and their ratio."""
    floor, ratios = time_ratios(
        lambda: masked.value(coalitions),
        {"dropped": lambda: dropped.value(coalitions)},
        rounds,
        torch.device("cpu"),
        time.process_time,
    )
    ratio, each = ratios["dropped"], 1000 * floor / len(coalitions)
    return [name, f"{each:.0f}", f"{each * ratio:.0f}", f"{ratio:.2f}"]


if __name__ == "__main__":
    main()
