"""The cache of results is bounded in bytes, forgets what is to be forgotten, and keeps nobody waiting who has left."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Thread

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam.web.job import Cancelled
from shapleycam.web.shared_cache import SharedCache
from shapleycam.web.size_in_bytes import size_in_bytes


def test_whoever_waits_for_another_thread_can_be_cancelled():
    cache, began, release = SharedCache(1), Event(), Event()

    def slow() -> int:
        began.set()
        release.wait(10)
        return 1

    def cancel() -> None:
        raise Cancelled

    thread = Thread(target=cache.get, args=("a", slow))
    thread.start()
    began.wait(10)
    with pytest.raises(Cancelled):
        cache.get("a", lambda: 2, cancel)
    release.set()
    thread.join()
    assert cache.peek("a") == 1


class TestBounds:
    def test_in_bytes(self):
        """Of entries of 0.4 MB, two fit into 1 MB; one of 5 MB stays alone, and leaves for the next."""
        cache = SharedCache(100, megabytes=1)
        for key in range(4):
            cache.get(key, lambda: torch.zeros(100_000))
        assert [cache.peek(key) is not None for key in range(4)] == [False, False, True, True]
        cache.put("large", bytes(5_000_000))
        assert (len(cache), cache.peek("large") is not None) == (1, True)
        cache.put("small", b"x")
        assert (len(cache), cache.peek("small")) == (1, b"x")
        for _ in range(4):
            cache.put("again", torch.zeros(150_000))  # a new value replaces the bytes of the old one
        assert cache.peek("small") == b"x"

    def test_what_is_removed(self):
        cache = SharedCache(100, megabytes=1)
        for key in range(3):
            cache.put(key, bytes(400_000 if key else 10))
        cache.remove_where(lambda key: key == 2)
        assert [cache.peek(key) is not None for key in range(3)] == [True, True, False]
        cache.put(3, bytes(400_000))  # there is room again
        assert cache.peek(1) is not None


class TestSize:
    def test_of_values(self):
        tensor = torch.zeros(10, 10)

        @dataclass(frozen=True)
        class Result:
            values: torch.Tensor
            pictures: dict[str, Image.Image]

        result = Result(tensor[:2], {"photo": Image.new("RGB", (40, 20))})
        assert size_in_bytes(tensor[:2]) == 400  # the storage that it keeps alive
        assert size_in_bytes(np.zeros(7)) == 56
        assert 400 + 2400 < size_in_bytes(result) < 400 + 2400 + 1000
        assert size_in_bytes([result, result, tensor]) - size_in_bytes([result]) == 0
