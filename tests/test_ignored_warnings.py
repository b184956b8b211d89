"""Our own warnings are ignored in one thread, by category, and the filters of the process are not touched."""

from __future__ import annotations

import threading
import warnings

import pytest

from shapleycam.errors import BlankHeatmapWarning, ShapleyCamWarning, ToleranceWarning, ignore_warnings, warn


def warned(*categories):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ShapleyCamWarning)
        for category in categories:
            warn(category, "text")
    return [each.category for each in caught]


def test_only_the_category_is_ignored_and_only_inside():
    with ignore_warnings(BlankHeatmapWarning):
        assert warned(BlankHeatmapWarning, ToleranceWarning) == [ToleranceWarning]
        with ignore_warnings(ToleranceWarning):
            assert warned(BlankHeatmapWarning, ToleranceWarning) == []
        assert warned(ToleranceWarning) == [ToleranceWarning]
    assert warned(BlankHeatmapWarning) == [BlankHeatmapWarning]


def test_an_error_inside_ends_it():
    with pytest.raises(ZeroDivisionError), ignore_warnings():
        raise ZeroDivisionError
    assert warned(BlankHeatmapWarning) == [BlankHeatmapWarning]


def test_another_thread_is_warned_and_the_filters_stay():
    before, seen = list(warnings.filters), []
    with ignore_warnings():
        thread = threading.Thread(target=lambda: seen.extend(warned(BlankHeatmapWarning)))
        thread.start()
        thread.join()
        assert warned(BlankHeatmapWarning) == []
    assert seen == [BlankHeatmapWarning]
    assert list(warnings.filters) == before
