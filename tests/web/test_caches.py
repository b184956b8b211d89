"""Caches that many visitors share: each entry made once, a bounded number of them, and models that are offered only."""

from __future__ import annotations

from threading import Barrier, Event, Thread

import pytest
import torch

from shapleycam.errors import ModelError
from shapleycam.models import zoo
from shapleycam.models.network import Network
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.shared_cache import SharedCache


class TestSharedCache:
    def test_each_entry_is_made_once_however_many_ask(self):
        cache, made, barrier, may_end = SharedCache(2), [], Barrier(9), Event()

        def make() -> int:
            made.append(1)
            assert may_end.wait(30)
            return len(made)

        def ask() -> None:
            barrier.wait()
            cache.get("key", make)

        threads = [Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        barrier.wait()
        may_end.set()
        for thread in threads:
            thread.join()
        assert made == [1]

    def test_the_entry_that_was_not_used_for_longest_leaves(self):
        cache, made = SharedCache(2), []
        for key in ("a", "b", "a", "c", "a", "b"):
            cache.get(key, lambda key=key: made.append(key))
        assert made == ["a", "b", "c", "b"]
        assert len(cache) == 2

    def test_what_failed_is_tried_again(self):
        cache = SharedCache(1)
        with pytest.raises(ZeroDivisionError):
            cache.get("a", lambda: 1 // 0)
        assert cache.get("a", lambda: 3) == 3


class TestModelCache:
    def test_only_what_is_offered(self):
        with pytest.raises(ModelError, match=r"^model 'timm:resnet18' is not offered by this page; known are small$"):
            ModelCache(["small"], 1).get("timm:resnet18")

    def test_an_empty_name_is_the_first(self, monkeypatch):
        monkeypatch.setattr(zoo, "load_network", lambda name: Network(torch.nn.Identity(), name=name))
        assert ModelCache(["a", "b"], 1).get("").network.name == "a"

    def test_a_model_that_was_exchanged_is_refused(self, monkeypatch):
        """What was made of the first one is kept, and would be mixed with what is made of the second."""
        model = torch.nn.Linear(2, 2)
        monkeypatch.setattr(zoo, "load_network", lambda _: Network(model))
        cache = ModelCache(["a", "b"], 1)
        for name in ("a", "b", "a", "b"):
            cache.get(name)
        with torch.no_grad():
            model.bias += 1
        with pytest.raises(ModelError, match=r"^model 'a' is another one than this page began with, so that answers"):
            cache.get("a")

    def test_a_bounded_number_is_kept_loaded(self, monkeypatch):
        made = []

        def load(name):
            made.append(name)
            return Network(torch.nn.Identity())

        monkeypatch.setattr(zoo, "load_network", load)
        cache = ModelCache(["a", "b", "c"], 2)
        for name in "abcba":
            cache.get(name)
        assert made == ["a", "b", "c", "a"]
        assert len(cache) == 2
