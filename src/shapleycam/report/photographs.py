"""The report of photographs: what each is taken for, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.errors import ReplayError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import (
    ImageSummary,
    describe_curvature,
    gap_of_values,
    sum_of_values,
    summarise_image,
)
from shapleycam.report.page import Section, rendered
from shapleycam.report.pictures import Bar, Picture, heat_bar, photo, signed_bar
from shapleycam.values.options import EstimatorKeywords
from shapleycam.wording import counted

if TYPE_CHECKING:
    from typing_extensions import Unpack

_MOST_CELLS = 400
"""Values of more cells than this are not printed as a table."""


@dataclass(frozen=True)
class Map:
    """One method's map of one photograph; `values` are None where there are too many of them to print."""

    method: str
    heat: Picture
    signed: Picture
    bar: Bar
    evidence: str
    sum: str
    values: tuple[tuple[str, ...], ...] | None


@dataclass(frozen=True)
class Page:
    """What is said of one photograph."""

    name: str
    picture: Picture
    summary: ImageSummary
    curvature: str
    grand: str
    maps: tuple[Map, ...]


def pages_of(
    explainer: Explainer,
    batch: Batch,
    methods: Sequence[str],
    target: Target = None,
    *,
    view: Literal["photo", "input"] | None = None,
    **options: Unpack[EstimatorKeywords],
) -> list[Page]:
    """What is said of each photograph of a batch; `options` are as in `Explainer.compare`.

    Raises:
        ShapleyCamError: as `Explainer.compare`.
    """
    found = explainer.compare(batch, methods, target, curvature=True, **options)
    grand = _grand(explainer, batch, next(iter(found.values())).target)
    return [_page(found, index, explainer.name, grand, view) for index in range(len(batch.sources))]


def of_photographs(pages: Sequence[Page], unread: Sequence[tuple[str, str]]) -> bytes:
    """A page on photographs, and on those that could not be read and why."""
    sections = [Section(f"photograph-{number}", page.name) for number, page in enumerate(pages, start=1)]
    summary = pages[0].summary
    count = counted(len(pages), "photograph")
    return rendered(
        "photographs.html",
        title=f"{count} explained: {summary.model}" if summary.model else f"{count} explained",
        sections=[*sections, *([Section("unread", "Could not be read")] if unread else [])],
        pages=list(zip(sections, pages, strict=True)),
        summary=summary,
        heat=heat_bar(),
        rows=[METHODS[each.method] for each in pages[0].maps],
        unread=unread,
    )


def _grand(explainer: Explainer, batch: Batch, target: Tensor) -> Tensor | None:
    """v(N) of each photograph's game; None where what comes after the layer cannot be run by itself."""
    try:
        return explainer.game(batch, target).grand.detach()
    except ReplayError:
        return None


def _page(
    found: Comparison, index: int, model: str, grand: Tensor | None, view: Literal["photo", "input"] | None
) -> Page:
    summary = summarise_image([found], index, model)
    first = next(iter(found.values()))
    name = summary.explained[0].label
    source = first.sources[index]
    total = None if grand is None else float(grand[index])
    return Page(
        name=str(source.photo) if source.photo is not None else source.name,
        picture=photo(first.overlay(index, on=view, opacity=0), f"{source.name}, as the network saw it"),
        summary=summary,
        curvature=describe_curvature(summary.explained[0].curvature),
        grand="" if total is None else f"{total:.4g}",
        maps=tuple(_map(e[index], f"{source.name} for {name}", total, view) for e in found.values()),
    )


def _map(e: Explanation, of: str, grand: float | None, view: Literal["photo", "input"] | None) -> Map:
    values = e.values[0].detach().cpu()
    in_units = METHODS[e.method].in_units
    units = f"units of {e.utility_name}" if in_units else "units of its own"
    return Map(
        method=e.method,
        heat=photo(e.overlay(on=view), f"{e.method} heatmap of {of}"),
        signed=photo(e.overlay(on=view, kind="values"), f"{e.method} signed values of {of}"),
        bar=signed_bar(float(values.abs().max()), f"{e.method}: red for the class, blue against it, in {units}"),
        evidence=describe_evidence(e.values[0]),
        sum=_sum(e, grand) if in_units else "not in units of the score",
        values=_cells(values),
    )


def _sum(e: Explanation, grand: float | None) -> str:
    """What the values add up to, and how far that is from what they share out."""
    gap = None if grand is None else gap_of_values(e, grand)
    total = f"{sum_of_values(e):.4g}"
    return total if gap is None else f"{total}, efficiency gap {gap:.1%}"


def _cells(values: Tensor) -> tuple[tuple[str, ...], ...] | None:
    if values.dim() != 2 or values.numel() > _MOST_CELLS:
        return None
    return tuple(tuple(f"{value:.3g}".replace("-", "−") for value in row) for row in values.tolist())
