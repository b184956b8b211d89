"""How many actors there are, and what each gets."""

from __future__ import annotations

import pytest

from shapleycam.errors import ClusterWarning, OptionError
from shapleycam.experiments.engines.ray.pool import Pool, size_pool

LAPTOP = [{"CPU": 8.0}]
SERVER = [{"CPU": 64.0, "GPU": 8.0}]
CLUSTER = [{"memory": 1e9}, {"CPU": 16.0, "GPU": 1.0}, {"CPU": 16.0, "GPU": 4.0}]  # a head that takes no work


@pytest.mark.parametrize(
    ("nodes", "requested", "expected"),
    [
        (LAPTOP, (None, None, None), Pool(1, 1, 8, 0, ahead=False)),
        (LAPTOP, (None, 2, None), Pool(4, 4, 2, 0, ahead=False)),
        (LAPTOP, (2, 4, None), Pool(2, 2, 4, 0, ahead=False)),
        ([{"CPU": 4.0}, {"CPU": 9.0}], (None, None, None), Pool(3, 3, 4, 0, ahead=False)),
        (SERVER, (None, None, None), Pool(8, 8, 1, 1, ahead=True)),
        (SERVER, (None, None, 0.5), Pool(16, 16, 1, 0.5, ahead=True)),
        (SERVER, (None, None, 0), Pool(1, 1, 64, 0, ahead=False)),
        (SERVER, (3, 2, 2), Pool(3, 4, 2, 2, ahead=True)),
        (CLUSTER, (None, None, None), Pool(5, 5, 1, 1, ahead=True)),
        ([{"CPU": 1.0, "GPU": 1.0}], (None, None, None), Pool(1, 1, 1, 1, ahead=False)),  # nobody left to prepare
    ],
)
def test_what_fits(nodes, requested, expected):
    assert size_pool(nodes, *requested) == expected


def test_no_room_is_refused_with_what_there_is():
    with pytest.raises(OptionError) as caught:
        size_pool(LAPTOP, None, None, 1)
    assert str(caught.value) == (
        "no node of the Ray cluster has room for an actor of 1 CPUs and 1 GPUs (its nodes: 8 CPUs, 0 GPUs); ask for "
        "less, or give actors= if the cluster grows on demand"
    )


def test_more_than_there_is_room_for_is_said():
    with pytest.warns(ClusterWarning, match=r"has room for 2 of 5 actors of 4 CPUs each \(its nodes: 8 CPUs, 0 GPUs\)"):
        assert size_pool(LAPTOP, 5, 4, None).actors == 5


def test_a_cluster_that_grows_from_nothing():
    with pytest.warns(ClusterWarning, match="has room for 0 of 2 actors of 1 CPUs and 1 GPUs each"):
        assert size_pool([{"memory": 1e9}], 2, None, 1) == Pool(2, 0, 1, 1, ahead=False)
