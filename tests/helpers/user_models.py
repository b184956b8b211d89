"""A small network to build cases on, and all of a model's state that explaining must leave as it was."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import shapleycam
from shapleycam.errors import BlankHeatmapWarning

METHODS = ["hirescam", "shapleycam-h", "pathcam-h", "sampledshapley"]


class Small(nn.Module):
    """Two convolutions and a linear head; `see` gets each activation, and may keep or change something."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.body = nn.Conv2d(5, 7, 3, padding=1)
        self.fc = nn.Linear(7, 4)
        self.prepare()

    def prepare(self):
        """Make what `see` writes into."""

    def see(self, values):
        """Return the values."""
        return values

    def head(self, values):
        """From the activation of `body` to logits."""
        return self.fc(F.softplus(self.see(values)).mean((2, 3)))

    def forward(self, x):
        return self.head(self.body(F.gelu(self.see(self.stem(x)))))


def with_random_norms(model):
    """Return the model with batch norms as after training: new ones subtract and add nothing."""
    for norm in model.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for numbers in (norm.running_mean, norm.bias.data):
                numbers.normal_(std=0.3)
            for numbers in (norm.running_var, norm.weight.data):
                numbers.uniform_(0.5, 1.5)
    return model


def pictures(count=2, size=16):
    """Images of noise, the same each time."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def values(model, method, layer="body", images=None, **options):
    """Return the values of one method, by regions where it samples."""
    explainer = shapleycam.Explainer(model, layer=layer, **options)
    players = (2, 2) if method == "sampledshapley" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BlankHeatmapWarning)  # maps of noise often are
        return explainer.explain(pictures() if images is None else images, method, players=players).values


def state_of(model):
    """Return everything that a call could have changed, by value and by identity."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {
        "tensors": [(name, id(t), t.detach().clone(), -1 if t.is_inference() else t._version) for name, t in tensors],
        "frozen": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "attributes": [[(name, id(value)) for name, value in vars(module).items()] for module in model.modules()],
        "hooks": [[*module._forward_hooks, *module._forward_pre_hooks] for module in model.modules()],
        "random": [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()],  # noqa: NPY002
        "modes of PyTorch": [torch.is_grad_enabled(), torch.is_inference_mode_enabled()],
        "fast path": torch.backends.mha.get_fastpath_enabled(),
    }  # fmt: skip


def assert_untouched(before, model):
    """Check that the model and the random generators are unchanged."""
    after = state_of(model)
    for name in before.keys() - {"tensors"}:
        assert before[name] == after[name], name
    assert [t[:2] + t[3:] for t in before["tensors"]] == [t[:2] + t[3:] for t in after["tensors"]]
    for (name, _, then, _), (_, _, now, _) in zip(before["tensors"], after["tensors"], strict=True):
        assert then.is_meta or torch.equal(then, now), name


def first_order(model, images, layer, utility="rest"):
    """Σ over channels of gradient times activation (NCHW), by a plain hook and autograd, in eval mode."""
    leaves = []

    def replace_by_leaf(module, inputs, output):
        leaves.append(output.detach().requires_grad_())
        return leaves[0].clone()

    handle = model.get_submodule(layer).register_forward_hook(replace_by_leaf, prepend=True)
    logits = model(images)
    handle.remove()
    score = logits.amax(1)
    score = score + torch.log_softmax(logits, 1).amax(1) if utility == "rest" else score
    (gradient,) = torch.autograd.grad(score.sum(), leaves)
    return (gradient * leaves[0]).sum(1).detach()
