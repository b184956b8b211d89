"""Small trainings with and without explanations between their steps, compared bit for bit.

It is run as a program: the shape checks of the tests draw from Python's own random numbers.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from shapleycam import Explainer

FIXED = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
"""The photographs whose maps are logged."""
MOMENTS = ("after the forward pass", "with gradients", "after the epoch")


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
        if self.training and random.random() < 0.5:  # noqa: S311
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


def train(look: Callable[[nn.Module, str], None], autocast: bool) -> dict[str, object]:
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


def difference(look: Callable[[nn.Module, str], None], expected: dict[str, object], *, autocast: bool) -> str:
    """Return where a training with explanations differs from one without; "" for nowhere."""
    try:
        assert_same(train(look, autocast), expected)
    except AssertionError as error:
        return str(error)
    return ""


def compare_all() -> dict[str, str]:
    """Return the differences of trainings that are explained at each moment, in float32 and under autocast."""
    undisturbed = {autocast: train(lambda *_: None, autocast) for autocast in (False, True)}
    differences = {}
    for moment, autocast in product(MOMENTS, (False, True)):
        look = Look(moment)
        name = f"{moment}, {'autocast' if autocast else 'float32'}"
        differences[name] = difference(look, undisturbed[autocast], autocast=autocast)
        first, last = look.maps[0]["shapleycam"].values, look.maps[-1]["shapleycam"].values
        if torch.equal(first, last):
            differences[name] += "the maps do not follow the training"
    draws = {"torch": lambda: torch.rand(1), "python": random.random, "numpy": np.random.rand}
    for name, draw in draws.items():
        differences[f"one number of {name}"] = difference(
            lambda _, moment, draw=draw: draw() if moment == MOMENTS[2] else None, undisturbed[False], autocast=False
        )
    return differences


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(json.dumps(compare_all()))  # noqa: T201
