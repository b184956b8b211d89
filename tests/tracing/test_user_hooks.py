"""The user's hooks: each sees a traced pass once, with the user's own module; what they change is explained."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from helpers.user_models import METHODS, Small, assert_untouched, first_order, pictures, state_of, values
from shapleycam.tracing import trace


class Recording:
    """A hook as an object, which keeps what it sees."""

    def __init__(self):
        self.seen = []

    def __call__(self, module, *passed):
        self.seen.append((module, passed[-1].shape if isinstance(passed[-1], torch.Tensor) else None))

    def method(self, module, inputs, output):
        self(module, output)


def hook_of(record):
    def hook(module, inputs, output):
        record(module, output)

    return hook


HOOKS = {
    "object": lambda record: record,
    "method": lambda record: record.method,
    "closure": hook_of,
    "lambda": lambda record: lambda module, inputs, output: record(module, output),
    "partial": lambda record: functools.partial(Recording.method, record),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_sees_the_users_module_once_a_pass(kind):
    model, record = Small(), Recording()
    model.body.register_forward_hook(HOOKS[kind](record))
    before = state_of(model)
    for number, method in enumerate(METHODS, start=1):
        values(model, method)
        assert [(module is model.body, shape) for module, shape in record.seen] == [(True, (2, 7, 8, 8))] * number
    assert_untouched(before, model)


def test_hooks_with_keywords_and_before_the_call_are_seen_once():
    class Keywords(Small):
        def head(self, values):
            return self.fc(input=super().see(values).mean((2, 3)))

    model, seen = Keywords(), []
    model.fc.register_forward_pre_hook(lambda module, args, kwargs: seen.append((module, *kwargs)), with_kwargs=True)
    model.fc.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((module, *kwargs)), with_kwargs=True
    )
    trace(model, pictures(), "body", replay=True)
    assert seen == [(model.fc, "input")] * 2


def halve_inputs(module, inputs):
    return (inputs[0] / 2,)


def square_output(module, inputs, output):
    return output.square()


@pytest.mark.parametrize(("where", "register", "hook"), [
    ("stem", "register_forward_pre_hook", halve_inputs),
    ("body", "register_forward_pre_hook", halve_inputs),
    ("fc", "register_forward_pre_hook", halve_inputs),
    ("stem", "register_forward_hook", square_output),
    ("fc", "register_forward_hook", square_output),
])  # fmt: skip
def test_what_a_hook_changes_is_explained(where, register, hook):
    model = Small().eval()
    getattr(getattr(model, where), register)(hook)
    torch.testing.assert_close(values(model, "hirescam"), first_order(model, pictures(), "body"))
    game = {method: values(model, method) for method in ("pathcam-h", "sampledshapley")}
    with_holes = trace(model, pictures(), "body", replay=True)
    expected = model.head(with_holes.activation.detach() * 0.5)
    torch.testing.assert_close(with_holes.head(with_holes.activation.detach() * 0.5), expected.detach())
    assert all(bool(torch.isfinite(actual).all()) for actual in game.values())


class Features(nn.Module):
    """A decoder that reads an encoder's features, which hooks keep in a list, as fastai's dynamic U-Net does."""

    def __init__(self, keep):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Softplus(), nn.Conv2d(5, 6, 3, padding=1))
        self.last, self.fc = nn.Conv2d(11, 7, 1), nn.Linear(7, 4)
        self.stored = {}
        if keep == "hook":
            self.encoder[1].register_forward_hook(lambda module, inputs, output: self.stored.update(early=output))
        self.keep = keep

    def forward(self, x):
        if self.keep == "hook":
            deep = self.encoder(x)
        else:
            self.stored["early"] = self.encoder[:2](x)
            deep = self.encoder[2](self.stored["early"])
        return self.fc(nn.functional.softplus(self.last(torch.cat([deep, self.stored["early"]], 1))).mean((2, 3)))


@pytest.mark.parametrize("layer", ["encoder.1", "encoder.2"])
@pytest.mark.parametrize("keep", ["hook", "attribute"])
def test_features_kept_for_later_are_those_of_each_row(keep, layer):
    model, images = Features(keep).eval(), pictures()
    torch.testing.assert_close(values(model, "hirescam", layer), first_order(model, images, layer))
    traced = trace(model, images, layer, replay=True)
    rows = torch.cat([traced.activation.detach() * scale for scale in (0.5, 0.25)])
    actual = traced.head(rows, torch.tensor([0, 1, 0, 1]))

    def replaced(scale):
        handle = model.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output: output * scale, prepend=True
        )
        logits = model(images)
        handle.remove()
        return logits

    torch.testing.assert_close(actual, torch.cat([replaced(0.5), replaced(0.25)]).detach())


def raises_on_nan(module, inputs, output):
    if not torch.isfinite(output).all():
        raise ValueError("not finite")


def test_hooks_that_raise_on_nan_are_not_fed_stand_ins():
    model = Small()
    for module in (model.stem, model.body, model.fc):
        module.register_forward_hook(raises_on_nan)
    for method in METHODS:
        values(model, method)


WEIGHTS = {
    "weight norm, old": nn.utils.weight_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm, old": nn.utils.spectral_norm,
    "spectral norm": parametrizations.spectral_norm,
    "pruning": functools.partial(prune.l1_unstructured, name="weight", amount=0.4),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_made_by_hooks_and_parametrisations(kind, training):
    model = Small()
    for layer in (model.stem, model.body, model.fc):
        WEIGHTS[kind](layer)
    model.train()
    model(pictures())
    model.train(training)
    before = state_of(model)
    actual = {method: values(model, method) for method in METHODS}
    assert_untouched(before, model)
    torch.testing.assert_close(actual["hirescam"], first_order(model.eval(), pictures(), "body"))
