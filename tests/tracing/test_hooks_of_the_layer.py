"""Hooks on the explained layer are part of what comes after it; a library's hooks only do their work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer
from shapleycam.utilities import inside

transformers = LazyModule("transformers")

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class StoringByHook(nn.Module):
    """A hook keeps the layer's output, changed by a hook before it; `head` makes a map of the layer's and the kept."""

    def __init__(self, head, factor=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.features, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)
        self.stored, self.head = {}, head
        if factor != 1:
            self.features.register_forward_hook(lambda _module, _inputs, output: factor * output)
        self.features.register_forward_hook(lambda _module, _inputs, output: self.stored.update(features=output))

    def forward(self, x):
        features = self.features(self.stem(x))
        return self.fc(self.head(features, self.stored["features"]).mean((2, 3)))


HEADS = {
    "kept only": lambda _, stored: stored.square(),
    "both": lambda features, stored: features * stored,
    "either": lambda features, stored: features.sigmoid() + stored.relu(),
}


def by_hand(model, head, factor, activation):
    """The logit of class 1 of the layer's own output, which the first hook multiplies."""
    changed = factor * activation
    return model.fc(head(changed, changed).mean((2, 3)))[:, 1]


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("name", HEADS)
def test_what_a_hook_of_the_layer_keeps_is_differentiated(name, factor):
    head = HEADS[name]
    model = StoringByHook(head, factor).eval()
    leaf = nn.Conv2d.forward(model.features, model.stem(IMAGES)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(by_hand(model, head, factor, leaf).sum(), leaf)
    explanation = Explainer(model, layer="features", utility="logit").explain(IMAGES, "hirescam", target=1)
    torch.testing.assert_close(explanation.values, (gradient * leaf).sum(1).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("name", HEADS)
def test_coalitions_reach_what_a_hook_of_the_layer_keeps(name, factor):
    head = HEADS[name]
    model = StoringByHook(head, factor).eval()
    activation = nn.Conv2d.forward(model.features, model.stem(IMAGES)).detach()
    game = Explainer(model, layer="features", utility="logit").game(IMAGES, target=1)
    coalitions = torch.rand(6, 16, generator=torch.Generator().manual_seed(2)) < 0.5
    with torch.no_grad():
        empty = by_hand(model, head, factor, torch.zeros_like(activation))
        expected = [
            by_hand(model, head, factor, activation * coalition.reshape(1, 1, 4, 4)) - empty for coalition in coalitions
        ]
    torch.testing.assert_close(game.value(coalitions), torch.stack(expected, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("has_run", [False, True])
@pytest.mark.parametrize("method", ["gradcam", "pathcam"])
def test_hidden_states_that_transformers_collects_by_hooks(method, has_run):
    """The hooks come with a model's first pass, and write into a collector of the running thread."""
    config = transformers.SegformerConfig(num_labels=5, depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32])
    torch.manual_seed(0)
    model, images = transformers.SegformerForSemanticSegmentation(config).eval(), IMAGES.repeat(1, 1, 4, 4)
    with torch.no_grad():
        expected = model if has_run else transformers.SegformerForSemanticSegmentation(config).eval()
        expected.load_state_dict(model.state_dict())
        scores = expected(images).logits[:, 3, :8, :8].mean((1, 2))
    mask = torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[:, :32, :32] = True
    explainer = Explainer(model, layer="segformer.stages.3", utility=inside(mask, "logit"))
    torch.testing.assert_close(explainer.explain(images, method, target=3).utility, scores, rtol=1e-4, atol=1e-6)
