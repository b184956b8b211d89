"""What a user sets of PyTorch or hands over: it changes no value, and is afterwards what it was."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from helpers.device_networks import make_images, make_network, relative_difference
from helpers.small_evaluations import SIDE, Tiny
from shapleycam import Explainer, Explanation
from shapleycam.errors import ShapleyCamError
from shapleycam.metrics import measure

METHODS = ["gradcam", "shapleycam-h", "pathcam", "sampledshapley"]
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def explain_all(model: nn.Module, images: torch.Tensor, layer: str = "layer3") -> dict[str, torch.Tensor]:
    """Return the values of some methods of each kind."""
    comparison = Explainer(model, layer=layer).compare(images, METHODS, target=3, players=(2, 2))
    return {name: comparison[name].values for name in METHODS}


def assert_near(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-4) -> None:
    for name in METHODS:
        assert relative_difference(actual[name], expected[name]) <= tolerance, name


@pytest.fixture(scope="module")
def images():
    return make_images(128)


@pytest.fixture(scope="module")
def expected(images):
    """Values in float64 on the CPU."""
    return explain_all(make_network("resnet18").double(), images.double())


@pytest.fixture
def model(gpu):
    return make_network("resnet18").to(gpu)


def _settings() -> dict[str, object]:
    backends = torch.backends
    return {
        "conv": backends.cudnn.allow_tf32,
        "benchmark": backends.cudnn.benchmark,
        "deterministic": backends.cudnn.deterministic,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "products": backends.cuda.matmul.allow_tf32,
        "precision": torch.get_float32_matmul_precision(),
        "attention": (backends.cuda.flash_sdp_enabled(), backends.cuda.mem_efficient_sdp_enabled()),
        "autocast": torch.is_autocast_enabled("cuda"),
        "gradients": torch.is_grad_enabled(),
    }


@contextmanager
def tensor_float():
    """Allow TensorFloat-32 everywhere."""
    convolutions, precision = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def benchmarking():
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def deterministic():
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS = {
    "TensorFloat-32": tensor_float,
    "cudnn.benchmark": benchmarking,
    "deterministic algorithms": deterministic,
    "autocast to half": lambda: torch.autocast("cuda", torch.float16),
    "autocast to bfloat16": lambda: torch.autocast("cuda", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "default device": lambda: torch.device("cuda" if torch.cuda.is_available() else "meta"),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_change_no_value_and_stay(model, images, expected, setting):
    with setting():
        before = _settings()
        actual = explain_all(model, images)
        assert _settings() == before
    assert_near(actual, expected)


@pytest.mark.parametrize("name", ["swin_tiny", "deit_small"])
def test_attention_with_tensor_float(gpu, name):
    layer = {"swin_tiny": "layers.3.blocks.0.norm1", "deit_small": "blocks.10.norm1"}[name]
    given = make_images(224, 1)
    reference = explain_all(make_network(name).double(), given.double(), layer)
    with tensor_float():
        assert_near(explain_all(make_network(name).to(gpu), given, layer), reference)


class OutputOnTheCpu(nn.Module):
    """A model on a GPU that returns its logits on the CPU."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).cpu()


class HalfOnTheCpu(nn.Module):
    """A model whose first layers are on the CPU."""

    def __init__(self, model):
        super().__init__()
        self.first = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2).cpu()
        self.layer3, self.layer4, self.fc = model.layer3, model.layer4, model.fc

    def forward(self, x):
        return self.fc(self.layer4(self.layer3(self.first(x.cpu()).to(self.fc.weight.device))).mean((2, 3)))


HANDED_OVER = {
    "images on the CPU": lambda model, images: (model, images.cpu()),
    "images of float64": lambda model, images: (model, images.double()),
    "channels last": lambda model, images: (
        model.to(memory_format=torch.channels_last),
        images.to(memory_format=torch.channels_last),
    ),
    "DataParallel": lambda model, images: (nn.DataParallel(model), images),
    "compiled": lambda model, images: (torch.compile(model), images),
    "output on the CPU": lambda model, images: (OutputOnTheCpu(model), images),
    "first layers on the CPU": lambda model, images: (HalfOnTheCpu(model), images),
    "in train mode": lambda model, images: (model.train(), images),
}


