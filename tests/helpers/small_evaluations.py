"""A tiny network, small photographs and short calls for the tests of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam import Network, Preprocess
from shapleycam.experiments import Protocol, RunSettings, Store, evaluate
from shapleycam.experiments.rows import CURVES, metrics_in

SIDE = 32
PREPROCESS = Preprocess(SIDE, (SIDE, SIDE), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
LABELS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay")
QUICK = Protocol(methods=("gradcam", "shapleycam", "layercam"))
"""Three methods with maps of their own, at the layer before pooling."""
HERE = RunSettings(batch_size=16, workers=0)


def plain(photo: Image.Image) -> Tensor:
    """Preprocess as PREPROCESS does, by a plain function."""
    return PREPROCESS(photo)


class Tiny(nn.Module):
    """Images (b, 3, 32, 32), a grid of 8 x 8 at layer "features", a smooth head, ten classes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(8, 12, 3, padding=1), nn.GELU()
            )
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(12, len(LABELS))
        self.fc.weight.data *= 8  # so that scores are far from 1/10, and change with the image
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.features(x)).flatten(1))


def tiny_network(seed: int = 0, name: str = "tiny", **options: Any) -> Network:
    return Network(Tiny(seed), options.pop("preprocess", PREPROCESS), options.pop("labels", LABELS), name, **options)


def failing_network(do: Callable[[Tensor], object]) -> Network:
    """A tiny network that calls `do` with its input; what that returns, if it can be called, changes the output.

    A class holds `do`: of what a network holds, only classes are not copied with it, and what `do` counts would be
    counted in the copy.
    """

    class Held:
        call = staticmethod(do)

    class Fails(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            logits = super().forward(x)
            changed = Held.call(x)
            return changed(logits) if callable(changed) else logits

    return Network(Fails(), PREPROCESS, LABELS, "tiny")


def picture(seed: int, size: tuple[int, int] = (44, 38)) -> Image.Image:
    """Large shapes and some noise, as photographs have."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(30, 200, (5, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noise = random.normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(shapes) + noise).clip(0, 220).astype(np.uint8))


def folder_of(path: Path, number: int, first: int = 0) -> Path:
    """Write a folder of photographs 0000.jpg, 0001.jpg, ..."""
    path.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + number):
        picture(index).save(path / f"{index:04d}.jpg", quality=92)
    return path


def run_evaluation(data: Any, out: Path, models: Any = None, protocol: Protocol = QUICK, **options: Any) -> Store:
    options.setdefault("settings", HERE)
    return evaluate(tiny_network() if models is None else models, data, out, protocol, **options)


def by_status(frame: pl.DataFrame, status: str) -> pl.DataFrame:
    return frame.filter(pl.col("status") == status)


def assert_near(first: pl.DataFrame, second: pl.DataFrame, tolerance: float, within: float = 0.0) -> None:
    """The same rows, numbers equal to `tolerance`; the increase in confidence only where scores differ by `within`."""
    names = metrics_in(first.columns)
    words = [name for name in first.columns if name not in {*names, "probability", *CURVES}]
    assert first.select(words).equals(second.select(words))
    for name in ["probability", *names]:
        a, b = first[name].to_numpy(), second[name].to_numpy()
        rows = np.ones(len(a), dtype=bool)
        if name == "increase_in_confidence" and within:
            rows = first["average_drop"].fill_null(1).to_numpy() > within  # 0 both where it rose and where nothing did
            rows |= a == b
            assert (a != b).sum() <= 0.02 * len(a)
        np.testing.assert_allclose(a[rows], b[rows], rtol=0, atol=tolerance, err_msg=name, equal_nan=True)


class RecordingListener:
    """A listener that records its events, and calls `do` once `at` images are measured."""

    def __init__(self, at: int | None = None, do: Callable[[], object] | None = None) -> None:
        self.at, self.do = at, do
        self.started: tuple[int, int] | None = None
        self.models: list[str] = []
        self.steps: list[int] = []
        self.rows: list[dict[str, Any]] = []

    def run_started(self, images: int, done: int) -> None:
        self.started = (images, done)

    def model_started(self, name: str) -> None:
        self.models.append(name)

    def batch_finished(self, images: int, rows: Sequence[dict[str, Any]]) -> None:
        self.steps.append(images)
        self.rows += rows
        if self.at is not None and self.do is not None and sum(self.steps) >= self.at:
            self.at = None
            self.do()


def raises(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do
