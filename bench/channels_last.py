"""What channels_last gains: plain passes of networks by batch size, against the default layout.

python bench/channels_last.py [--rounds N]        prints the table and writes bench/results/channels_last.md
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import timm
import torch

import cost
from measure import machine, report
from shapleycam import trace
from shapleycam.errors import ShapleyCamWarning
from shapleycam.tracing.channels_last import form_of

NETWORKS = (
    *("resnet18", "resnet50", "mobilenetv2_100", "efficientnet_lite0", "efficientnet_b0", "densenet121"),
    *("inception_v3", "mobilevit_s", "convnext_tiny", "vit_small_patch16_224"),
)
BATCHES = (1, 2, 8)


EXPLANATIONS = """

## Explanations against the user's own pass in the default layout

The same measure: budgets are 0.88 and 0.80 for one ShapleyCAM of a batch, 0.95 and 0.90 for the ten methods of the
paper, and 1.2 for the path (8 nodes) of one photograph.

| network | batch | plain pass | shapleycam | ten methods | pathcam | shapleycam, bfloat16 before the layer |
|---|---|---|---|---|---|---|
"""
HEADS = (("resnet18", "layer3"), ("resnet50", "layer3"), ("resnet50", "layer4.0"), ("mobilenet_v2", "features.13"))
ROWS = """

## Coalitions that run the head: its rows in channels_last

Rows are masked activations of one image; from 64 on they run so, where no shortcut is known.

| network | layer | rows | default | channels_last / default | deviation |
|---|---|---|---|---|---|
"""


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor's time of a call, which other work on the machine hardly changes."""
    start = time.process_time()
    call()
    return time.process_time() - start


def explanation_row(name: str, case: tuple[str, int], rounds: int) -> str:
    """Return the row of one network and batch: the median ratios to the plain pass measured just before."""
    layer, batch = case
    model, images = cost.network(name, "cpu", batch)
    plain = cost.floor(model, images)
    calls = [cost.ours(model, layer, images, methods) for methods in (["shapleycam"], cost.PAPER, ["pathcam"])]
    calls.append(cost.ours(model, layer, images, ["shapleycam"], "bfloat16"))
    for call in (plain, *calls):
        call()
    pairs = [[(seconds_of(plain), seconds_of(call)) for call in calls] for _ in range(rounds)]
    floor = statistics.median(of_plain for of_round in pairs for of_plain, _ in of_round)
    ratios = [statistics.median(ours / of_plain for of_plain, ours in column) for column in zip(*pairs, strict=True)]
    return f"| {name} | {batch} | {floor * 1e3:.0f} ms | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |"


def head_row(name: str, layer: str, count: int, rounds: int) -> str:
    """Return the row of one head and number of rows."""
    model, images = cost.network(name, "cpu", 1)
    traced = trace(model, images, layer, replay=True)
    activation = traced.activation.detach()
    generator = torch.Generator().manual_seed(0)
    rows = activation * (torch.rand(count, 1, *activation.shape[2:], generator=generator) < 0.5)
    other, samples = rows.contiguous(memory_format=torch.channels_last), torch.zeros(count, dtype=torch.long)
    with torch.no_grad():
        expected, actual = traced.head(rows, samples), traced.head(other, samples)
        pairs = [
            (
                seconds_of(lambda: traced.head(rows, samples)),
                seconds_of(lambda: traced.head(rows.contiguous(memory_format=torch.channels_last), samples)),
            )
            for _ in range(rounds)
        ]
    seconds = statistics.median(default for default, _ in pairs)
    ratio = statistics.median(channels_last / default for default, channels_last in pairs)
    deviation = float((actual - expected).abs().max() / expected.abs().max())
    return f"| {name} | {layer} | {count} | {seconds * 1e3:.0f} ms | {ratio:.2f} | {deviation:.0e} |"


def row(name: str, batch: int, rounds: int) -> str:
    """Return one network's row of the table."""
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    side = model.pretrained_cfg["input_size"][1]
    images = torch.rand(batch, 3, side, side)
    other = images.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected, actual = model(images), model(other)
        pairs = [(seconds_of(lambda: model(images)), seconds_of(lambda: model(other))) for _ in range(rounds)]
    seconds = statistics.median(default for default, _ in pairs)
    ratio = statistics.median(channels_last / default for default, channels_last in pairs)
    deviation = float((actual - expected).abs().max() / expected.abs().max())
    is_used = "yes" if form_of(model, images, "") is not None else "no"
    return f"| {name} | {batch} | {seconds * 1e3:.0f} ms | {ratio:.2f} | {deviation:.0e} | {is_used} |"


def main() -> None:
    """Measure all networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    rows = [row(name, batch, options.rounds) for name in NETWORKS for batch in BATCHES]
    text = f"""# Images in channels_last

`python bench/channels_last.py --rounds {options.rounds}` on: {machine("timm")}.

Plain passes (`inference_mode`, float32, one thread) of untrained networks of timm; only the images are converted.
Processor's time; median of the ratios to a pass in the default layout measured just before; the deviation is the
largest of the logits, as a share of the largest logit. The last column says whether Shapleycam runs such a batch so up
to the layer: where most layers with weights are convolutions and there are at most 100 of their weights for each pixel.

| network | batch | default | channels_last / default | deviation | used |
|---|---|---|---|---|---|
"""
    explanations = [explanation_row(*case, options.rounds) for case in cost.NETWORKS.items()]
    explanations += [explanation_row(name, (layer, 1), options.rounds) for name, (layer, _) in cost.NETWORKS.items()]
    heads = [head_row(*head, count, options.rounds) for head in HEADS for count in (16, 64, 128)]
    text += "\n".join(rows) + ROWS + "\n".join(heads) + EXPLANATIONS + "\n".join(explanations) + "\n"
    report("channels_last.md", text)


if __name__ == "__main__":
    main()
