"""The same evaluation on a Ray cluster of several nodes, parts of which are killed."""

from __future__ import annotations

import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import psutil
import pytest
import torch

from helpers import ray_driver
from helpers.lazy_modules import LazyModule
from helpers.object_store import object_store
from helpers.ports import listens
from helpers.slow_network import held_after, slow
from helpers.small_evaluations import (
    RecordingListener,
    assert_near,
    by_status,
    failing_network,
    folder_of,
    raises,
    run_evaluation,
)
from shapleycam.errors import ModelError, OptionError, ScaleInvariantHeadWarning, warn
from shapleycam.experiments import RunSettings, Store
from shapleycam.experiments.engines import Local, Ray
from shapleycam.files import UNFINISHED

ray = LazyModule("ray")

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")]
IMAGES = 150
"""Five chunks, the last one smaller."""
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, one of which cannot be read."""
    data = folder_of(tmp_path_factory.mktemp("many"), IMAGES)
    (data / "0041.jpg").write_bytes(b"no photograph")
    return data


@pytest.fixture(scope="module")
def whole(many: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The table of this process, with one thread, as an actor of one CPU has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = run_evaluation(many, tmp_path_factory.mktemp("whole"), settings=RunSettings(batch_size=8, workers=0)).rows()
    torch.set_num_threads(threads)
    return rows


def settings_for(cluster: Any, **options: Any) -> RunSettings:
    """Return settings of a run on both nodes; actors=1 where a second would only import torch once more."""
    return RunSettings(batch_size=8, engine=Ray(cluster.address, **options))


def chunk_files(out: Path) -> list[Path]:
    return list(out.rglob("*.parquet"))


def actors_below(pid: int) -> list[psutil.Process]:
    """Return the processes of a node that hold the model."""
    below = psutil.Process(pid).children(recursive=True)
    return [process for process in below if _command(process).startswith("ray::MapWorker")]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def raylet_of(node: Any) -> int:
    return node.all_processes["raylet"][0].process.pid


def wait_until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Return the value of a condition once it is true."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if value := condition():
            return value
        sleep(0.05)
    pytest.fail("has not come about")


@pytest.fixture
def known_cluster(monkeypatch):
    """Without the process that finds out first whether an address is Ray's: here it is known to be."""
    monkeypatch.setattr("shapleycam.experiments.engines.ray.cluster._check_is_ray", lambda _: None)


@pytest.fixture(scope="class")
def connection(cluster):
    """A connection to the cluster for several tests, which the engine takes as it finds it."""
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()