@pytest.mark.parametrize("hand_over", HANDED_OVER.values(), ids=HANDED_OVER.keys())
def test_what_is_handed_over(model, images, expected, gpu, hand_over):
    changed, given = hand_over(model, images.to(gpu))
    layer = next(name for name, _ in changed.named_modules() if name.endswith("layer3"))
    assert_near(explain_all(changed, given, layer), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(model, images, gpu, dtype):
    rounded = make_network("resnet18").to(dtype).double()
    rounded_images = images.to(dtype)
    reference = explain_all(rounded, rounded_images.double())
    assert_near(explain_all(model.to(dtype), rounded_images.to(gpu)), reference)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


@pytest.mark.cuda_itself
def test_random_states_stay_also_of_a_gpu_beside_a_model_on_the_cpu(model, images):
    beside = make_network("resnet18")
    torch.cuda.manual_seed_all(5)
    before = torch.get_rng_state(), *torch.cuda.get_rng_state_all()
    explain_all(model, images)
    explain_all(beside, images)
    after = torch.get_rng_state(), *torch.cuda.get_rng_state_all()
    assert all(map(torch.equal, before, after))


@pytest.mark.cuda_itself
def test_metrics_of_a_model_whose_output_is_on_the_cpu(gpu):
    images = make_images(SIDE, 3)
    measured = []
    for model in (OutputOnTheCpu(Tiny()).to(gpu), OutputOnTheCpu(Tiny())):
        explainer = Explainer(model, layer="model.features")
        explanations = explainer.compare(images, ["gradcam"], target=3)
        measured.append(measure(explainer, images, explanations, ["adcc", "insertion", "shapley_error"]))
    for metric, of_methods in measured[1].items():
        torch.testing.assert_close(
            measured[0][metric]["gradcam"].cpu(), of_methods["gradcam"], rtol=1e-3, atol=1e-4, equal_nan=True
        )


@pytest.mark.cuda_itself
def test_on_a_stream_of_the_users(model, images, expected):
    with torch.cuda.stream(torch.cuda.Stream()):
        actual = explain_all(model, images)
    torch.cuda.synchronize()
    assert_near(actual, expected)


@pytest.mark.cuda_itself
def test_memory_is_given_back(model, images):
    explainer = Explainer(model, layer="layer3")

    def held() -> int:
        explainer.compare(images, METHODS, players=(2, 2))
        gc.collect()
        return torch.cuda.memory_allocated()

    first = [held() for _ in range(3)][-1]
    assert [held() for _ in range(3)][-1] <= first


@pytest.mark.cuda_itself
def test_widened_copies_of_a_half_precision_model_are_given_back_at_once(model, images):
    explainer = Explainer(model.half(), layer="layer3")
    explainer.compare(images, METHODS, players=(2, 2))
    gc.collect()
    gc.disable()
    try:
        before = torch.cuda.memory_allocated()
        for _ in range(4):
            explainer.compare(images, METHODS, players=(2, 2))
        assert torch.cuda.memory_allocated() - before < 20e6  # one widened copy is 47 MB
    finally:
        gc.enable()


@pytest.mark.cuda_itself
def test_of_a_gpu_that_is_not_there():
    with pytest.raises(ShapleyCamError, match=r"device 'cuda:31' cannot be used .*; use 'cpu', 'cuda'"):
        Explainer(Tiny(), layer="features", device=f"cuda:{31}")


def test_files_and_pictures(gpu, tmp_path):
    explanation = Explainer(Tiny().to(gpu), layer="features").explain(make_images(SIDE), "shapleycam")
    explanation.save(tmp_path / "saved.npz")
    loaded = Explanation.load(tmp_path / "saved.npz")
    assert loaded.values.device.type == "cpu"
    torch.testing.assert_close(loaded.values, explanation.values.cpu(), rtol=0, atol=0)
    torch.testing.assert_close(loaded.heatmap, explanation.heatmap.cpu(), rtol=0, atol=0)
    assert explanation.overlay(0).size == loaded.overlay(0).size
    assert explanation._repr_html_() and repr(explanation)  # noqa: PT018
