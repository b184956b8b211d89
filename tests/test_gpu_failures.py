"""Full memory and a GPU that fails are told apart from faults of the model, in one line."""

from __future__ import annotations

import gc

import pytest
import torch

from helpers.small_evaluations import QUICK, failing_network, folder_of, run_evaluation
from helpers.user_models import Small, pictures, values
from shapleycam import Explainer
from shapleycam.errors import DerivativeError, ModelError, OptionError
from shapleycam.experiments import RunSettings
from shapleycam.gpu_failures import describe_device_failure, is_out_of_memory

# Maps of noise are often blank; nothing here is about what they show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
FULL = {
    "PyTorch": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 3"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "the driver": RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously"),
    "the CPU": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}
full_memory = pytest.mark.parametrize("error", FULL.values(), ids=FULL.keys())
FAILED = RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be reported elsewhere")
MODEL = """
import torch
from helpers.small_evaluations import LABELS, PREPROCESS, Network, Tiny


class Full(Tiny):
    def forward(self, x):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")


def network():
    return Network(Full(), PREPROCESS, LABELS, "tiny")
"""


@full_memory
def test_full_memory_is_recognised(error):
    assert is_out_of_memory(error)
    message = describe_device_failure(error)
    assert message.startswith("the memory is full (")
    assert "\n" not in message


def test_other_errors_are_not():
    assert describe_device_failure(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")) is None
    assert describe_device_failure(ValueError("out of memory of mine")) is None
    assert describe_device_failure(FAILED).startswith("the GPU failed (CUDA error: device-side assert triggered)")


class RaisesInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        raise RaisesInBackward.error


@full_memory
def test_full_memory_in_the_backward_pass_is_no_missing_derivative(error, monkeypatch):
    monkeypatch.setattr(RaisesInBackward, "error", error, raising=False)

    class Raises(Small):
        def see(self, values):
            return RaisesInBackward.apply(values)

    with pytest.raises(type(error)) as raised:
        values(Raises(), "gradcam")
    assert not isinstance(raised.value, (DerivativeError, ModelError))


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """Photographs, and the rows of a run whose batches are small enough."""
    photos = folder_of(tmp_path_factory.mktemp("halved") / "photos", 7)
    return photos, run_evaluation(photos, photos / "../run", settings=RunSettings(batch_size=2, workers=0)).rows()


@full_memory
@pytest.mark.slow
def test_an_evaluation_halves_its_batches(error, halved, tmp_path):
    def fails_for_many(x):
        if len(x) > 2:
            raise error

    photos, expected = halved
    rows = run_evaluation(photos, tmp_path / "run", failing_network(fails_for_many)).rows()
    assert set(rows["status"]) == {"ok"}
    assert len(rows) == len(expected)


def is_photograph(x: torch.Tensor) -> bool:
    """Return whether images are photographs, and not the noise between 0 and 1 that the layer is found with."""
    return float(x.min()) < -0.5


@pytest.mark.slow
def test_where_one_image_is_too_much_its_row_says_so(tmp_path):
    def fails(x):
        if is_photograph(x):
            raise FULL["PyTorch"]

    photos = folder_of(tmp_path / "photos", 3)
    with pytest.raises(ModelError, match=r"the first says: the memory is full \(CUDA out of memory\); use a smaller"):
        run_evaluation(photos, tmp_path / "run", failing_network(fails))


@pytest.mark.parametrize("error", [FAILED, ModelError("what comes of it"), DerivativeError("what comes of it")])
def test_a_failed_gpu_ends_the_run_and_leaves_no_rows_of_errors(error, tmp_path, monkeypatch):
    failed = []

    def synchronize() -> None:
        if failed:
            raise FAILED

    def fails(x):
        if is_photograph(x):
            failed.append(x)
            raise error

    photos, network = folder_of(tmp_path / "photos", 3), failing_network(fails)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", list)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: None)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    with pytest.raises(OptionError, match=r"the GPU failed \(CUDA error: device-side assert triggered\)"):
        run_evaluation(photos, tmp_path / "run", network, QUICK)
    assert not list((tmp_path / "run").rglob("*.parquet"))


def test_the_command_line_prints_one_line(run, tmp_path):
    (tmp_path / "mine.py").write_text(MODEL)
    photos = folder_of(tmp_path / "photos", 2)
    ran = run("explain", photos, "--model", "mine.py:network", "--layer", "features", "--batch-size", 2)
    assert (ran.code, ran.err.strip()) == (
        2,
        "error: the memory is full (CUDA out of memory); use a smaller --batch-size or --memory, or --device cpu",
    )


def test_gpus_that_are_not_in_use_are_not_seeded(monkeypatch):
    def refuse(_: int) -> None:
        raise AssertionError("torch.manual_seed would seed them, for when the user first uses them")

    model = Small()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    assert values(model, "sampledshapley").isfinite().all()


@pytest.mark.slow
def test_what_a_pass_kept_is_freed_without_the_garbage_collector():
    explainer, images = Explainer(Small().half(), layer="body"), pictures(2, 64)
    methods = ["gradcam", "shapleycam-h", "pathcam", "sampledshapley"]

    def held() -> int:
        explainer.compare(images, methods, players=(2, 2))
        objects = [each for each in gc.get_objects() if isinstance(each, torch.Tensor)]
        tensors = [each for each in objects if each.layout == torch.strided and each.device.type != "meta"]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())

    held()
    gc.collect()
    gc.disable()
    try:
        first, *others = [held() for _ in range(4)]
        assert max(others) - first < 1000
    finally:
        gc.enable()
