"""What channels_last gains: plain passes of networks by batch size, against the default layout.

python bench/channels_last.py [--rounds N]        prints the table and writes bench/results/channels_last.md
"""

from __future__ import annotations

import argparse

import timm
import torch

from measure import THREADS, machine, report, time_ratios
from shapleycam.tracing.channels_last import form_of

NETWORKS = (
    *("resnet18", "resnet50", "mobilenetv2_100", "efficientnet_lite0", "efficientnet_b0", "densenet121"),
    *("inception_v3", "mobilevit_s", "convnext_tiny", "vit_small_patch16_224"),
)
BATCHES = (1, 2, 8)


def row(name: str, batch: int, rounds: int) -> str:
    """Return one network's row of the table."""
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    side = model.pretrained_cfg["input_size"][1]
    images = torch.rand(batch, 3, side, side)
    other = images.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected, actual = model(images), model(other)
        seconds, ratios = time_ratios(
            lambda: model(images), {"channels_last": lambda: model(other)}, rounds, torch.device("cpu")
        )
    deviation = float((actual - expected).abs().max() / expected.abs().max())
    is_used = "yes" if form_of(model, images, "") is not None else "no"
    return (
        f"| {name} | {batch} | {seconds * 1e3:.0f} ms | {ratios['channels_last']:.2f} | {deviation:.0e} | {is_used} |"
    )


def main() -> None:
    """Measure all networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    rows = [row(name, batch, options.rounds) for name in NETWORKS for batch in BATCHES]
    text = f"""# Images in channels_last

`python bench/channels_last.py --rounds {options.rounds}` on: {machine("timm")}.

Plain passes (`inference_mode`, float32, {THREADS} threads) of untrained networks of timm; only the images are
converted. Median of the ratios to a pass in the default layout measured just before; the deviation is the largest of
the logits, as a share of the largest logit. The last column says whether Shapleycam runs such a batch so up to the
layer: where most layers with weights are convolutions and there are at most 100 of their weights for each pixel.

| network | batch | default | channels_last / default | deviation | used |
|---|---|---|---|---|---|
"""
    report("channels_last.md", text + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
