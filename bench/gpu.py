"""What explanations and evaluations cost on a GPU: ratios to the plain pass, memory, Shapley values, images a second.

python bench/gpu.py [--rounds N] [--images N]        prints the tables and writes bench/results/gpu.md

PyTorch's default lets convolutions run in TensorFloat-32; explanations run in float32, so that the plain pass is given
in both, and ratios are to both. Each part of an evaluation is also timed by itself: the slower one is waited for.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import matplotlib.cbook
import numpy as np
import torch
from PIL import Image

from cost import PAPER, floor, network, ours
from measure import peak_on_gpu, report, seconds, time_ratios
from shapleycam import Explainer, values
from shapleycam.errors import ShapleyCamWarning
from shapleycam.experiments import Protocol, RunSettings, evaluate
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.engines.local import prepare_ahead
from shapleycam.experiments.evaluated_model import EvaluatedModel

DEVICE = "cuda"
BATCHES = {"resnet50": ("layer4", (8, 32, 128)), "mobilenet_v2": ("features", (32, 128))}
WHAT = {"gradcam": ["gradcam"], "shapleycam": ["shapleycam"], "pathcam": ["pathcam"], "ten paper methods": PAPER}
SHAPLEY = {"efficientnet_lite0": ("bn2", "blocks.6", "blocks.5"), "resnet50": ("layer4",)}


@contextmanager
def float32_convolutions() -> Iterator[None]:
    """Convolutions in float32, as explanations have them."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def cost_rows(name: str, layer: str, batch: int, rounds: int) -> Iterator[str]:
    """One network at one batch size."""
    model, images = network(name, DEVICE, batch)
    plain = floor(model, images)
    with float32_convolutions():
        plain_full, _ = time_ratios(plain, {"itself": plain}, rounds, torch.device(DEVICE))
    calls = {what: ours(model, layer, images, methods) for what, methods in WHAT.items()}
    plain_tf32, ratios = time_ratios(plain, calls, rounds, torch.device(DEVICE))
    base = peak_on_gpu(plain)
    for what, call in calls.items():
        ratio = ratios[what]
        yield (
            f"| {name} | {batch} | {what} | {ratio * plain_tf32 * 1e3:.2f} | {ratio:.2f} | "
            f"{ratio * plain_tf32 / plain_full:.2f} | {peak_on_gpu(call):.0f} MB | {peak_on_gpu(call) / base:.2f} |"
        )
    yield f"| {name} | {batch} | plain, TensorFloat-32 | {plain_tf32 * 1e3:.2f} | 1 | | {base:.0f} MB | 1 |"
    yield f"| {name} | {batch} | plain, float32 | {plain_full * 1e3:.2f} | | 1 | | |"


def shown(rows: Iterator[str]) -> list[str]:
    """The rows, each printed when it is measured."""
    collected = []
    for row in rows:
        print(row, flush=True)
        collected.append(row)
    return collected


