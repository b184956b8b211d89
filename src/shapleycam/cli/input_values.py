"""Texts that commands print about distances from the input's Shapley values, and about the errors of these values."""

from __future__ import annotations

from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING, Any

from shapleycam.cli.measured_numbers import percent_of, plain_of
from shapleycam.terminal_tables import Head
from shapleycam.wording import as_json_value, counted, number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.fidelity import InputDistance, InputSummary, InputValues, Mean

FIGURES = ("relative error", "noise share", "Pearson", "corrected", "Spearman", "corrected", "x pass")
SHOWN = (
    "mean over images ± half of its 95% interval; relative error after the best scale; noise share: of the error's "
    "square; corrected: without what the noise takes; time in plain forward passes, that pass included"
)
NOT_RESOLVED = "not resolved"


def input_facts(inputs: Sequence[InputValues]) -> dict[str, str]:
    """Return facts about the input's values: the numbers of regions and runs, the noise, and the empty value."""
    from shapleycam.values._limited_runs import runs_to_aim

    regions, runs = max(each.regions for each in inputs), max(each.runs for each in inputs)
    worst = max(inputs, key=lambda each: each.noise)
    facts = {"input": f"{counted(regions, 'region')}, {counted(runs, 'run')} of the model an image"}
    if worst.noise > 0:
        agreements = [each.agreement for each in inputs if each.agreement is not None]
        more = f"; 10% takes about {runs_to_aim(worst.noise, worst.runs):,} runs" if worst.noise > 0.1 else ""
        agreement = f"; the two halves of the runs correlate {fmean(agreements):.2f} in the mean" if agreements else ""
        facts["noise"] = f"{percent(worst.noise, 1)} of the input's values at most{more}{agreement}"
    removed = [each.utility_removed for each in inputs]
    whole = fmean(each.utility_whole for each in inputs)
    facts["empty"] = (
        f"where all regions are removed {number(fmean(removed), 3)} is left of {number(whole, 3)}, in the mean"
    )
    return facts


def input_heads() -> list[Head]:
    """Return the heads of the columns of `input_figures`."""
    return [Head(head, "number") for head in FIGURES]


def input_figures(row: InputSummary) -> list[str]:
    """Return the cells with numbers in a row of the table."""
    return [
        percent_of(row.error),
        percent_of(row.noise_share),
        plain_of(row.pearson, 2),
        _corrected(row.pearson_corrected, row.pearson, row.images),
        plain_of(row.spearman, 2),
        _corrected(row.spearman_corrected, row.spearman, row.images),
        "" if row.passes is None else f"{row.passes.value:.2f}",
    ]


def rows_as_data(rows: Sequence[InputSummary | InputDistance | InputValues]) -> list[dict[str, Any]]:
    """Return rows as dictionaries for JSON."""
    return [as_json_value(asdict(row)) for row in rows]


def _corrected(mean: Mean | None, observed: Mean | None, images: int) -> str:
    """Return a corrected correlation as text, with the number of its images if these are not all."""
    if mean is None:
        return "" if observed is None else NOT_RESOLVED
    return plain_of(mean, 2) + ("" if mean.count == images else f" ({mean.count} of {images})")
