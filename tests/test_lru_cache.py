"""The mapping of bounded size; and that what is remembered of a model is kept in such."""

from __future__ import annotations

import threading

import pytest
import torch

from helpers.small_evaluations import Tiny
from shapleycam import Explainer
from shapleycam.layers import layout_proofs
from shapleycam.lru_cache import LRUCache
from shapleycam.tracing import checks, plan_learning


def test_the_least_recently_used_entry_is_forgotten():
    cache = LRUCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1  # b is now the one that was not used for longest
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)
    cache.put("a", 4)
    assert (cache.get("a"), len(cache)) == (4, 2)


def test_threads_share_it():
    cache, wrong = LRUCache(8), []

    def work(first):
        for number in range(first, first + 2000):
            cache.put(number % 20, number % 20)
            wrong.extend(key for key in range(20) if cache.get(key) not in {None, key})

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) == 8


@pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
def test_images_of_many_sizes_are_not_remembered_for_ever(monkeypatch):
    monkeypatch.setattr(plan_learning, "_MOST", 3)
    monkeypatch.setattr(layout_proofs, "_MAX_SIZES", 3)
    monkeypatch.setattr(checks, "_MAX_RESULTS", 5)
    model = Tiny()
    explainer = Explainer(model, layer="features")
    images = {
        side: torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(side)) for side in range(20, 26)
    }
    before = {side: explainer.explain(images[side], "pathcam-h").values for side in images}
    assert len(plan_learning._plans[model]) == 3
    assert len(layout_proofs.proofs_of(model).layouts) == 3
    assert len(checks._results[model]) == 5
    torch.testing.assert_close(explainer.explain(images[20], "pathcam-h").values, before[20])  # which was forgotten