class TestTable:
    def test_is_that_of_this_process_bit_for_bit(self, cluster, many, whole, tmp_path):
        """As users connect: a process of its own finds out first whether the address is Ray's."""
        listener = RecordingListener()
        store = run_evaluation(many, tmp_path, settings=settings_for(cluster), listener=listener)
        assert store.rows().equals(whole)
        assert by_status(store.rows(), "error")["image"].to_list() == ["0041.jpg"]
        assert sum(listener.steps) == IMAGES
        assert len(listener.rows) == len(whole)
        assert store.manifest["sessions"][-1]["engine"] == "ray"

    @pytest.mark.usefixtures("known_cluster")
    def test_after_going_on_elsewhere(self, cluster, many, whole, tmp_path):
        """Begun here, gone on with on the cluster and stopped there, ended here."""
        settings = RunSettings(batch_size=8, workers=0)
        stop = raises(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(many, tmp_path, slow(), settings=settings, listener=RecordingListener(40, stop))
        assert len(chunk_files(tmp_path)) == 1
        listener = RecordingListener(1, stop)
        with held_after(2, tmp_path), pytest.raises(KeyboardInterrupt):
            run_evaluation(many, tmp_path, slow(), settings=settings_for(cluster, actors=1), listener=listener)
        n_chunks = len(chunk_files(tmp_path))
        assert 1 < n_chunks < 5
        assert_near(run_evaluation(many, tmp_path, slow(), settings=settings).rows(), whole, 1e-6, within=1e-6)

    @pytest.mark.usefixtures("known_cluster")
    def test_in_an_object_store(self, cluster, many, whole):
        """Where the actors write, by one PUT a chunk."""
        with object_store() as store:
            url = store.url("by-ray")
            rows = run_evaluation(many, url, settings=settings_for(cluster, actors=1)).rows()
            puts = [line for line in store.request_log.requests if line.startswith("PUT") and "/parts/" in line]
        assert rows.equals(whole)
        assert len(puts) == len(set(puts)) == 5

    @pytest.mark.usefixtures("known_cluster")
    def test_of_a_batch_that_is_too_large_for_the_memory(self, cluster, many, whole, tmp_path):
        def small(x):
            if len(x) > 4:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        settings = settings_for(cluster, actors=1)
        rows = run_evaluation(many, tmp_path, failing_network(small), limit=40, settings=settings).rows()
        assert rows.select("image", "method", "status").equals(
            whole.filter(pl.col("index") < 40).select("image", "method", "status")
        )


@pytest.mark.usefixtures("known_cluster")
class TestFaults:
    def test_a_node_that_leaves(self, cluster, many, whole, tmp_path):
        cluster.add_node(**NODE)
        lost: list[Path] = []

        def leave() -> None:
            own_id = ray.get_runtime_context().get_node_id()  # on one machine Ray joins any of its nodes
            others = [node for node in cluster.list_all_nodes() if node.node_id != own_id and not node.is_head()]
            node = wait_until(lambda: next((node for node in others if actors_below(raylet_of(node))), None))
            lost.extend(chunk_files(tmp_path))
            cluster.remove_node(node, allow_graceful=False)
            release()

        with held_after(1, tmp_path) as release:
            store = run_evaluation(
                many, tmp_path, slow(), settings=settings_for(cluster), listener=RecordingListener(1, leave)
            )
        assert 0 < len(lost) < 5
        assert store.rows().equals(whole)

    def test_an_actor_that_dies(self, cluster, many, whole, tmp_path):
        killed: list[int] = []

        def kill() -> None:
            for node in cluster.list_all_nodes():
                for actor in actors_below(raylet_of(node))[:1]:
                    actor.kill()
                    killed.append(actor.pid)
            release()

        with held_after(1, tmp_path) as release:
            settings = settings_for(cluster, actors=1)
            store = run_evaluation(many, tmp_path, slow(), settings=settings, listener=RecordingListener(1, kill))
        assert killed
        assert store.rows().equals(whole)
        assert not list(tmp_path.rglob(f"{UNFINISHED}*"))

    def test_a_driver_that_is_killed(self, cluster, many, whole, tmp_path):
        command = [sys.executable, ray_driver.__file__, cluster.address, str(many), str(tmp_path)]
        with held_after(1, tmp_path), subprocess.Popen(command) as driver:
            written = wait_until(lambda: chunk_files(tmp_path))
            driver.send_signal(signal.SIGKILL)
        before = {path: path.read_bytes() for path in written}
        assert len(before) < 5
        store = run_evaluation(many, tmp_path, slow(), settings=settings_for(cluster, actors=1))
        assert store.rows().equals(whole)
        assert all(path.read_bytes() == content for path, content in before.items())

    def test_what_always_ends_its_worker_is_given_up(self, cluster, monkeypatch):
        """Given up after 5 times; 2 are enough to see it."""
        tries = "shapleycam.experiments.engines.ray.work._TRIES"
        assert pkgutil.resolve_name(tries) == 5
        monkeypatch.setattr(tries, 2)

        def perform(item: int) -> list[int]:
            if item == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return [item]

        done = []
        with pytest.raises(OptionError) as caught:
            done.extend(Ray(cluster.address, actors=1).run(range(3), abs, perform))
        assert str(caught.value) == (
            "a part of the work ended its worker 2 times (out of memory, most likely); use a smaller batch_size=, or "
            "fewer actors a node"
        )


def test_a_folder_that_is_not_shared(many, tmp_path, monkeypatch):
    """What a run finds there afterwards, whichever engine it was given."""
    monkeypatch.setattr(Store, "pending", lambda store, _: store.chunks())
    with pytest.raises(OptionError) as caught:
        run_evaluation(many, tmp_path, limit=3, settings=RunSettings(batch_size=8, engine=Local()))
    assert str(caught.value) == (
        f"1 chunk that this run wrote to {tmp_path} cannot be found there: removed while the run went on, or the "
        "machines of the cluster do not share this folder; give one that they share, or a URL such as "
        "s3://bucket/run"
    )


@pytest.mark.usefixtures("connection")
class TestWork:
    def test_results_warnings_and_folders(self, cluster, tmp_path, monkeypatch):
        """The results of an item are in its order and each once, as those of the engine of this process."""

        def perform(ten: int) -> list[tuple[int, Path]]:
            warn(ScaleInvariantHeadWarning, f"scale of {ten}")
            return [(ten, Path.cwd()), (ten + 1, Path.cwd())]

        monkeypatch.chdir(tmp_path)
        for engine in (Local(), Local(2), Ray(cluster.address)):
            with pytest.warns(ScaleInvariantHeadWarning) as caught:
                results = list(engine.run([3, 1, 2], lambda item: item * 10, perform))
            assert sorted(results) == [(number, tmp_path) for number in (10, 11, 20, 21, 30, 31)]
            order = [number for number, _ in results]
            assert all(order.index(ten) < order.index(ten + 1) for ten in (10, 20, 30))
            assert {str(warning.message) for warning in caught} == {f"scale of {ten}" for ten in (10, 20, 30)}

    def test_errors_are_raised_here(self, cluster):
        """Of the step that prepares; the next two tests are about the one that performs."""

        def wrong(_: Any) -> Any:
            raise ModelError("found this; expected that; do something")

        with pytest.raises(ModelError, match=r"^found this; expected that; do something$"):
            list(Ray(cluster.address, actors=1).run([1], wrong, list))

    def test_faults_of_the_program_are_one_line(self, cluster):
        def wrong(_: int) -> list[int]:
            return [1 // 0]

        with pytest.raises(OptionError) as caught:
            list(Ray(cluster.address, actors=1).run([1], abs, wrong))
        assert str(caught.value) == (
            "the Ray cluster could not do the work (ZeroDivisionError: integer division or modulo by zero); see that "
            "all nodes have the same packages, models and photographs, and start again: what was done is kept"
        )

    def test_another_model_on_a_worker_is_refused(self, cluster, many, tmp_path):
        """A source file that draws other weights there, as a node with another checkpoint would have."""
        (tmp_path / "two.py").write_text(
            "import os\n"
            "from helpers.small_evaluations import tiny_network\n\n\n"
            f"def net():\n    return tiny_network(os.getppid() != {os.getppid()})\n"
        )
        settings = settings_for(cluster, actors=1)
        with pytest.raises(ModelError) as caught:
            run_evaluation(many, tmp_path / "out", f"{tmp_path}/two.py:net", limit=3, settings=settings)
        assert "is different on this machine: it has other weights" in str(caught.value)


class TestClient:
    def test_ray_addresses(self, cluster, client_port, many, whole, tmp_path):
        """As users of a cluster far away connect: by the head's server of clients, which may start a little later."""
        wait_until(lambda: listens(client_port), 120)
        settings = RunSettings(batch_size=8, engine=Ray(f"ray://127.0.0.1:{client_port}"))
        store = run_evaluation(many, tmp_path, settings=settings, limit=40)
        assert store.rows().equals(whole.filter(pl.col("index") < 40))


def test_no_items_need_no_cluster():
    assert list(Ray("127.0.0.1:1").run([], abs, list)) == []


class TestRefused:
    @pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
    def test_nobody_listens(self, address):
        with pytest.raises(OptionError) as caught:
            list(Ray(address).run([1], abs, list))
        assert str(caught.value) == (
            f"no Ray cluster at {address} (Connection refused); start one (ray start --head), give address=HOST:PORT "
            "or ray://HOST:10001, or leave address= out for one of this machine's own"
        )

    @pytest.mark.parametrize("scheme", ["", "ray://"])
    def test_somebody_else_listens(self, environment, scheme, monkeypatch):
        """Given up after 60 seconds; 2 are enough to see it."""
        patience = "shapleycam.experiments.engines.ray.cluster._CONNECT_SECONDS"
        assert pkgutil.resolve_name(patience) == 60
        monkeypatch.setattr(patience, 2.0)
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(OptionError, match=f"no Ray cluster at {address} .no answer in 2 seconds"):
                list(Ray(address).run([1], abs, list))

    def test_what_is_no_address(self, environment):
        with pytest.raises(OptionError, match=r"^no Ray cluster at nonsense \(.*nonsense.*\); start one"):
            list(Ray("nonsense").run([1], abs, list))

    @pytest.mark.parametrize(("name", "value", "least"), [("actors", 0, 1), ("cpus", -1, 1), ("gpus", -0.5, 0)])
    def test_numbers(self, name, value, least):
        with pytest.raises(OptionError, match=f"^{name} of the Ray cluster is {value}; expected {least} or more$"):
            Ray(**{name: value})

    def test_missing_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(OptionError) as caught:
            Ray()
        assert str(caught.value) == (
            "the engine 'ray' needs ray, which is not installed; pip install 'shapleycam[ray]'"
        )
