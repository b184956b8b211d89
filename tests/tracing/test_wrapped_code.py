"""Compiled, scripted, offloaded and inference-mode parts of a model: explained as the Python code that they are."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from helpers.user_models import METHODS, Small, assert_untouched, pictures, state_of, values
from shapleycam import Explainer
from shapleycam.errors import LayerError, ModelError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is not supported"),
]
eager = functools.partial(torch.compile, backend="eager")


@pytest.fixture(scope="module")
def plain():
    return {method: values(Small(), method) for method in METHODS}


class CompiledForward(Small):
    @eager
    def forward(self, x):
        return super().forward(x)


class CompiledMethod(Small):
    @eager
    def see(self, values):
        return values * 1.0


def instance_forward():
    model = Small()
    model.forward = eager(model.forward)
    return model


def instance_forward_around_the_old_one():
    model = Small()
    written = model.forward
    model.forward = eager(lambda x: written(x) * 1.0)
    return model


def model_of_compiled_parts():
    model = Small()
    model.stem, model.body.forward = eager(model.stem), eager(model.body.forward)
    model.fc.compile(backend="eager")
    return model


def whole_graph():
    model = Small()
    model.head = eager(model.head, fullgraph=True)
    return model


COMPILED = [
    CompiledForward,
    CompiledMethod,
    instance_forward,
    instance_forward_around_the_old_one,
    model_of_compiled_parts,
    whole_graph,
]


@pytest.mark.parametrize("has_run", [False, True])
@pytest.mark.parametrize("make", COMPILED)
def test_compiled_code_is_explained_as_it_was_written(make, has_run, plain):
    model = make().eval()
    if has_run:
        model(pictures())
    before = state_of(model)
    for method in METHODS:
        torch.testing.assert_close(values(model, method), plain[method])
    assert_untouched(before, model)


def scripted(parts, compiler="script"):
    model = Small().eval()
    inputs = {"stem": pictures(), "body": torch.rand(2, 5, 8, 8), "fc": torch.rand(2, 7)}
    for name in parts:
        part = getattr(model, name)
        setattr(model, name, torch.jit.script(part) if compiler == "script" else torch.jit.trace(part, inputs[name]))
    return model


@pytest.mark.parametrize("compiler", ["script", "trace"])
@pytest.mark.parametrize("parts", [("stem",), ("fc",), ("body",), ("stem", "body", "fc")])
def test_explained_around_torchscript(parts, compiler, plain):
    model = scripted(parts, compiler)
    before = state_of(model)
    for method in METHODS:
        torch.testing.assert_close(values(model, method, layout="NCHW"), plain[method])
    assert_untouched(before, model)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count += 1
        return nn.functional.dropout(x, 0.5, self.training)


def test_a_scripted_part_keeps_its_buffers_and_its_mode(plain):
    model = nn.Sequential(torch.jit.script(Counting()), Small())
    before = state_of(model)
    torch.testing.assert_close(values(model, "sampledshapley", "1.body"), plain["sampledshapley"])
    assert model[0].training
    assert_untouched(before, model)


def test_a_layer_inside_torchscript_is_refused():
    model = Small().eval()
    model.body = torch.jit.script(nn.Sequential(model.body))
    text = "layer 'body.0' is inside a TorchScript module, which cannot be run in parts; choose a layer outside it"
    for layer in ("body.0", getattr(model.body, "0")):
        with pytest.raises(LayerError, match=text):
            values(model, "gradcam", layer)
    assert Explainer(model, layer="last-conv").explain(pictures(), "gradcam").layer == "stem"


class Offload:
    """Weights that are there only while a module runs, as accelerate's hooks have it."""

    def __init__(self, module):
        self.weights = {name: weight.detach() for name, weight in module._parameters.items()}
        self.take_away(module)

    def put(self, module):
        module._parameters.update({name: nn.Parameter(weight.clone()) for name, weight in self.weights.items()})

    def take_away(self, module):
        module._parameters.update({name: nn.Parameter(weight.to("meta")) for name, weight in self.weights.items()})


def offloaded_model(names):
    model = Small()
    for name in names:
        module = getattr(model, name)
        module._hook, module._old_forward = Offload(module), module.forward

        def forward(module, *args):
            module._hook.put(module)
            output = module._old_forward(*args)
            module._hook.take_away(module)
            return output

        module.forward = functools.update_wrapper(functools.partial(forward, module), module._old_forward)
    return model


@pytest.mark.parametrize("names", [("stem", "body", "fc"), ("fc",), ("stem",)])
def test_offloaded_weights_are_put_in_place_by_their_hooks(names, plain):
    model = offloaded_model(names)
    before = state_of(model)
    for method in METHODS:
        torch.testing.assert_close(values(model, method), plain[method])
    assert_untouched(before, model)
    assert getattr(model, names[0]).weight.is_meta


@pytest.mark.parametrize("name", ["fc", "stem"])
def test_weights_without_numbers_are_refused(name):
    model = Small()
    getattr(model, name).to("meta")
    with pytest.raises(ModelError, match=f"the weights of '{name}' are on the meta device, without numbers"):
        values(model, "gradcam")


@pytest.mark.parametrize("part", ["all", "head"])
def test_weights_made_in_inference_mode(part, plain):
    with torch.inference_mode():
        model = Small()
    if part == "head":
        model, head = Small(), model.fc
        model.fc = head
    before = state_of(model)
    for method in METHODS:
        torch.testing.assert_close(values(model, method), plain[method])
    assert_untouched(before, model)
