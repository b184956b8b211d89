"""What the first explanation of a model costs beside the second: the checks that it can be explained.

python bench/first_explanation.py [--rounds N]      prints the table and writes bench/results/first_explanation.md

Processor time, so that other work on the machine counts little. Each round explains a new model of random weights.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import timm
import torch

import shapleycam
from measure import THREADS, machine, report, seconds

NETWORKS = (
    *("resnet50", "mobilenetv2_100", "efficientnet_lite0", "densenet121"),
    *("convnext_tiny", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
)
METHODS = ("gradcam", "pathcam-h")
FLOORS = 7
"""Plain forward passes of which the median is taken."""
CPU = torch.device("cpu")


def more_passes(name: str, method: str, image: torch.Tensor) -> tuple[float, float]:
    """A plain forward pass in seconds, and how many of them the first explanation takes more than the second."""
    model = timm.create_model(name, pretrained=False).eval()
    explainer = shapleycam.Explainer(model)

    def plain() -> None:
        with torch.inference_mode():
            model(image)

    plain()
    floor = statistics.median(seconds(plain, CPU, time.process_time) for _ in range(FLOORS))
    first, second = (seconds(lambda: explainer.explain(image, method), CPU, time.process_time) for _ in range(2))
    return floor, (first - second) / floor


def main() -> None:
    """Measure each network with each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    more_passes("resnet18", "pathcam-h", image)  # imports what the first explanation of a process imports
    rows = []
    for name in NETWORKS:
        measured = [[more_passes(name, method, image) for _ in range(rounds)] for method in METHODS]
        floor = statistics.median(floor for of_method in measured for floor, _ in of_method)
        more = [statistics.median(passes for _, passes in of_method) for of_method in measured]
        rows.append(f"| {name} | {floor * 1e3:.0f} ms | {' | '.join(f'{passes:.0f}' for passes in more)} |")
        print(rows[-1], flush=True)
    report(
        "first_explanation.md",
        f"""# The first explanation of a model

`python bench/first_explanation.py --rounds {rounds}` on: {machine("timm")}.

One image of 224 x 224, random weights, processor time. How many plain forward passes the first explanation takes more
than the second: the layer is found and its layout proven, and for methods with a path or sampling it is learned what
a run of the head needs. All later explanations of the model, of the same layer and image size, are spared it.

| network | forward pass | {" | ".join(METHODS)} |
|---|---|{"---|" * len(METHODS)}
{chr(10).join(rows)}
""",
    )


if __name__ == "__main__":
    main()
