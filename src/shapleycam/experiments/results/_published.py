"""The paper's two tables (Cai 2025, arXiv:2501.06261), and how far measured figures are from them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from shapleycam.experiments.results.cells import ADCC_OF_MEANS, Key, Summary

_KEYS = ("network", "layer", "utility", "method")
_FILE = "published.csv"
_HOOKED = {"gradcam", "shapleycam"}
"""Elementwise methods are not concerned: where the ReLU changes the activation, their derivative is zero."""
_OVERWRITTEN = (
    "vgg16 at last-conv: an in-place ReLU follows this convolution and overwrites the activation that a hook keeps, "
    "unless the hook copies it from a GPU before, as for GradCAM. Very probably ShapleyCAM's published figures are of "
    "the overwritten one: in print the average drops of GradCAM and ShapleyCAM are 76.68 and 31.30 (log_probability: "
    "73.65 and 48.76), 45.38 apart, and in the other seven CNNs at most 0.34. Here both read the layer's own "
    "activation, and their maps are nearly one."
)


@dataclass(frozen=True)
class Published:
    """Figures in print, in percent, by model, layer, utility, method and metric.

    `remarks` are sentences for the reader of a comparison: how what was measured differs from what was published.
    """

    source: str
    percent: Mapping[Key, float]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A measured figure and the published one, in percent; NaN where the measured one is undefined."""

    key: Key
    measured: float
    published: float

    @property
    def points(self) -> float:
        """Measured - published, in percentage points."""
        return self.measured - self.published


@dataclass(frozen=True)
class Comparison:
    """All cells of a summary that have a published counterpart, and what has none on either side."""

    source: str
    differences: tuple[Difference, ...]
    unpublished: tuple[Key, ...]
    unmeasured: tuple[Key, ...]
    remarks: tuple[str, ...] = ()


def doubt_of(key: Key) -> str | None:
    """Return why a published figure is probably not of the method that it names, None where nothing is known of it."""
    model, layer, _, method, _ = key
    return _OVERWRITTEN if (model, layer) == ("vgg16", "last-conv") and method in _HOOKED else None


@cache
def published() -> Published:
    """The paper's figures: two layers, ReST, twelve networks, ten methods, six metrics; its ADCC is that of means."""
    figures: dict[Key, float] = {}
    text = files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        model, layer, utility, method = (row.pop(name) for name in _KEYS)
        for metric, figure in row.items():
            name = ADCC_OF_MEANS if metric == "adcc" else metric
            figures[model, layer, utility, method, name] = float(figure)
    return Published("Cai 2025, arXiv:2501.06261", figures)


def difference(summary: Summary, against: Published) -> Comparison:
    """Each measured figure beside the published one; cells and figures without a counterpart are listed."""
    there = against.percent
    here = {cell.key: 100 * cell.mean for cell in summary.cells if cell.measured}
    return Comparison(
        against.source,
        tuple(Difference(key, percent, there[key]) for key, percent in here.items() if key in there),
        tuple(key for key in here if key not in there),
        tuple(key for key in there if key not in here),
        against.remarks,
    )
