"""A Ray cluster of several nodes on this machine, for the tests of this folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.object_store import CREDENTIALS
from helpers.ports import free_port
from helpers.slow_network import HOLD

TESTS = Path(__file__).parents[2]
# What the nodes inherit: where the tests' own modules are, and that nobody is told of them.
NODES = {
    "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    **CREDENTIALS,
}
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
SOON_MISSED = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 300}
"""A node that has ended is missed after five checks, in 1.5 seconds and not in 15; one that is only busy is not."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables above and the file by which runs are held, in this process and those that it starts."""
    variables = {**NODES, HOLD: str(tmp_path_factory.mktemp("hold") / "hold")}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    yield variables
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def client_port() -> int:
    """The port of the cluster's server of clients, which addresses with ray:// name."""
    return free_port()


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str], client_port: int) -> Iterator[Any]:
    """A head and another node, of one logical CPU each."""
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "_system_config": SOON_MISSED, "ray_client_server_port": client_port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


def is_connected() -> bool:
    """Return whether this process is connected to a cluster."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


@pytest.fixture(autouse=True)
def connected_as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test Ray is as it was before: connected only where a fixture of the class keeps it so."""
    yield
    assert is_connected() == ("connection" in request.fixturenames)
