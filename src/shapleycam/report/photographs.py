"""The report on photographs: each photograph's class, and the maps that explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.drawing.colour_bars import ColourBar, heatmap_bar, values_bar
from shapleycam.errors import ReplayError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions, largest_size
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.figures import describe_unsure
from shapleycam.explanations.image_summary import ImageSummary, describe_curvature
from shapleycam.explanations.summary import gap_of_values, sum_of_values, summarise_image
from shapleycam.printable import printable_name
from shapleycam.report.outcome import describe_photographs
from shapleycam.report.page import Section, render_page
from shapleycam.report.pictures import Picture, photograph_picture
from shapleycam.smoothing import SmoothChoice
from shapleycam.values.options import EstimatorKeywords
from shapleycam.wording import counted, number, percent

if TYPE_CHECKING:
    from typing_extensions import Unpack

_MAX_CELLS = 400
"""Values are printed as a table only if there are at most this many cells."""


@dataclass(frozen=True)
class MethodMap:
    """One method's map of one photograph; `values` is None if there are too many to print."""

    method: str
    heat: Picture
    signed: Picture
    bar: ColourBar
    evidence: str
    sum: str
    values: tuple[tuple[str, ...], ...] | None


@dataclass(frozen=True)
class Page:
    """The part of the report on one photograph.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.report import Page, make_pages
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> explainer = Explainer(torch.nn.Sequential(*layers), layer="0")
        >>> batch = batch_of(torch.rand(1, 3, 16, 16), None, explainer.model)
        >>> pages = make_pages(explainer, batch, ["gradcam"], view="input")
        >>> isinstance(pages[0], Page), pages[0].maps[0].method
        (True, 'gradcam')
    """

    name: str
    picture: Picture
    summary: ImageSummary
    curvature: str
    grand: str
    maps: tuple[MethodMap, ...]


def make_pages(
    explainer: Explainer,
    batch: Batch,
    methods: Sequence[str],
    target: Target = None,
    *,
    view: Literal["photo", "input"] | None = None,
    smooth: SmoothChoice = None,
    **options: Unpack[EstimatorKeywords],
) -> list[Page]:
    """Explain the photographs of a batch, and return the part of the report on each.

    `smooth` and `options` are as in `Explainer.compare`.

    Raises:
        ShapleyCamError: as in `Explainer.compare`.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.report import make_pages
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> explainer = Explainer(torch.nn.Sequential(*layers), layer="0")
        >>> batch = batch_of(torch.rand(1, 3, 16, 16), None, explainer.model)
        >>> pages = make_pages(explainer, batch, ["gradcam"], view="input")
        >>> [method_map.method for method_map in pages[0].maps]
        ['gradcam']
    """
    comparison = explainer.compare(batch, methods, target, curvature=True, smooth=smooth, **options)
    grand = _grand(explainer, batch, next(iter(comparison.values())).target)
    return [_page(comparison, index, explainer.name, grand, view) for index in range(len(batch.sources))]


def render_photographs(pages: Sequence[Page], unread: Sequence[tuple[str, str]]) -> bytes:
    """Return the report on photographs as the bytes of an HTML file; `unread` has (name, reason) of unreadable files.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.report import make_pages, render_photographs
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> explainer = Explainer(torch.nn.Sequential(*layers), layer="0")
        >>> batch = batch_of(torch.rand(1, 3, 16, 16), None, explainer.model)
        >>> pages = make_pages(explainer, batch, ["gradcam"], view="input")
        >>> render_photographs(pages, unread=[("cat.jpg", "no such file")]).startswith(b"<!doctype html>")
        True
    """
    sections = [Section(f"photograph-{number}", page.name) for number, page in enumerate(pages, start=1)]
    summary = pages[0].summary
    count = counted(len(pages), "photograph")
    rows = [METHODS[method_map.method] for method_map in pages[0].maps]
    return render_page(
        "photographs.html",
        title=f"{count} explained: {summary.model}" if summary.model else f"{count} explained",
        sections=[*sections, *([Section("unread", "Could not be read")] if unread else [])],
        pages=list(zip(sections, pages, strict=True)),
        summary=summary,
        outcome=describe_photographs([page.name for page in pages], [page.summary for page in pages]),
        heat=heatmap_bar(),
        methods=[(row.name, row.basis.name, row.spread_name, row.source) for row in rows],
        unread=unread,
    )


def _grand(explainer: Explainer, batch: Batch, target: Tensor) -> Tensor | None:
    """Return v(N) of each photograph's game; None if the head cannot be replayed."""
    try:
        return explainer.game(batch, target).grand.detach()
    except ReplayError:
        return None


def _page(
    comparison: Comparison, index: int, model: str, grand: Tensor | None, view: Literal["photo", "input"] | None
) -> Page:
    summary = summarise_image([comparison], index, model)
    first = next(iter(comparison.values()))
    name = summary.explained[0].label
    source = first.sources[index]
    total = None if grand is None else float(grand[index])
    return Page(
        name=printable_name(str(source.photo)) if isinstance(source.photo, Path) else source.name,
        picture=photograph_picture(first.overlay(index, on=view, opacity=0), f"{source.name}, as the network saw it"),
        summary=summary,
        curvature=describe_curvature(summary.explained[0].curvature),
        grand="" if total is None else number(total),
        maps=tuple(_map(e[index], f"{source.name} for {name}", total, view) for e in comparison.values()),
    )


def _map(e: Explanation, of: str, grand: float | None, view: Literal["photo", "input"] | None) -> MethodMap:
    values, drawn = e.values[0].detach().cpu(), DrawnMap(kind="values")
    units = f"units of {e.utility_name}" if e.divides_score else "units of its own"
    return MethodMap(
        method=e.method,
        heat=photograph_picture(e.overlay(on=view, kind="heatmap"), f"{e.method} heatmap of {of}"),
        signed=photograph_picture(e.overlay(on=view, kind="values"), f"{e.method} signed values of {of}"),
        bar=values_bar(
            largest_size(e, drawn),
            f"{e.method}: red for the class, blue against it, in {units}{describe_unsure([drawn_regions(e, drawn)])}",
        ),
        evidence=describe_evidence(e.values[0]),
        sum=_sum(e, grand) if e.divides_score else "not in units of the score",
        values=_cells(values),
    )


def _sum(e: Explanation, grand: float | None) -> str:
    """Return a text with the sum of the values, and its efficiency gap if there is one."""
    gap = None if grand is None else gap_of_values(e, grand)
    total = number(sum_of_values(e))
    return total if gap is None else f"{total}, efficiency gap {percent(gap, 1)}"


def _cells(values: Tensor) -> tuple[tuple[str, ...], ...] | None:
    if values.dim() != 2 or values.numel() > _MAX_CELLS:
        return None
    return tuple(tuple(number(value, 3) for value in row) for row in values.tolist())
