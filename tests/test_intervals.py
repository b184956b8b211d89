"""Half widths of Student's intervals, against scipy's own."""

from __future__ import annotations

from math import isnan, sqrt
from statistics import stdev

import pytest
from scipy import stats

from shapleycam.intervals import half_width, student_quantile


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_agrees_with_scipy(confidence):
    values = [0.3, 1.5, 2.5, 0.1]
    low, high = stats.t.interval(confidence, 3, sum(values) / 4, stdev(values) / sqrt(4))
    assert half_width(stdev(values), 4, confidence) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_values_have_no_interval(count):
    assert isnan(half_width(1.0, count))
    assert isnan(student_quantile(count))
