"""Ten methods and six metrics over photographs: ours, and the way of the paper's script, method by method.

python bench/experiments.py [--rounds N] [--images N]     prints, and writes bench/results/experiments.md

The other side does what the paper's script does for each method, with pytorch-grad-cam's classes: one pass for the
prediction; the CAM, with its backward pass; the plain score; the score of the masked and of the inversely masked image;
the CAM of the masked image. Its package has no shapleycam-h and -e: its ShapleyCAM, of the same cost, stands for them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytorch_grad_cam
import torch
from torch import Tensor, nn

from measure import THREADS, machine, peak_of_process, peak_resident, report, seconds
from shapleycam import METHODS, Explainer, Preprocess, metrics
from shapleycam.errors import ShapleyCamWarning
from shapleycam.images import open_photograph
from shapleycam.models import zoo

DATA = Path(__file__).parents[2] / "shared/data"
PREPROCESS = Preprocess(256, (224, 224), (0.5,) * 3, (0.5,) * 3)
LAYER, BATCH = "bn2", 16
PAPER = [name for name, method in METHODS.items() if method.in_paper]
PEERS = {
    "gradcam": "GradCAM",
    "hirescam": "HiResCAM",
    "gradcam-e": "GradCAMElementWise",
    "xgradcam": "XGradCAM",
    "layercam": "LayerCAM",
    "gradcam++": "GradCAMPlusPlus",
    "randomcam": "RandomCAM",
    "shapleycam": "ShapleyCAM",
    "shapleycam-h": "ShapleyCAM",
    "shapleycam-e": "ShapleyCAM",
}

Batches = Sequence[Tensor]


def photographs(count: int) -> list[Path]:
    """The first of the 32 photographs that the reference metrics are of."""
    names = (DATA / "reference/metrics_images.txt").read_text().split()
    return [DATA / "imagenet-sample" / name for name in names[:count]]


def loaded(count: int) -> Batches:
    """Those photographs in batches, decoded."""
    images = torch.stack([PREPROCESS(open_photograph(path)) for path in photographs(count)])
    return images.split(BATCH)


class Rest:
    """The paper's utility as pytorch-grad-cam wants it: of one image's logits."""

    def __init__(self, target: int) -> None:
        self.target = target

    def __call__(self, output: Tensor) -> Tensor:
        return output[self.target] + output.log_softmax(-1)[self.target]


def ours(model: nn.Module, batches: Batches) -> Callable[[], None]:
    """Explain and measure, as `evaluate` does for each batch."""
    explainer = Explainer(model, layer=LAYER, preprocess=PREPROCESS)

    def call() -> None:
        for images in batches:
            metrics.measure(explainer, images, explainer.compare(images, PAPER))

    return call


def papers_way(model: nn.Module, batches: Batches) -> Callable[[], None]:
    """The same work method by method."""
    layers = [model.get_submodule(LAYER)]

    def score(images: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images).softmax(1).gather(1, target[:, None])[:, 0]

    def measure_batch(kind: str, images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            target = model(images).argmax(1)
        with getattr(pytorch_grad_cam, kind)(model=model, target_layers=layers) as cam:
            utilities = [Rest(int(class_number)) for class_number in target]
            heat = torch.from_numpy(cam(input_tensor=images, targets=utilities))
            mask = heat[:, None]
            full_score, kept_score = score(images, target), score(images * mask, target)
            removed_score = score(images * (1 - mask), target)
            kept_heat = torch.from_numpy(cam(input_tensor=images * mask, targets=utilities))
        return full_score, kept_score, removed_score, heat.flatten(1).mean(1), (heat * kept_heat).flatten(1).mean(1)

    def call() -> None:
        for kind in PEERS.values():
            for images in batches:
                measure_batch(kind, images)

    return call


SIDES = {"ours": ours, "the paper's way": papers_way}


def passes(model: nn.Module, call: Callable[[], None]) -> int:
    """How many forward passes a call makes."""
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    handle = model.register_forward_hook(seen)
    call()
    handle.remove()
    return count


def distinct_maps(model: nn.Module, batches: Batches) -> int:
    """How many different heatmaps the ten methods have, over all batches."""
    explainer = Explainer(model, layer=LAYER)
    total = 0
    for images in batches:
        heatmaps: list[Tensor] = []
        for explanation in explainer.compare(images, PAPER).values():
            if not any((explanation.heatmap - heatmap).abs().max() < 1e-5 for heatmap in heatmaps):
                heatmaps.append(explanation.heatmap)
        total += len(heatmaps)
    return total


def comparison(count: int, rounds: int) -> str:
    """Time, passes and memory of the two sides."""
    model, batches = zoo.load_network(zoo.DEFAULT).model, loaded(count)
    calls = {name: side(model, batches) for name, side in SIDES.items()}
    counts = {name: passes(model, call) for name, call in calls.items()}  # and warms them
    counts["ours"] = passes(model, calls["ours"])  # without the plan of the first use
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, torch.device("cpu")))
    bare = passes_alone(model, batches)
    floor = statistics.median([seconds(bare, torch.device("cpu")) for _ in range(5)])
    memory = {name: peak_of_process(Path(__file__), "--peak", name, "--images", str(count)) for name in SIDES}
    bound = len(batches) + 2 * distinct_maps(model, batches)
    lines = [
        f"### Ten methods x six metrics, {count} photographs, {zoo.DEFAULT} at {LAYER}, batch {BATCH}",
        "",
        "| | seconds (median) | in forward passes over the photographs | passes made, a batch | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name, each in times.items():
        middle = statistics.median(each)
        lines.append(
            f"| {name} | {middle:.2f} | {middle / floor:.1f} | {counts[name] / len(batches):.1f} | {memory[name]:.0f} |"
        )
    ratios = [slow / fast for fast, slow in zip(times["ours"], times["the paper's way"], strict=True)]
    verdict = (
        f"Time ratio, each round by itself: median **{statistics.median(ratios):.1f}** "
        f"({min(ratios):.1f} to {max(ratios):.1f}, {rounds} rounds); target 13. Passes: {counts['ours']} made, at most "
        f"{bound} allowed (1 + 2 x distinct maps, summed over the batches)."
    )
    lines += ["", verdict, ""]
    return "\n".join(lines)


def passes_alone(model: nn.Module, batches: Batches) -> Callable[[], None]:
    """The bare forward pass over the same photographs."""

    def call() -> None:
        with torch.inference_mode():
            for images in batches:
                model(images)

    return call


def end_to_end(count: int, rounds: int) -> str:
    """Images a second of `evaluate`, from the prompt to a finished folder, beside the bare pass.

    Of a run of `count` photographs, and of each further one: what a run does once (imports, loading the model, the
    check of its gradient by finite differences) is in the first figure alone.
    """
    model = zoo.load_network(zoo.DEFAULT).model
    bare = passes_alone(model, loaded(count))
    folder, sizes = Path(tempfile.mkdtemp()), (count, 3 * count)
    for size in sizes:
        (folder / f"photos-{size}").mkdir()
        for path in sorted((DATA / "imagenet-sample").rglob("*.JPEG"))[:size]:
            shutil.copy(path, folder / f"photos-{size}")

    def evaluated(workers: int, size: int) -> Callable[[], None]:
        choices = (
            "--layer",
            LAYER,
            "--device",
            "cpu",
            "--workers",
            str(workers),
            "--batch-size",
            str(BATCH),
            "--quiet",
        )
        command = ("-m", "shapleycam", "evaluate", folder / f"photos-{size}", "--out", folder / "run", *choices)

        def call() -> None:
            shutil.rmtree(folder / "run", ignore_errors=True)
            subprocess.run([sys.executable, *command], check=True, capture_output=True)

        return call

    calls = {("bare", count): bare} | {(w, size): evaluated(w, size) for w in (0, 1) for size in sizes}
    for call in calls.values():
        call()
    times: dict[tuple[object, int], list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            times[key].append(seconds(call, torch.device("cpu")))
    shutil.rmtree(folder)
    middle = {key: statistics.median(each) for key, each in times.items()}
    floor = middle["bare", count] / count
    lines = [
        f"### `shapleycam evaluate` end to end: {count} photographs, ten methods, six metrics",
        "",
        "From the prompt to a finished folder: importing, loading, decoding, explaining, measuring, writing.",
        f"Each further photograph: the time of {sizes[1]} less that of {sizes[0]}.",
        "",
        "| | images a second | in bare passes | each further photograph, images a second | in bare passes |",
        "|---|---|---|---|---|",
        f"| bare forward pass, photographs decoded before | {1 / floor:.2f} | 1.0 | | |",
    ]
    for workers in (0, 1):
        whole = middle[workers, count] / count
        further = (middle[workers, sizes[1]] - middle[workers, count]) / (sizes[1] - count)
        figures = f"{1 / whole:.2f} | {whole / floor:.1f} | {1 / further:.2f} | {further / floor:.1f}"
        lines.append(f"| evaluate, {workers or 'no'} process{'es' * (not workers)} decoding ahead | {figures} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--peak", choices=SIDES)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    if options.peak:
        SIDES[options.peak](zoo.load_network(zoo.DEFAULT).model, loaded(options.images))()
        print(peak_resident())
        return
    heading = f"# The experiments: what an evaluation costs\n\n{machine('timm', 'grad-cam')}\n"
    report(
        "experiments.md",
        "\n".join([heading, comparison(options.images, options.rounds), end_to_end(options.images, options.rounds)]),
    )


if __name__ == "__main__":
    main()
