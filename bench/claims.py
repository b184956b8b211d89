"""Is one method better than another? Paired differences over the images of a run, with 95% bootstrap intervals.

python bench/claims.py RUN [RUN ...]     prints a Markdown table for each layer, as in docs/results.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from shapleycam.experiments import Store
from shapleycam.experiments.results.columns import ADCC_PARTS
from shapleycam.experiments.results.combining import adcc_of
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.results.statistics import Lead, lead, lead_from_resamples, pair_values
from shapleycam.experiments.rows import metrics_in
from shapleycam.metrics import METRICS

PAIRS = (
    ("shapleycam", "gradcam"),
    ("shapleycam-h", "hirescam"),
    ("sampledshapley", "gradcam"),
    ("sampledshapley", "shapleycam"),
    ("sampledshapley", "hirescam"),
)
ASKED = ("adcc", "average_drop", "road", "insertion", "deletion")


def values(rows: pl.DataFrame, metric: str, method: str) -> np.ndarray:
    """One metric of one method, image by image."""
    return rows.filter(method=method).sort("index")[metric].to_numpy()


def lead_of_values(rows: pl.DataFrame, metric: str, method: str, rival: str) -> str:
    """Return how much better the first method is, in points, with its interval; bold where it excludes 0."""
    sign = 1 if METRICS[metric].better == "high" else -1
    return shown(lead(*(sign * values(rows, metric, each) for each in (method, rival))))


def lead_of_means(rows: pl.DataFrame, method: str, rival: str) -> str:
    """Return the same for the ADCC of the published tables, which is computed from the means."""
    parts = (np.stack([values(rows, name, each) for name in ADCC_PARTS], 1) for each in (method, rival))
    pair = pair_values(*parts)
    return shown(lead_from_resamples(pair, Resampler().means(pair), adcc_of))


def shown(lead: Lead) -> str:
    """A lead in points."""
    text = f"{100 * lead.mean:+.2f} ({100 * lead.low:+.2f} to {100 * lead.high:+.2f})"
    return f"**{text}**" if lead.low > 0 or lead.high < 0 else text


def table(run: Store) -> str:
    """A table for each layer of a run."""
    rows = run.rows().filter(pl.col("status") == "ok")
    metrics = [name for name in ASKED if name in metrics_in(rows.columns)]
    lines = []
    for layer in rows["layer"].unique(maintain_order=True):
        of_layer = rows.filter(layer=layer)
        lines += [
            f"Layer {layer}, {of_layer['index'].n_unique()} photographs:",
            "",
            "| better than | ADCC (of means) | " + " | ".join(METRICS[name].title for name in metrics) + " |",
            "|---|---|" + "---|" * len(metrics),
        ]
        for method, rival in PAIRS:
            cells = " | ".join(
                [
                    lead_of_means(of_layer, method, rival),
                    *(lead_of_values(of_layer, name, method, rival) for name in metrics),
                ]
            )
            lines.append(f"| {method} than {rival} | {cells} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(table(Store(Path(path))))
