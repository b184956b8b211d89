"""The figures of an evaluation, for one layer and utility."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.results import Summary
from shapleycam.experiments.results.drawings import Drawing, drawings
from shapleycam.report.pictures import Picture, drawing


@dataclass(frozen=True)
class Drawn:
    """A figure with its title; without a picture, why it is not drawn."""

    title: str
    picture: Picture | None
    reason: str = ""


def figures(summary: Summary, curve_rows: pl.DataFrame | None) -> list[Drawn]:
    """What the results of one layer and utility allow."""
    return [_drawn(one) for one in drawings(summary, curve_rows)]


def _drawn(one: Drawing) -> Drawn:
    """A figure; one that cannot be drawn of these results must not keep the others from it."""
    try:
        return Drawn(one.title, drawing(one.draw(), one.alt))
    except OptionError as error:
        return Drawn(one.title, None, str(error))
