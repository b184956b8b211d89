"""`combine_of`: the functions that compute a column's figure from one or several means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shapleycam.experiments.results.box_hits import max_box_accuracy, max_box_accuracy_v2
from shapleycam.experiments.results.columns import ADCC_OF_MEANS, MAX_BOX_ACCURACY, MAX_BOX_ACCURACY_V2, Column
from shapleycam.experiments.results.resampling import Array
from shapleycam.experiments.results.statistics import Combine, harmonic_mean, single_mean


def adcc_of(parts: Array) -> Array:
    """Return the ADCC (Poppi 2021, arXiv:2104.10252) of coherency, complexity and average drop: (..., 3) -> (...).

    All numbers are fractions.
    """
    return harmonic_mean(np.stack([parts[..., 0], 1 - parts[..., 1], 1 - parts[..., 2]], axis=-1))


def combine_of(column: Column) -> Combine:
    """Return the function that computes a column's figure from the means of its parts."""
    return _COMBINE.get(column.name, single_mean)


_COMBINE: dict[str, Combine] = {
    ADCC_OF_MEANS: adcc_of,
    MAX_BOX_ACCURACY: max_box_accuracy,
    MAX_BOX_ACCURACY_V2: max_box_accuracy_v2,
}


@dataclass(frozen=True)
class ColumnParts:
    """A column, and the indices of the means from which its figures are computed."""

    column: Column
    parts: tuple[int, ...]

    @property
    def combine(self) -> Combine:
        """Return the function that computes the column's figure from these means."""
        return combine_of(self.column)
