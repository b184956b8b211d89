"""A model that its user changes between two explanations is explained as it is then, whatever was kept of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import ReplayError

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
METHODS = ["gradcam", "shapleycam", "pathcam", "sampledshapley"]


class Net(nn.Module):
    """A pooled head, whose shortcut may be kept, behind convolutions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Softplus())
        self.fc = nn.Linear(6, 4)
        self.scale = 1.0
        self.gate = False

    def forward(self, x):
        a = self.features(x)
        if self.gate:  # read unseen by autograd: the head is not of the mean alone any more
            a = a * (a.detach() > a.detach().amax((2, 3), keepdim=True) / 2)
        return self.fc(self.scale * a.mean((2, 3)))


def write_in_place(model):
    with torch.no_grad():
        model.fc.weight.mul_(2)


def write_data(model):
    model.features[0].weight.data[:, 0] = 0.5  # no version counter sees it


def load(model):
    model.load_state_dict({name: 1.5 * values for name, values in model.state_dict().items()})


def step(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0, foreach=True)
    model.train()
    model(torch.rand(4, 3, 8, 8)).square().mean().backward()
    optimizer.step()


def write_buffer(model):
    model.features[1].running_mean.data.add_(0.3)


def replace_buffer(model):
    model.features[1].running_var = torch.full((6,), 0.2)


def add_hook(model):
    model.features[0].register_forward_hook(lambda _module, _inputs, output: output.flip(1))


def replace_forward(model):
    model.features[2].forward = torch.tanh


def replace_head(model):
    model.fc = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 4))


def set_attribute(model):
    model.scale = 3.0


def hide_a_read(model):
    model.gate = True


CHANGES = [
    *(write_in_place, write_data, load, step, write_buffer, replace_buffer),
    *(add_hook, replace_forward, replace_head, set_attribute),
]


def values_of(explainer: Explainer, images: torch.Tensor, methods: list[str] = METHODS) -> list[torch.Tensor]:
    comparison = explainer.compare(images, methods, target=1, players=(2, 2))
    return [explanation.values for explanation in comparison.values()]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_changed_model_is_explained(images: torch.Tensor, change: Callable[[nn.Module], None]):
    model = Net().eval()
    explainer = Explainer(model, layer="features")
    before = [values_of(explainer, images) for _ in range(2)][-1]
    change(model)
    expected = values_of(Explainer(deepcopy(model), layer="features"), images)
    for actual, fresh, old in zip(values_of(explainer, images), expected, before, strict=True):
        torch.testing.assert_close(actual, fresh, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(actual, old, rtol=1e-2, atol=1e-4)


def test_a_change_of_the_class_is_explained(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch):
    model = Net().eval()
    explainer = Explainer(model, layer="features")
    before = values_of(explainer, images)
    monkeypatch.setattr(Net, "forward", lambda self, x: self.fc(3 * self.features(x).mean((2, 3))))
    expected = values_of(Explainer(deepcopy(model), layer="features"), images)
    for actual, fresh, old in zip(values_of(explainer, images), expected, before, strict=True):
        torch.testing.assert_close(actual, fresh, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(actual, old, rtol=1e-2, atol=1e-4)


def test_a_head_that_begins_to_hide_a_read_loses_its_shortcut(images: torch.Tensor):
    model = Net().eval()
    explainer = Explainer(model, layer="features")
    assert explainer.game(images).structure.reads_mean
    hide_a_read(model)
    game = explainer.game(images, target=1)
    assert not game.structure.reads_mean
    coalition = torch.zeros(1, 64, dtype=torch.bool)
    coalition[0, ::3] = True
    with torch.no_grad():
        masked = game.activation * coalition.view(1, 1, 8, 8)
        gates = masked > masked.amax((2, 3), keepdim=True) / 2
        expected = model.fc((masked * gates).mean((2, 3)))
        empty = model.fc(torch.zeros(2, 6))
    rest = [2 * z[:, 1] - z.logsumexp(1) for z in (expected, empty)]
    torch.testing.assert_close(game.value(coalition)[:, 0], rest[0] - rest[1], rtol=1e-4, atol=1e-5)


def test_modes_change_nothing(images: torch.Tensor):
    model = Net().eval()
    explainer = Explainer(model, layer="features")
    expected = values_of(explainer, images)
    model.train()
    for actual, of_eval in zip(values_of(explainer, images), expected, strict=True):
        assert torch.equal(actual, of_eval)
    assert model.training


def take_statistics_away(model):
    model[1].track_running_stats, model[1].running_mean, model[1].running_var = False, None, None


def exchange_norm(model):
    model[1] = nn.BatchNorm2d(4, track_running_stats=False)


def mix_by_hook(model):
    model[1].register_forward_hook(lambda _module, _inputs, a: a - a.mean(0))


@pytest.mark.parametrize("change", [take_statistics_away, exchange_norm, mix_by_hook])
def test_a_head_that_begins_to_mix_the_rows_of_a_batch_is_refused(change: Callable[[nn.Module], None]):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    explainer, image = Explainer(model, layer="0"), torch.rand(1, 3, 8, 8)
    explainer.game(image)
    change(model)
    with pytest.raises(ReplayError, match="the rows of a batch influence each other"):
        explainer.game(image)
