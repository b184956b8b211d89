"""Half precision, mixed, autocast, channels last, double: explained in float32 at least, and left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam
from shapleycam import Explainer
from shapleycam.errors import ModelError
from shapleycam.explaining.inputs import batch_of

METHODS = ["gradcam", "shapleycam-h", "pathcam", "sampledshapley", "exactshapley", "randomcam"]
# Maps of noise are often blank; nothing here is about what the maps show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


class Small(nn.Module):
    """Convolutions, batch norm with statistics, a buffer of its own, a frozen weight and a tied one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.features = nn.Conv2d(8, 8, 3, padding=1)
        self.after = nn.Sequential(nn.GELU(), nn.Conv2d(8, 8, 3, padding=1), nn.Softplus())
        self.tied = nn.Linear(8, 8, bias=False)
        self.tied_too = nn.Linear(8, 8, bias=False)
        self.tied_too.weight = self.tied.weight
        self.fc = nn.Linear(8, 5)
        self.register_buffer("scale", torch.rand(8))
        self(torch.rand(4, 3, 12, 12)).sum().backward()
        self.stem[0].weight.requires_grad_(False)
        self.eval()

    def forward(self, x):
        x = self.after(self.features(self.stem(x))).mean((2, 3)) * self.scale
        return self.fc((self.tied_too(self.tied(x))).to(self.fc.weight.dtype))


def half_but_classifier(model: nn.Module) -> nn.Module:
    """Convert all but the classifier to half precision."""
    model.half()
    model.fc.float()
    return model


def half_statistics(model: nn.Module) -> nn.Module:
    model.scale = model.scale.bfloat16()
    return model


