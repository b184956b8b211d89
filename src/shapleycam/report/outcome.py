"""The first sentences of a report, which state its main result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shapleycam.cams.table import METHODS
from shapleycam.experiments.results import Cell, Column, ResultsSummary
from shapleycam.explanations.image_summary import ImageSummary
from shapleycam.metrics import METRICS
from shapleycam.wording import counted, number, percent

PREFERRED = "adcc"
"""The metric by which methods are compared if it was measured, because it combines three others."""
_NAMED = 5
"""Largest number of photographs, or of methods, that a sentence names."""


def preferred_column(columns: Sequence[Column]) -> Column | None:
    """Return the column by which methods are compared: ADCC if it was measured, else the first, or None."""
    return next((column for column in columns if column.name == PREFERRED), next(iter(columns), None))


def describe_results(summary: ResultsSummary) -> list[str]:
    """Return a sentence for each layer and utility: which method is best, by which metric, and how certain that is."""
    return [_describe_setting(summary, layer, utility) for layer, utility in summary.settings]


def describe_metric(summary: ResultsSummary) -> str:
    """Return a sentence on the metric that `describe_results` uses; "" if no metric was measured."""
    column = preferred_column(summary.columns)
    if column is None:
        return ""
    metric = METRICS[column.described_by]
    return f"{column.title} is {metric.summary}."


def figure_text(value: float, column: Column) -> str:
    """Return a metric's value as text; a percentage if the metric is a share."""
    return percent(value, 1) if column.percent else f"{value:.3f}"


def describe_photographs(names: Sequence[str], summaries: Sequence[ImageSummary]) -> str:
    """Return a sentence with the model's prediction for each photograph, and for a single one where the evidence is."""
    if len(summaries) == 1:
        evidence = summaries[0].explained[0].evidence
        return f"{_answer(summaries[0], capital=True)}: {evidence}."
    answers = [f"{name}: {_answer(each)}" for name, each in zip(names[:_NAMED], summaries, strict=False)]
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f"{'; '.join([*answers, *more])}."


def _answer(summary: ImageSummary, *, capital: bool = False) -> str:
    """Return the predicted class, and the explained class if it is a different one."""
    explained = summary.explained[0]
    the = "The" if capital else "the"
    if not summary.top:
        return f"{the} model gives {summary.utility} {number(explained.utility_value)}"
    top = summary.top[0]
    says = f"{the} model says {top.label}, {percent(top.probability)}"
    return says if top.number == explained.number else f"{says}, and why it could be {explained.label} is explained"


def _describe_setting(summary: ResultsSummary, layer: str, utility: str) -> str:
    results = summary.at(layer, utility)
    where = f"Layer {layer}, utility {utility}: " if len(summary.settings) > 1 else ""
    column = preferred_column(results.columns)
    if column is None:
        return f"{where}no metric was measured."
    cells = [cell for cell in results.cells if cell.metric == column.name]
    by_model = {group.model: [cell for cell in cells if cell.model == group.model] for group in results.groups}
    described = [_describe_network(of_model, column) for of_model in by_model.values()]
    sentence = described[0] if len(by_model) == 1 else _describe_networks(by_model, column)
    return f"{where}{sentence[:1].upper()}{sentence[1:]}" if not where else f"{where}{sentence}"


def _describe_network(cells: Sequence[Cell], column: Column) -> str:
    defined = [cell for cell in cells if cell.n]
    if not defined:
        return f"by {column.title} nothing can be said: it is undefined for every photograph."
    best = [cell for cell in defined if cell.best] or defined[:1]
    images = counted(best[0].n, "photograph")
    names, value = _joined([cell.method for cell in best]), figure_text(best[0].mean, column)
    if len(defined) == 1:
        return f"only {names} was measured: its {column.title} is {value} over {images}."
    others = sorted((cell for cell in defined if cell not in best), key=lambda cell: cell.rank)
    came_out = f"{names} came out best of {len(defined)} methods: {value} over {images}"
    return f"by {column.title}, where {_better(column)}, {came_out}{_lead(best, others, column)}.{_warning(best)}"


def _lead(best: Sequence[Cell], others: Sequence[Cell], column: Column) -> str:
    """Return the part of a sentence on the second best method, and whether the lead may be chance."""
    if not others:
        return ", as all others"
    next_best = f", before {others[0].method} with {figure_text(others[0].mean, column)}"
    if len(best) > 1 or best[0].lead_significant is None:
        return next_best
    return f"{next_best}; " + (
        "chance alone hardly makes such a lead" if best[0].lead_significant else "the lead may be chance"
    )


def _describe_networks(by_model: dict[str, list[Cell]], column: Column) -> str:
    """Return a sentence that says on how many networks each method is best."""
    wins = Counter(cell.method for cells in by_model.values() for cell in cells if cell.best and cell.n)
    if not wins:
        return f"by {column.title} no method came out best on any network."
    counts = [f"{method} on {count}" for method, count in wins.most_common(_NAMED)]
    winners = [cell for cells in by_model.values() for cell in cells if cell.best]
    best = f"of {len(by_model)} networks came out best: {', '.join(counts)}."
    return f"by {column.title}, where {_better(column)}, {best}{_warning(winners)}"


def _better(column: Column) -> str:
    return "higher is better" if column.better == "high" else "lower is better"


def _warning(best: Sequence[Cell]) -> str:
    """Return a warning if a best method explains nothing (a random map); "" otherwise."""
    return "".join(_warnings(dict.fromkeys(cell.method for cell in best)))


def _warnings(methods: dict[str, None]) -> Iterator[str]:
    for method in methods:
        row = METHODS.get(method)
        if row is not None and row.basis.name == "random":
            yield f" {method} explains nothing: by this metric alone methods cannot be judged."


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} (equal)"