def shapley_rows(rounds: int) -> Iterator[str]:
    """Sampled Shapley values of one photograph to 1 %."""
    photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    for name, layers in SHAPLEY.items():
        for layer in layers:
            if name == "resnet50":
                model, images = network(name, DEVICE, 1)
                explainer = Explainer(model, layer=layer)
            else:
                explainer, images = Explainer(name, layer=layer, device=DEVICE), photo
            game = explainer.game(images)
            shares = values.permutation(game)
            times = sorted(seconds(lambda g=game: values.permutation(g), torch.device(DEVICE)) for _ in range(rounds))
            reached = float(shares.uncertainty.max())
            count = int(shares.evaluations.max())
            ms = times[len(times) // 2] * 1e3
            yield f"| {name} | {layer} | {game.n_players} | {reached:.2%} | {count} | {ms:.0f} ms |"


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files of 500 x 375 pixels, as ImageNet's."""
    random = np.random.default_rng(0)
    for index in range(count):
        shapes = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        pixels = np.asarray(shapes.resize((500, 375), Image.Resampling.BICUBIC)).astype(float)
        noisy = (pixels + random.normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{index:05d}.jpg", quality=90)


def decoding_rate(folder: Path, workers: int) -> float:
    """Photographs a second that are decoded with nothing else to do."""
    model = EvaluatedModel("efficientnet_lite0", Protocol(), open_dataset(folder), device=DEVICE)
    preprocess = model.load().preprocess
    start = time.perf_counter()
    chunks = [range(at, min(at + 32, len(model.dataset))) for at in range(0, len(model.dataset), 32)]
    for _ in prepare_ahead(chunks, lambda chunk: [decode_image(model.dataset, preprocess, i) for i in chunk], workers):
        pass
    return len(model.dataset) / (time.perf_counter() - start)


def model_rate(folder: Path, batch: int) -> float:
    """Photographs a second that are explained and measured with nothing to wait for."""
    model = EvaluatedModel("efficientnet_lite0", Protocol(), open_dataset(folder), device=DEVICE)
    loaded = model.load()
    images = [decode_image(model.dataset, loaded.preprocess, index) for index in range(min(256, len(model.dataset)))]
    [evaluator] = loaded.evaluators
    evaluator.evaluate(images[:batch])

    def call() -> None:
        for start in range(0, len(images), batch):
            evaluator.evaluate(images[start : start + batch])

    return len(images) / seconds(call, torch.device(DEVICE))


def evaluation_rows(images: int) -> Iterator[str]:
    """`evaluate` with all ten methods and six metrics."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photographs"
        folder.mkdir()
        write_photographs(folder, images)
        model_rates = {batch: model_rate(folder, batch) for batch in (16, 64)}
        decoding_rates = {workers: decoding_rate(folder, workers) for workers in (0, 4, 12)}
        yield "the model alone: " + ", ".join(f"{r:.0f} in batches of {b}" for b, r in model_rates.items()) + ".  "
        yield "decoding alone: " + ", ".join(f"{r:.0f} by {w or 1} processes" for w, r in decoding_rates.items()) + "."
        yield ""
        yield "| batch | workers | images a second |"
        yield "|---|---|---|"
        for batch, workers in ((16, 0), (16, 4), (64, 4), (64, 12)):
            settings = RunSettings(device=DEVICE, batch_size=batch, workers=workers)
            start = time.perf_counter()
            evaluate(["efficientnet_lite0"], folder, Path(scratch) / f"{batch}-{workers}", settings=settings)
            yield f"| {batch} | {workers} | {images / (time.perf_counter() - start):.0f} |"


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=1024)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ShapleyCamWarning)
    measured = (cost_rows(n, layer, b, options.rounds) for n, (layer, batches) in BATCHES.items() for b in batches)
    cost = shown(chain.from_iterable(measured))
    evaluation = shown(evaluation_rows(options.images))
    shapley = shown(shapley_rows(3))
    newline = "\n"
    report(
        "gpu.md",
        f"""# What explanations cost on a GPU

`python bench/gpu.py --rounds {options.rounds} --images {options.images}` on: {torch.cuda.get_device_name()},
{os.cpu_count()} cores;
{", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm"))}, CUDA {torch.version.cuda}, cuDNN
{torch.backends.cudnn.version()}, Python {platform.python_version()}.

## Explanations

Time is the median ratio to the plain pass (`inference_mode`) measured just before. PyTorch's default computes
convolutions in TensorFloat-32; explanations run in float32, so ratios to both are given. Memory is the most that
PyTorch held on the GPU, weights included, and its ratio to that of the plain pass.

| network | batch | what | ms | / plain, TensorFloat-32 | / plain, float32 | peak | / plain |
|---|---|---|---|---|---|---|---|
{newline.join(cost)}

## Shapley values

One photograph by permutation sampling to 1 % (‖standard error‖ / ‖values‖), the forward pass not included.

| network | layer | players | reached | evaluations | time |
|---|---|---|---|---|---|
{newline.join(shapley)}

## Evaluation

Ten methods and six metrics of the default network over {options.images} JPEG files of 500 x 375 pixels, in images a
second; {os.cpu_count()} cores. The start of the run (model, index) is included.

{newline.join(evaluation)}
""",
    )


if __name__ == "__main__":
    main()
