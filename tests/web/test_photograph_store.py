"""Photographs in memory: by content, shared, for as long and as many bytes as the operator says."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from PIL import Image

from helpers.web_server import HOPPER
from shapleycam.images import open_photograph
from shapleycam.web.photograph_store import PhotographGoneError, PhotographStore
from shapleycam.web.photographs import Limits

HOUR = 3600


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return PhotographStore([HOPPER], Limits(), keep_hours=1, megabytes=0.05, clock=clock)


def picture(shade, side=80):
    """A photograph of some 19 kB."""
    file = BytesIO()
    Image.new("RGB", (side, side), (shade, 0, 0)).save(file, "BMP")
    return file.getvalue()


def test_a_key_tells_nothing_and_cannot_be_computed(store, clock):
    other = PhotographStore([], Limits(), keep_hours=1, megabytes=1, clock=clock)
    key = store.add(picture(1))
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert store.add(picture(1)) == key
    assert other.add(picture(1)) != key
    assert len(store) == 1


def test_the_photograph_is_what_came(store):
    key = store.add(HOPPER.read_bytes())
    assert store.get(key).image().tobytes() == open_photograph(HOPPER).tobytes()


def test_after_an_hour_without_use_it_is_gone(store, clock):
    used, unused = store.add(picture(1)), store.add(picture(2))
    clock.now = HOUR - 1
    store.get(used)
    clock.now = HOUR + 1
    store.get(used)
    with pytest.raises(PhotographGoneError, match="not here any more; choose it again"):
        store.get(unused)
    clock.now += HOUR + 1
    store.remove_old()
    assert len(store) == 0


def test_newer_ones_push_out_those_not_used_for_longest(store, clock):
    first, second = store.add(picture(1)), store.add(picture(2))
    clock.now = 10
    store.get(first)
    third = store.add(picture(3))
    assert [store.get(key) is not None for key in (first, third)] == [True, True]
    with pytest.raises(PhotographGoneError):
        store.get(second)


def test_one_that_is_larger_than_all_stays_until_the_next(store):
    large = store.add(picture(1, 200))
    assert store.get(large)
    store.add(picture(2))
    with pytest.raises(PhotographGoneError):
        store.get(large)


def test_whoever_made_something_of_it_is_told(store, clock):
    gone = []
    store.listeners.append(gone.append)
    key = store.add(picture(1))
    clock.now = 2 * HOUR
    store.remove_old()
    store.remove_old()
    assert gone == [{key}]


def test_examples_stay(store, clock):
    clock.now = 100 * HOUR
    store.remove_old()
    assert store.get("").content == store.get(HOPPER.stem).content == HOPPER.read_bytes()


def test_no_other_name_is_opened(store):
    for key in ("/etc/passwd", str(HOPPER), "../grace_hopper", "grace_hopper.jpg"):
        with pytest.raises(PhotographGoneError):
            store.get(key)
