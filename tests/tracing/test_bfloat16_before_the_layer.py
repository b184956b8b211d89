"""bfloat16 before the layer: what runs in it, what does not, and where it is refused."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam import Explainer, Explanation
from shapleycam.errors import LayerError, ModelError, OptionError
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import fidelity
from shapleycam.metrics import measure

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))


class Net(nn.Module):
    """Convolutions, a head that is no function of the mean, and a way around the layer where it is asked for."""

    def __init__(self, around=False):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)
        self.around = around
        self.eval()

    def head(self, a):
        return self.fc(self.last(a).tanh().mean((2, 3)))

    def forward(self, x):
        stem = self.stem(x)
        a = self.body(stem)
        return self.head(a + stem[:, :, ::2, ::2] if self.around else a)


def explainers(model, **options):
    return [Explainer(model, layer="body", precision=name, **options) for name in ("full", "bfloat16")]


def test_what_is_before_the_layer_runs_in_bfloat16_and_the_rest_in_float32():
    model = Net()
    _, explainer = explainers(model)
    game = explainer.game(IMAGES)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        by_hand = model.body(model.stem(IMAGES))
    assert by_hand.dtype == torch.bfloat16
    torch.testing.assert_close(game.activation, by_hand.float(), rtol=0.02, atol=0.01)
    assert torch.equal(game.activation, game.activation.bfloat16().float())  # it lost its digits there
    assert game.activation.dtype == torch.float32
    output = explainer.explain(IMAGES, "gradcam").output
    with torch.no_grad():
        torch.testing.assert_close(output, model.head(game.activation), rtol=1e-6, atol=1e-6)
        assert not torch.equal(output.bfloat16().float(), output)


@pytest.mark.parametrize("method", ["shapleycam", "pathcam", "sampledshapley"])
def test_values_are_near_those_in_full_precision_and_not_the_same(method):
    full, reduced = (explainer.explain(IMAGES, method, target=1) for explainer in explainers(Net()))
    assert (full.precision, reduced.precision) == ("full", "bfloat16")
    assert reduced.values.dtype == torch.float32
    difference = (full.values - reduced.values).norm() / full.values.norm()
    assert 0 < difference < 0.05


def test_an_image_that_was_not_changed_has_the_same_score():
    """Metrics compare changed images with the explained ones: both go the same way."""
    _, explainer = explainers(Net())
    game = explainer.game(IMAGES)
    assert torch.equal(game.score_images(IMAGES, torch.tensor([0, 1])), game.full)
    assert torch.equal(explainer.output(IMAGES), explainer.explain(IMAGES, "gradcam").output)
    single = explainer.game(IMAGES[:1])
    assert torch.equal(single.score_images(IMAGES[:1], torch.tensor([0])), single.full)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_callers_autocast_is_left_as_it_is(autocast):
    _, explainer = explainers(Net())
    before = explainer.explain(IMAGES, "gradcam").values
    with torch.autocast("cpu", torch.float16, enabled=autocast):
        values = explainer.explain(IMAGES, "gradcam").values
        assert torch.is_autocast_enabled("cpu") is autocast
        assert torch.get_autocast_dtype("cpu") == torch.float16
        with pytest.raises(LayerError):
            Explainer(Net(around=True), layer="body", precision="bfloat16").explain(IMAGES, "gradcam")
        assert torch.is_autocast_enabled("cpu") is autocast
        assert torch.get_autocast_dtype("cpu") == torch.float16
    assert torch.equal(values, before)


class Cancelling(Net):
    """The head reads small differences of large numbers, which bfloat16 has not the digits for."""

    def __init__(self, offset=1000.0):
        super().__init__()
        self.register_buffer("offset", torch.tensor(offset))

    def forward(self, x):
        a = self.body(self.stem(x) + self.offset)[:, :, 1:-1, 1:-1]  # without the padding
        return (a - a.mean((2, 3), keepdim=True)).abs().mean((2, 3)) @ self.fc.weight.T


CASES = {
    "weights in float64": (
        *(lambda: Net().double(), IMAGES.double(), "body", OptionError),
        "the weights or images are in float64; expected float32: leave precision= out",
    ),
    "weights in bfloat16": (
        *(lambda: Net().bfloat16(), IMAGES, "body", OptionError),
        "the weights or images are in bfloat16; expected float32: leave precision= out",
    ),
    "nothing before the layer": (
        *(lambda: nn.Sequential(nn.ReLU(), Net()), IMAGES, "0", LayerError),
        "nothing before layer '0' runs in bfloat16, as convolutions and matrix products do; choose a later layer",
    ),
    "a way around the layer": (
        *(lambda: Net(around=True), IMAGES, "body", LayerError),
        "numbers in bfloat16 go around layer 'body', to what comes after it; expected a layer that all of them go",
    ),
    "an output that it ruins": (
        *(Cancelling, IMAGES, "body", ModelError),
        "with precision='bfloat16' before layer 'body' the model's output differs by",
    ),
}


@pytest.mark.parametrize(("make", "images", "layer", "kind", "message"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("method", ["gradcam", "pathcam"])
def test_where_it_is_refused(make, images, layer, kind, message, method):
    explainer = Explainer(make(), layer=layer, precision="bfloat16")
    for _ in range(2):  # not only the first time
        with pytest.raises(kind) as refused:
            explainer.explain(images, method)
        assert message in str(refused.value)


def test_a_model_that_was_converted_since():
    model = Net()
    _, explainer = explainers(model)
    explainer.explain(IMAGES, "gradcam")
    model.double()
    with pytest.raises(OptionError, match="in float64; expected float32"):
        explainer.explain(IMAGES.double(), "gradcam")


def test_other_weights_are_compared_anew():
    model, other = Cancelling(offset=0.0), Cancelling()
    explainer = Explainer(model, layer="body", precision="bfloat16")
    explainer.explain(IMAGES, "gradcam")
    with pytest.raises(ModelError, match="the model's output differs by"):
        explainer.like(other).explain(IMAGES, "gradcam")


def trained(model):
    with torch.no_grad():
        model.offset.add_(1000.0)


CHANGES = {
    "written to, as a step of training does": trained,
    "written to behind the back of autograd": lambda model: model.offset.data.add_(1000.0),
    "exchanged": lambda model: setattr(model, "offset", torch.tensor(1000.0)),
    "loaded": lambda model: model.load_state_dict(Cancelling().state_dict()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_that_changed_are_compared_anew(name):
    model = Cancelling(offset=0.0)
    explainer = Explainer(model, layer="body", precision="bfloat16")
    explainer.explain(IMAGES, "gradcam")
    CHANGES[name](model)
    with pytest.raises(ModelError, match="the model's output differs by"):
        explainer.explain(IMAGES, "gradcam")


def test_weights_that_are_what_they_were_are_not_compared_again():
    model, seen = Net(), []
    model.register_buffer("nothing", torch.tensor(torch.nan))
    explainer = explainers(model)[1]
    explainer.explain(IMAGES, "gradcam")
    with count_convolutions(seen):
        explainer.explain(IMAGES, "gradcam")
    assert seen == [torch.bfloat16] * 2 + [torch.float32]


@contextmanager
def count_convolutions(seen):
    """Note the precision of each convolution."""

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.convolution.default:
                seen.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    with Counter():
        yield


def test_the_users_hook_sees_one_pass():
    model, seen = Net(), []
    model.stem.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    for count in (1, 2):
        explainers(model)[1].explain(IMAGES, "gradcam")
        assert seen == [torch.bfloat16] * count


def test_a_precision_that_is_not_known():
    with pytest.raises(OptionError, match=r"precision='half'; known are full, bfloat16"):
        Explainer(Net(), layer="body", precision="half")


def test_it_is_stored_with_the_numbers(tmp_path):
    full, reduced = (explainer.explain(IMAGES, "gradcam") for explainer in explainers(Net()))
    for explanation in (full, reduced):
        path = tmp_path / f"{explanation.precision}.npz"
        explanation.save(path)
        assert Explanation.load(path).precision == explanation.precision
        with np.load(path) as file:
            number = json.loads(str(file["metadata"]))["format"]
        assert number == (1 if explanation.precision == "full" else 2)  # which older versions refuse
    assert "precision bfloat16" in repr(reduced)
    assert "precision" not in repr(full)


def test_metrics_refuse_an_explanation_of_another_precision():
    full, reduced = explainers(Net())
    comparison = reduced.compare(IMAGES, ["gradcam"])
    assert "average_drop" in measure(reduced, IMAGES, comparison, ["average_drop"])
    with pytest.raises(OptionError, match="the explanation is of precision 'bfloat16', the explainer has 'full'"):
        measure(full, IMAGES, comparison, ["average_drop"])
    with pytest.raises(OptionError, match="precision differ"):
        measure(
            full, IMAGES, {"one": full.explain(IMAGES, "gradcam"), "other": comparison["gradcam"]}, ["average_drop"]
        )


def test_fidelity_measures_what_it_changes():
    model = Net()
    full, reduced = explainers(model)
    batch = batch_of(IMAGES, None, model)
    arguments = {"methods": ["hirescam", "pathcam-h"], "players": (2, 2)}
    assert not fidelity(full, [batch], **arguments).precision_errors
    errors = fidelity(reduced, [batch], **arguments).precision_errors
    assert set(errors) == {"hirescam", "pathcam-h"}
    assert all(0 < error < 0.05 for error in errors.values())
