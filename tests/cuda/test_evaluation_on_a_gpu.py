"""`evaluate` on a GPU: the rows of the CPU, smaller batches where memory is full, interruptions, a GPU that fails."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from helpers.device_networks import make_network
from helpers.small_evaluations import (
    RecordingListener,
    assert_near,
    folder_of,
    raises,
    run_evaluation,
)
from shapleycam import Explainer, Network, Preprocess
from shapleycam.experiments import Protocol, RunSettings, Store

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
PREPROCESS = Preprocess(224, (224, 224), (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("photos"), 70)


@pytest.fixture(scope="module")
def on_cpu(photos, tmp_path_factory):
    return run_evaluation(photos, tmp_path_factory.mktemp("cpu") / "run").rows()


def settings(gpu, **options) -> RunSettings:
    return RunSettings(device=str(gpu), batch_size=options.pop("batch_size", 16), **options)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_those_of_the_cpu(photos, on_cpu, gpu, tmp_path, workers):
    store = run_evaluation(photos, tmp_path / "run", settings=settings(gpu, workers=workers))
    assert_near(store.rows(), on_cpu, 1e-4, within=1e-4)


def test_after_an_interrupt_on_the_other_device(photos, on_cpu, gpu, tmp_path):
    listener = RecordingListener(at=40, do=raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(photos, tmp_path / "run", settings=settings(gpu, workers=2), listener=listener)
    assert 0 < len(Store(tmp_path / "run").rows()) < len(on_cpu)
    assert_near(run_evaluation(photos, tmp_path / "run").rows(), on_cpu, 1e-4, within=1e-4)
    devices = [session["machine"]["device"] for session in Store(tmp_path / "run").manifest["sessions"]]
    assert len(devices) == 2


@contextmanager
def little_memory(megabytes: int):
    """Let this process have so much more of the GPU's memory than it holds."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + megabytes * 2**20) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.mark.cuda_itself
def test_where_memory_is_full_batches_are_halved(photos, gpu, tmp_path):
    network = Network(make_network("resnet18"), PREPROCESS, None, "resnet18")
    protocol = Protocol(methods=("gradcam",), layers=("layer2",))
    network.model.cuda()
    few = run_evaluation(
        photos, tmp_path / "few", network, protocol, settings=settings(gpu, batch_size=4, workers=0), limit=64
    )
    with little_memory(300):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            Explainer(network.model, layer="layer2").explain(torch.rand(64, 3, 224, 224), "gradcam")
        many = run_evaluation(
            photos, tmp_path / "many", network, protocol, settings=settings(gpu, batch_size=64, workers=0), limit=64
        )
    assert_near(many.rows(), few.rows(), 5e-4, within=1e-4)  # other batches, other kernels: coherency moves by 1e-4


FAILS = """
import sys
import torch
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from helpers.small_evaluations import LABELS, PREPROCESS, QUICK, Tiny
from shapleycam import Network, ShapleyCamError
from shapleycam.experiments import RunSettings, evaluate

class Fails(Tiny):
    calls = 0
    def forward(self, x):
        logits = super().forward(x)
        if Path(sys.argv[2] + ".fail").exists() and any(Path(sys.argv[2]).rglob("*.parquet")):
            index = torch.full((1,), 10_000_000, device=x.device)
            logits = logits + torch.zeros(3, device=x.device)[index]  # an assertion in the kernel
        return logits

if __name__ == "__main__":
    network = Network(Fails(), PREPROCESS, LABELS, "tiny")
    try:
        evaluate([network], sys.argv[1], sys.argv[2], QUICK, settings=RunSettings(device="cuda", workers=0))
    except ShapleyCamError as error:
        print("ERROR", type(error).__name__, error)
        sys.exit(2)
"""


@pytest.mark.cuda_itself
def test_a_gpu_that_fails_ends_the_run_and_leaves_no_rows_of_errors(photos, on_cpu, tmp_path):
    script, marker = tmp_path / "fails.py", tmp_path / "run.fail"
    script.write_text(FAILS)
    marker.touch()
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, str(script), str(photos), str(tmp_path / "run"), tests]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 2, failed.stderr[-2000:]
    assert "the GPU failed (" in failed.stdout
    rows = Store(tmp_path / "run").rows()
    assert 0 < len(rows) < len(on_cpu)
    assert set(rows["status"]) == {"ok"}
    marker.unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert_near(Store(tmp_path / "run").rows(), on_cpu, 1e-4, within=1e-4)


@pytest.mark.cuda_itself
def test_the_command_line(run, photos, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import shapleycam\nfrom helpers.small_evaluations import tiny_network\nnetwork = tiny_network\n"
    )
    quick = ("--model", "mine.py:network", "--method", "gradcam", "--device", "cuda")
    ran = run("evaluate", photos, "--out", "run", "--workers", 2, *quick)
    assert ran.code == 0, ran.err
    assert "70 images measured, no errors" in ran.out
    ran = run("explain", photos / "0000.jpg", *quick)
    assert ran.code == 0, ran.err
    ran = run("explain", photos / "0000.jpg", *quick[:-1], "cuda:31")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    ran = run("evaluate", photos, "--out", "other", *quick[:-1], "cuda:31")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)


@pytest.mark.cuda_itself
def test_full_memory_is_one_line_of_the_command(run, photos, tmp_path):
    command = ("explain", photos, "--model", "resnet50", "--no-pretrained", "--layer", "layer1", "--device", "cuda")
    with little_memory(400):
        ran = run(*command, "--batch-size", 64)
    assert ran.code == 2, ran.err
    assert len(ran.err.splitlines()) == 1
    assert "--batch-size" in ran.err
    with little_memory(20):
        ran = run(*command, "--batch-size", 1)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert "the memory is full" in ran.err
