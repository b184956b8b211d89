"""What each method costs, in plain forward passes of the network: measured, and in runs as the table of methods has it.

python bench/prices.py [--rounds N] [--most-passes N]        prints the tables and writes bench/results/prices.md

Methods of more passes of the model than --most-passes are not measured, nor those of more runs than anybody waits for.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable

import timm
import torch
import torchvision
from matplotlib import cbook

from measure import THREADS, machine, report, time_ratios
from shapleycam import METHODS, Explainer
from shapleycam.cams.method import Method
from shapleycam.cams.method_choice import is_affordable
from shapleycam.cli.listing import describe_runs
from shapleycam.errors import ShapleyCamError
from shapleycam.game import Game
from shapleycam.models import zoo

MOST_RUNS = 2**12
"""Methods of more runs for one image take minutes behind heads without a shortcut."""


def networks() -> dict[str, tuple[Explainer, torch.Tensor]]:
    """Return the default network on a photograph, and others on noise: their weights do not matter to the cost."""
    torch.manual_seed(0)
    default = Explainer(zoo.DEFAULT, layer="bn2", device="cpu")
    photo = default.explain(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), "gradcam").images
    noise = torch.rand(1, 3, 224, 224)
    return {
        f"{zoo.DEFAULT}, layer bn2": (default, photo),
        "resnet50, layer layer4": (Explainer(torchvision.models.resnet50().eval(), layer="layer4"), noise),
        "vit_tiny_patch16_224, layer blocks.11.norm1": (
            Explainer(timm.create_model("vit_tiny_patch16_224").eval(), layer="blocks.11.norm1"),
            noise,
        ),
    }


def is_measured(row: Method, game: Game, most_passes: int) -> bool:
    """Return whether it can be waited for."""
    cost = row.basis.cost_of(game.n_players, channels=game.n_channels)
    has_shortcut = game.shortcut is not None and is_affordable(row, game)
    return (has_shortcut or cost.runs <= MOST_RUNS) and cost.model_passes <= most_passes


def call_of(explainer: Explainer, images: torch.Tensor, name: str) -> Callable[[], object] | None:
    """Return a call that explains by one method; None where the model is refused."""
    try:
        explainer.explain(images, name)
    except ShapleyCamError:
        return None
    return lambda: explainer.explain(images, name)


def table(name: str, explainer: Explainer, images: torch.Tensor, rounds: int, most_passes: int) -> str:
    """Return one network's table."""
    game = explainer.game(images)
    measured = [row for row in METHODS.values() if is_measured(row, game, most_passes)]
    calls = {row.name: call for row in measured if (call := call_of(explainer, images, row.name))}

    def floor() -> None:
        with torch.inference_mode():
            explainer.model(images)

    print(f"{name}: {len(calls)} methods are measured", file=sys.stderr)
    plain, ratios = time_ratios(floor, calls, rounds, images.device)
    lines = [
        f"## {name}",
        "",
        f"A plain forward pass takes {plain * 1e3:.0f} ms; {game.n_players} players, {game.n_channels} channels.",
        "",
        "| method | family | runs | forward passes |",
        "|---|---|---|---|",
    ]
    for row in METHODS.values():
        runs = describe_runs(row.basis.cost_of(game.n_players, channels=game.n_channels))
        unmeasured = "refused" if row in measured else "not measured"
        price = f"{ratios[row.name]:.1f}" if row.name in ratios else unmeasured
        lines.append(f"| {row.name} | {row.group} | {runs} | {price} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the networks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most-passes", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")
    tables = [
        table(name, explainer, images, options.rounds, options.most_passes)
        for name, (explainer, images) in networks().items()
    ]
    report(
        "prices.md",
        f"""# The price of each method

`python bench/prices.py --rounds {options.rounds} --most-passes {options.most_passes}` on: {machine("timm")}.

One photograph, utility `rest`. "Forward passes" is the median ratio of an explanation, from preprocessed image to
heatmap, to a plain forward pass of the network measured just before; the pass that every explanation begins with is
part of it. "Runs" are beside that pass, at most, as `shapleycam methods` counts them (head: of what comes after the
layer; gradients: of the same with a backward pass; passes: of the whole model); `tests/cams/test_prices.py` counts
them. Behind a shortcut a run of the head costs next to nothing. "Refused": of models that lack something. "Not
measured": of more than {options.most_passes} passes of the model, or of more than
{MOST_RUNS:,} runs where no shortcut is known.

{chr(10).join(f"{each}{chr(10)}" for each in tables)}""",
    )


if __name__ == "__main__":
    main()