LOW = {
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "mixed": half_but_classifier,
    "one buffer": half_statistics,
}
in_every_precision = pytest.mark.parametrize("lower", LOW.values(), ids=LOW.keys())


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1)).bfloat16().float()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    levels = torch.randint(0, 256, (20, 30, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return Image.fromarray(levels.numpy())


def state_of(model: nn.Module) -> list[tuple]:
    """Return every parameter and buffer with all that could have been changed."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [
        (name, id(t), t.dtype, t.data_ptr(), t.stride(), t._version, t.requires_grad, id(t.grad), t.detach().clone())
        for name, t in named
    ]


def assert_same(before: list[tuple], after: list[tuple]) -> None:
    for (*facts_before, numbers_before), (*facts_after, numbers_after) in zip(before, after, strict=True):
        assert facts_before == facts_after
        assert torch.equal(numbers_before, numbers_after), facts_before[0]


def compare_methods(model: nn.Module, images: torch.Tensor) -> dict[str, shapleycam.Explanation]:
    return Explainer(model, layer="features").compare(images, METHODS, target=1, players=(2, 2))


@in_every_precision
def test_the_numbers_are_those_of_the_model_in_float32(images, lower):
    model = lower(Small())
    expected = compare_methods(copy.deepcopy(model).float(), images)
    for converted in (images, images.half(), images.bfloat16()):
        if not torch.equal(converted.float(), images):
            continue
        for name, e in compare_methods(model, converted).items():
            for part in ("values", "heatmap", "output", "utility", "images"):
                assert getattr(e, part).dtype == torch.float32, (name, part)
                assert torch.equal(getattr(e, part), getattr(expected[name], part)), (name, part)


def test_the_images_of_this_test_are_the_same_in_bfloat16(images):
    assert torch.equal(images.bfloat16().float(), images)


@in_every_precision
def test_the_model_is_the_same_afterwards(images, lower):
    model = lower(Small())
    before = state_of(model)
    compare_methods(model, images)
    assert_same(before, state_of(model))
    Explainer(model).explain(images)  # finds the layer
    assert_same(before, state_of(model))


def raise_error(*_):
    raise ZeroDivisionError


@in_every_precision
@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam", "sampledshapley"])
def test_the_model_is_the_same_after_an_error_of_the_utility(images, lower, method):
    model = lower(Small())
    before = state_of(model)
    with pytest.raises(ZeroDivisionError):
        Explainer(model, layer="features", utility=raise_error).explain(images, method)
    assert_same(before, state_of(model))


@in_every_precision
@pytest.mark.parametrize("broken", ["stem", "features", "fc"])
@pytest.mark.parametrize("method", ["gradcam", "pathcam"])
def test_the_model_is_the_same_after_an_error_of_its_own(images, lower, broken, method):
    model = lower(Small())
    getattr(model, broken).register_forward_pre_hook(raise_error)
    before = state_of(model)
    with pytest.raises(ModelError, match="the model raised ZeroDivisionError"):
        Explainer(model, layer="features").explain(images, method)
    assert_same(before, state_of(model))


@in_every_precision
def test_the_game_is_that_of_the_model_in_float32(images, lower):
    model = lower(Small())
    game = Explainer(model, layer="features").game(images, target=1)
    expected = Explainer(copy.deepcopy(model).float(), layer="features").game(images, target=1)
    coalitions = torch.rand(20, 36, generator=torch.Generator().manual_seed(3)) < 0.5
    before = state_of(model)
    for actual, expected_numbers in (
        (game.value(coalitions), expected.value(coalitions)),
        (game.gradient(game.activation / 2), expected.gradient(game.activation / 2)),
        (game.hvp(game.activation), expected.hvp(game.activation)),
    ):
        assert actual.dtype == torch.float32
        assert torch.equal(actual, expected_numbers)
    assert_same(before, state_of(model))


@in_every_precision
def test_the_output_is_in_float32(images, lower):
    model = lower(Small())
    actual = Explainer(model, layer="features").output(images.half())
    assert actual.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(actual, copy.deepcopy(model).float()(images.half().float()))


@in_every_precision
def test_photographs_are_not_rounded_to_the_models_precision(photo, lower):
    seen = shapleycam.Preprocess((12, 12), (12, 12), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    actual = batch_of(photo, seen, lower(Small())).images
    assert actual.dtype == torch.float32
    assert torch.equal(actual[0], seen(photo))


@pytest.mark.parametrize("lower", [torch.float16, torch.bfloat16])
def test_the_layer_is_found_before_any_image_is_given(lower):
    seen = shapleycam.Preprocess((12, 12), (12, 12), (0.5,) * 3, (0.5,) * 3)
    assert (
        Explainer(Small().to(lower), preprocess=seen).find_layer() == Explainer(Small(), preprocess=seen).find_layer()
    )


def test_a_model_that_asks_its_weights_what_to_compute_in_is_explained(images):
    class Asking(Small):
        def forward(self, x):
            return super().forward(x.to(self.stem[0].weight.dtype))

    model = Asking.__new__(Asking)
    nn.Module.__init__(model)
    vars(model).update(vars(Small().half()))
    actual = Explainer(model, layer="features").explain(images, "hirescam", 1)
    expected = Explainer(Small().half().float(), layer="features").explain(images, "hirescam", 1)
    assert torch.equal(actual.values, expected.values)


# Autocast


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("lower", [lambda model: model, LOW["half"]], ids=["float32", "half"])
def test_autocast_is_off_meanwhile_and_on_afterwards(images, dtype, lower):
    model = lower(Small())
    expected = compare_methods(model, images)
    with torch.autocast("cpu", dtype=dtype):
        actual = compare_methods(model, images)
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == dtype
        with torch.no_grad():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == dtype
    for name, e in actual.items():
        assert e.values.dtype == torch.float32
        assert torch.equal(e.values, expected[name].values), name


def test_a_game_that_is_played_under_autocast_is_in_float32(images):
    game = Explainer(Small(), layer="features").game(images, target=1)
    coalitions = torch.rand(20, 36, generator=torch.Generator().manual_seed(3)) < 0.5
    expected = game.value(coalitions), game.gradient(game.activation / 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = game.value(coalitions), game.gradient(game.activation / 2)
    for under_autocast, without_autocast in zip(actual, expected, strict=True):
        assert under_autocast.dtype == torch.float32
        torch.testing.assert_close(under_autocast, without_autocast, atol=1e-6, rtol=1e-6)


# Channels last


@pytest.mark.parametrize("of_model", [True, False])
@pytest.mark.parametrize("of_images", [True, False])
def test_channels_last_changes_nothing(images, of_model, of_images):
    model = Small()
    expected = compare_methods(model, images)
    if of_model:
        model = model.to(memory_format=torch.channels_last)
    converted = images.to(memory_format=torch.channels_last) if of_images else images
    before = state_of(model)
    for name, e in compare_methods(model, converted).items():
        tolerance = {"atol": 2e-5, "rtol": 1e-3} if name == "sampledshapley" else {"atol": 1e-6, "rtol": 1e-4}
        torch.testing.assert_close(e.values, expected[name].values, **tolerance)
    assert_same(before, state_of(model))


def test_half_and_channels_last_together_are_left_so(images):
    model = Small().half().to(memory_format=torch.channels_last)
    before = state_of(model)
    actual = compare_methods(model, images)
    assert_same(before, state_of(model))
    expected = compare_methods(Small().half().float(), images)
    torch.testing.assert_close(actual["gradcam"].values, expected["gradcam"].values, atol=1e-6, rtol=1e-4)


# Double


def test_a_model_in_double_precision_stays_so(images):
    model = Small().double()
    before = state_of(model)
    game = Explainer(model, layer="features").game(images.double(), target=1)
    assert game.full.dtype == torch.float64
    assert game.gradient(game.activation / 2).dtype == torch.float64
    assert_same(before, state_of(model))


def test_a_model_in_double_precision_gives_the_numbers_of_float32(images):
    expected = compare_methods(Small(), images)
    for name, e in compare_methods(Small().double(), images.double()).items():
        if name == "randomcam":  # its weights are drawn in the precision of the activation
            continue
        torch.testing.assert_close(e.values.float(), expected[name].values, atol=1e-5, rtol=1e-3)
        assert e.heatmap.dtype == e.values.dtype == torch.float32, name


def test_photographs_are_prepared_in_double_for_a_model_in_double(photo):
    seen = shapleycam.Preprocess((12, 12), (12, 12), (0.5,) * 3, (0.5,) * 3)
    e = Explainer(Small().double(), layer="features", preprocess=seen).explain(photo, "hirescam", 1)
    assert e.images.dtype == torch.float64
    single = Explainer(Small(), layer="features", preprocess=seen).explain(photo, "hirescam", 1)
    torch.testing.assert_close(e.values.float(), single.values, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(("of_model", "of_images"), [("float", "double"), ("double", "float"), ("half", "double")])
def test_images_follow_the_precision_of_the_model(images, of_model, of_images):
    model = getattr(Small(), of_model)()
    e = Explainer(model, layer="features").explain(getattr(images, of_images)(), "hirescam", 1)
    assert e.images.dtype == (torch.float64 if of_model == "double" else torch.float32)
    expected = Explainer(model, layer="features").explain(images.to(e.images.dtype), "hirescam", 1)
    torch.testing.assert_close(e.values, expected.values)
