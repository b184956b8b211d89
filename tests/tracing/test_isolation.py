"""The user's model is unchanged after every call, also after one that fails."""

from __future__ import annotations

import gc
import threading

import psutil
import pytest
import torch
from torch import nn

from helpers.table_rows import OF_EVERY_MODEL
from shapleycam import Explainer
from shapleycam.errors import LayerError, ModelError
from shapleycam.tracing import trace

# Maps of noise are often blank; nothing here is about what the maps show.
pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.PlayersNotUsedWarning"),  # every method has the same call
]


class Small(nn.Module):
    """Convolutions, batch norm, dropout, in-place activations and a pooled linear head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3), nn.GELU(), nn.Dropout(0.5), nn.BatchNorm2d(8))
        self.never = nn.Conv2d(8, 8, 1)
        self.unused = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.body(self.stem(x))
        self.unused(x)
        return self.fc(torch.nn.functional.softplus(x).mean((2, 3)))


@pytest.fixture
def small():
    """Trained for a step, so that it has gradients and statistics; in mixed modes, hooked, half frozen."""
    model = Small()
    model(torch.rand(4, 3, 16, 16)).square().sum().backward()
    model.body.eval()
    model.body[3].train()
    model.stem[0].weight.requires_grad_(False)
    model.calls = []
    model.body.register_forward_hook(lambda module, *_: model.calls.append(module))
    return model


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def state_of(model):
    """Return everything that a call could have changed, by value."""
    return {
        "tensors": {name: (tensor.clone(), tensor._version) for name, tensor in model.state_dict().items()},
        "gradients": {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()},
        "frozen": [parameter.requires_grad for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "attributes": [list(vars(module)) for module in model.modules()],
        "hooks": [list(module._forward_hooks) + list(module._forward_pre_hooks) for module in model.modules()],
        "forward": [module.forward.__func__ for module in model.modules()],
        "random": torch.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
    }


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name in ("frozen", "modes", "attributes", "hooks", "forward", "grad mode"):
        assert before[name] == after[name], name
    assert torch.equal(before["random"], after["random"])
    for name, gradient in before["gradients"].items():
        assert (gradient is None) == (after["gradients"][name] is None)
        assert gradient is None or torch.equal(gradient, after["gradients"][name])
    for name, (tensor, version) in before["tensors"].items():
        assert torch.equal(tensor, after["tensors"][name][0])
        assert version == after["tensors"][name][1], name


@pytest.mark.parametrize("method", OF_EVERY_MODEL)
def test_nothing_is_changed_by_a_method(small, pictures, method):
    explainer = Explainer(small, layer="body")
    before = state_of(small)
    explainer.explain(pictures, method, players=(2, 2))
    assert_same(before, state_of(small))


def test_nothing_is_changed_by_finding_the_layer(small, pictures):
    before = state_of(small)
    assert Explainer(small).explain(pictures).layer == "body"
    assert_same(before, state_of(small))


def raise_zero_division(*_):
    raise ZeroDivisionError


@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam"])
def test_nothing_is_changed_when_the_utility_raises(small, pictures, method):
    explainer = Explainer(small, layer="body")
    before = state_of(small)
    with pytest.raises(ZeroDivisionError):
        explainer.explain(pictures, method, utility=raise_zero_division)
    assert_same(before, state_of(small))


@pytest.mark.parametrize("broken", ["stem", "body", "fc"])
def test_nothing_is_changed_when_the_model_raises(small, pictures, broken):
    handle = getattr(small, broken).register_forward_pre_hook(raise_zero_division)
    before = state_of(small)
    text = (
        r"the model raised ZeroDivisionError, for images of shape \(\d, 3, 16, 16\); expected a model that runs on them"
    )
    with pytest.raises(ModelError, match=text) as raised:
        trace(small, pictures, "body", replay=True)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert_same(before, state_of(small))
    handle.remove()


@pytest.mark.parametrize(("layer", "text"), [
    ("never", r"layer 'never' never runs in a forward pass in eval mode; choose one that does"),
    ("unused", r"layer 'unused' runs, but the output does not depend on it"),
    ("boddy", r"layer 'boddy' is not in the model; did you mean 'body'"),
    ("fc", r"layer 'fc' returns shape \(2, 5\) for images of 16 x 16, in which there is no grid"),
])  # fmt: skip
@pytest.mark.parametrize("method", ["gradcam", "pathcam"])
def test_a_layer_that_cannot_be_explained_is_refused(small, pictures, layer, text, method):
    before = state_of(small)
    with pytest.raises(LayerError, match=text):
        Explainer(small, layer=layer).explain(pictures, method)
    assert_same(before, state_of(small))


def test_a_layer_that_runs_twice_is_refused_with_its_calls(pictures):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.relu = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.ReLU()

        def forward(self, x):
            return self.relu(self.two(self.relu(self.one(x)))).mean((2, 3))

    text = r"layer 'relu' runs 2 times in a forward pass \(after one, after two\)"
    for replay in (False, True):
        with pytest.raises(LayerError, match=text):
            trace(Twice(), pictures, "relu", replay=replay)


def test_a_module_of_another_model_is_refused(small):
    with pytest.raises(LayerError, match="the given Conv2d is not a part of the model"):
        Explainer(small, layer=nn.Conv2d(3, 3, 1))


def test_a_forward_that_the_user_replaced_stays_replaced(small, pictures):
    def mine(x):
        return nn.functional.linear(x, small.fc.weight) * 2

    small.fc.forward = mine
    expected = small.eval()(pictures)
    traced = trace(small, pictures, "body", replay=True)
    torch.testing.assert_close(traced.output, expected)
    torch.testing.assert_close(traced.head(traced.activation.detach()), expected.detach())
    assert small.fc.forward is mine


def test_a_module_that_does_more_in_train_is_told_that_it_trains_again(pictures):
    class Caching(nn.Conv2d):
        cache = None

        def train(self, mode=True):
            self.cache = None if mode else self.cache
            return super().train(mode)

        def forward(self, x):
            if not self.training:
                self.cache = self.cache if self.cache is not None else self.weight.detach() * 1
            return self._conv_forward(x, self.weight if self.training else self.cache, self.bias)

    model = nn.Sequential(Caching(3, 4, 3), nn.Flatten())
    Explainer(model, layer="0").explain(pictures, "gradcam")
    assert model[0].cache is None  # stale weights must not be used after the next training steps
    assert model[0].training


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam"])
def test_right_inside_the_callers_contexts(small, pictures, context, method):
    explainer = Explainer(small, layer="body")
    expected = explainer.explain(pictures, method)
    with context():
        inside = explainer.explain(pictures.clone(), method)
    torch.testing.assert_close(inside.values, expected.values)
    torch.testing.assert_close(inside.heatmap, expected.heatmap)


def test_float32_under_autocast(small, pictures):
    explainer = Explainer(small, layer="body")
    expected = explainer.explain(pictures, "shapleycam-h")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = explainer.explain(pictures, "shapleycam-h")
        assert torch.is_autocast_enabled("cpu")
    assert inside.values.dtype == torch.float32
    torch.testing.assert_close(inside.values, expected.values)


def test_memory_is_flat_over_120_calls(small, pictures):
    explainer = Explainer(small, layer="body")
    process = psutil.Process()

    def tensors():
        gc.collect()
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())

    def forty():
        for _ in range(40):
            explainer.compare(pictures, ["gradcam", "shapleycam", "pathcam-h"])
            small.calls.clear()

    forty()
    count, resident = tensors(), process.memory_info().rss
    for _ in range(3):
        forty()
    assert tensors() <= count
    assert process.memory_info().rss - resident < 4e6


def test_eight_threads_share_one_model(small, pictures):
    explainer = Explainer(small, layer="body")
    names = ["gradcam", "shapleycam-h", "pathcam", "randomcam"]
    inputs = [torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]
    expected = [explainer.compare(images, names) for images in inputs]
    before, actual, errors = state_of(small), {}, []
    barrier = threading.Barrier(8)

    def work(index):
        try:
            barrier.wait()
            for _ in range(5):
                actual[index] = explainer.compare(inputs[index], names)
        except Exception as error:  # noqa: BLE001  # raised again in the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for index, explanations in enumerate(expected):
        for name in names:
            torch.testing.assert_close(actual[index][name].values, explanations[name].values)
    assert_same(before, state_of(small))


def test_nan_weights_are_named(small, pictures):
    with torch.no_grad():
        small.stem[0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(Exception, match=r"activation of layer 'body' holds NaN.*the weight 'stem.0.weight' is not fin"):
        Explainer(small, layer="body").explain(pictures)
