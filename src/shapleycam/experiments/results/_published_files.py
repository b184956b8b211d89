"""`load_published`: the figures that the paper and its author published (Cai 2025, arXiv:2501.06261).

- `published.csv`: the paper's two tables, with both layers, ReST, twelve networks, ten methods and six metrics, in
  percent.
- `published_ablations.csv`: the same columns for some methods with other utilities, from the logs in the author's
  repository: `logit` before pooling, and `log_probability` at both layers. One network in the logs is omitted, because
  the paper's tables do not have it.
- `published_road.csv`: ROAD of three networks, as a fraction, from the same logs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from shapleycam.experiments.results._published import PublishedFigures
from shapleycam.experiments.results.cells import CellKey
from shapleycam.experiments.results.columns import ADCC_OF_MEANS

_KEYS = ("network", "layer", "utility", "method")
_TABLES, _ABLATIONS, _ROAD = "published.csv", "published_ablations.csv", "published_road.csv"
_PAPER = "Cai 2025, arXiv:2501.06261"
_LOGS = "the author's logs, github.com/caihuaiguang/pytorch-shapley-cam"
_ROAD_LAYER, _ROAD_UTILITIES = "last-conv", ("rest", "log_probability")
"""The layer and the possible utilities of the ROAD logs, which do not name them: see `_doubts`."""


@cache
def load_published() -> PublishedFigures:
    """Return the figures of the paper's tables, of the author's ablations by utility, and of ROAD, in percent.

    The published ADCC is the ADCC of means. Ablations that are not in the author's logs are missing.

    Examples:
        >>> from shapleycam.experiments.results import load_published
        >>> load_published().percent["resnet18", "before-pool", "rest", "gradcam", "average_drop"]
        18.73
        >>> key = ("resnet18", "before-pool", "log_probability", "shapleycam", "average_drop")
        >>> load_published().percent[key], load_published().source_of(key)
        (40.63, "the author's logs, github.com/caihuaiguang/pytorch-shapley-cam")
    """
    tables, logs = dict(_table_figures(_TABLES)), dict(_table_figures(_ABLATIONS)) | dict(_road_figures())
    return PublishedFigures(_PAPER, tables | logs, other_sources=dict.fromkeys(logs, _LOGS))


def _table_figures(file: str) -> Iterator[tuple[CellKey, float]]:
    for row in _read(file):
        model, layer, utility, method = (row.pop(name) for name in _KEYS)
        for metric, figure in row.items():
            name = ADCC_OF_MEANS if metric == "adcc" else metric
            yield (model, layer, utility, method, name), float(figure)


def _road_figures() -> Iterator[tuple[CellKey, float]]:
    for row in _read(_ROAD):
        for utility in _ROAD_UTILITIES:
            yield (row["network"], _ROAD_LAYER, utility, row["method"], "road"), 100 * float(row["road"])


def _read(file: str) -> csv.DictReader[str]:
    return csv.DictReader(files(__package__).joinpath(file).read_text(encoding="utf-8").splitlines())
