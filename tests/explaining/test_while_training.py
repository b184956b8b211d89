"""Explaining while a model is trained changes nothing of the training: all numbers are bit for bit as without it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer

lightning = LazyModule("lightning")

# Maps of a network that has hardly been trained are often blank; nothing here is about what the maps show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

FIXED = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
"""The photographs whose maps are logged."""


class Net(nn.Module):
    """What a training step changes besides the weights: batch statistics, dropout's generator, norms of weights."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8, momentum=None),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.3),
            spectral_norm(nn.Conv2d(8, 8, 3)),
            nn.BatchNorm2d(8),
            nn.GELU(),
        )
        self.frozen = nn.Conv2d(8, 8, 1).requires_grad_(requires_grad=False)
        self.fc = nn.Sequential(nn.Dropout(0.5), weight_norm(nn.Linear(8, 4)))

    def forward(self, x):
        if self.training and random.random() < 0.5:
            x = x + 0.1 * float(np.random.rand()) * torch.randn_like(x)  # noqa: NPY002  # the global generator
        return self.fc(self.frozen(self.features(x)).mean((2, 3)))


def seed_all() -> None:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002


def batches() -> torch.utils.data.DataLoader:
    """Shuffled by the global generator, as usual."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(12, 3, 16, 16, generator=generator)
    labels = torch.randint(4, (12,), generator=generator)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=4, shuffle=True)


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, object]:
    """Return all that training reads later, by value."""
    return {
        "weights": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "gradients": {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()},
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
        "optimizer": optimizer.state_dict(),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "python": random.getstate(),
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "anomaly": torch.is_anomaly_enabled(),
    }


def train(look: Callable[[nn.Module, str], None], autocast: bool = False) -> dict[str, object]:
    """Train for two epochs; `look` is called with the model between all steps of the loop."""
    seed_all()
    model = Net().train()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    for _ in range(2):
        for images, labels in batches():
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = cross_entropy(model(images), labels)
                look(model, "after the forward pass")  # the graph of the loss is alive
            optimizer.zero_grad()
            loss.backward()
            look(model, "with gradients")
            optimizer.step()
        look(model, "after the epoch")
    return state_of(model, optimizer)


def assert_same(actual: object, expected: object, where: str = "") -> None:
    """Compare nested states, tensors and arrays bit for bit."""
    assert type(actual) is type(expected), where
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for name, part in expected.items():
            assert_same(actual[name], part, f"{where}/{name}")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), where
        for index, part in enumerate(expected):
            assert_same(actual[index], part, f"{where}/{index}")
    elif isinstance(expected, torch.Tensor):
        assert actual.dtype == expected.dtype, where
        assert torch.equal(actual, expected), where
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(actual, expected), where
    else:
        assert actual == expected, where


class Look:
    """Explain the fixed photographs at one moment of the loop, by methods of every kind, with one explainer."""

    def __init__(self, moment: str) -> None:
        self.moment, self.explainer, self.maps = moment, None, []

    def __call__(self, model: nn.Module, moment: str) -> None:
        if moment != self.moment:
            return
        self.explainer = self.explainer or Explainer(model)
        methods = ["shapleycam", "pathcam", "sampledshapley", "randomcam", "smoothgradcam++", "exactshapley"]
        self.maps.append(self.explainer.compare(FIXED, methods, target=1, players=(2, 2)))
        self.explainer.explain(FIXED, "gradcam", smooth="noise")


@pytest.fixture(scope="module")
def undisturbed():
    return {autocast: train(lambda *_: None, autocast) for autocast in (False, True)}


def test_the_comparison_notices_one_more_random_number(undisturbed):
    changed = train(lambda _, moment: torch.rand(1) if moment == "after the epoch" else None)
    with pytest.raises(AssertionError, match="/weights/"):
        assert_same(changed, undisturbed[False])


@pytest.mark.parametrize("moment", ["after the forward pass", "with gradients", "after the epoch"])
@pytest.mark.parametrize("autocast", [False, True])
def test_training_is_the_same_bit_for_bit(moment, autocast, undisturbed):
    look = Look(moment)
    assert_same(train(look, autocast), undisturbed[autocast])
    first, last = look.maps[0], look.maps[-1]
    assert not torch.equal(first["shapleycam"].values, last["shapleycam"].values)  # the maps follow the training


def test_the_maps_are_those_of_the_model_in_eval_mode():
    seed_all()
    model = Net().train()
    model(FIXED)
    while_training = Explainer(model).explain(FIXED, "shapleycam", target=1)
    assert all(module.training for module in model.modules())
    evaluated = Explainer(model.eval()).explain(FIXED, "shapleycam", target=1)
    assert torch.equal(while_training.values, evaluated.values)
    assert torch.equal(while_training.output, evaluated.output)
