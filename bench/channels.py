"""What maps weighted by values of channels cost behind a pooled head, as ratios to the plain forward pass.

python bench/channels.py [--rounds N]        prints the table and writes bench/results/channels.md
"""

from __future__ import annotations

import argparse
import time
import warnings

import torch
from matplotlib import cbook

import shapleycam
from measure import machine, report, time_ratios
from shapleycam import Explainer
from shapleycam.errors import ShapleyCamWarning
from shapleycam.models import zoo

METHODS = ("gradcam", "ablationcam", "liftcam", "channelshapley")


def calls(images: torch.Tensor, utility: str) -> dict[str, object]:
    """Our explanations of one photograph, from preprocessed images to heatmaps."""
    explainer = Explainer(zoo.DEFAULT, layer="bn2", utility=utility, device="cpu")
    return {name: (lambda name=name: explainer.explain(images, name)) for name in METHODS}


def main() -> None:
    """Measure the default network on one photograph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    explainer = shapleycam.Explainer(zoo.DEFAULT, layer="bn2", device="cpu")
    images = explainer.explain(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), "gradcam").images

    def floor() -> None:
        with torch.inference_mode():
            explainer.model(images)

    by_utility = {
        utility: time_ratios(floor, calls(images, utility), rounds, images.device, time.thread_time)
        for utility in ("logit", "rest")
    }
    rows = [f"| {name} | {by_utility['logit'][1][name]:.2f} | {by_utility['rest'][1][name]:.2f} |" for name in METHODS]
    report(
        "channels.md",
        f"""# Channels as players

`python bench/channels.py --rounds {rounds}` on: {machine()}.

One photograph, the default network ({zoo.DEFAULT}) at `bn2`: 1280 channels, then a mean and a linear layer. Median of
the ratios to a plain forward pass ({by_utility["rest"][0] * 1e3:.0f} ms) measured just before, in CPU time of one
thread.

| method | logit | rest |
|---|---|---|
{chr(10).join(rows)}

For a logit the game is additive, and its values come from one gradient. For `rest` what all channels add to a coalition
is a product of the exponentials of their steps, 1280 x 1000, with a softmax: ablationcam takes one, and channelshapley
samples coalitions to 1%.
""",
    )


if __name__ == "__main__":
    main()
