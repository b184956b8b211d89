"""A layer that a rule finds is the only way from the image to the output; where it is not, this is said."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import LayerBypassedWarning, ShapleyCamWarning


def trunk():
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 2, 1), nn.GELU())


class Member(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.fc = trunk(), nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Ensemble(nn.Module):
    """The mean of two networks' logits."""

    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList([Member(), Member()])

    def forward(self, x):
        return torch.stack([member(x) for member in self.members]).mean(0)


class Branches(nn.Module):
    """Two trunks, `join` of which is pooled; the second may see half of the resolution."""

    def __init__(self, join, stride=1):
        super().__init__()
        self.a, self.b, self.join, self.stride, self.fc = trunk(), trunk(), join, stride, nn.LazyLinear(4)

    def forward(self, x):
        joined = self.join(self.a(x), self.b(x[..., :: self.stride, :: self.stride]))
        return self.fc(joined)


class Shortcut(nn.Module):
    """A norm before a branch that is added to what went around it, as in a transformer."""

    def __init__(self):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x):
        return x + self.conv(self.norm(x))


class Pair(nn.Module):
    """A block that passes on two tensors, as TNT's, with a norm beside a shortcut; `fc` reads one tensor or both."""

    def __init__(self, reads_both):
        super().__init__()
        self.coarse, self.fine, self.block = trunk(), nn.Conv2d(3, 6, 3, 2, 1), self.Block()
        self.reads_both, self.fc = reads_both, nn.Linear(6, 4)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)

        def forward(self, fine, coarse):
            return fine * 2, coarse + self.conv(self.norm(coarse))

    def forward(self, x):
        fine, coarse = self.block(self.fine(x), self.coarse(x))
        return self.fc(coarse.mean((2, 3)) + (fine.mean((2, 3)) if self.reads_both else 0))


class Draws(Member):
    """Adds noise of its own in each call."""

    def forward(self, x):
        return super().forward(x) + torch.rand(1, 4)


def pooled_sum(a, b):
    return (a + b).mean((2, 3))


def concatenated_means(a, b):
    return torch.cat([a.mean((2, 3)), b.mean((2, 3))], 1)


def warnings_of(model, layer=None, rule=None):
    model.eval()
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    model(images)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ShapleyCamWarning)
        found = Explainer(model, layer=layer or rule).find_layer(images)
    return found, [str(each.message) for each in caught if each.category is LayerBypassedWarning]


@pytest.mark.parametrize("rule", ["before-pool", "last-conv"])
@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (Ensemble, "members.1.features"),
        (lambda: nn.Sequential(nn.BatchNorm2d(3), Ensemble()), "1.members.1.features"),
        (lambda: Branches(pooled_sum), "b"),
        (lambda: Branches(concatenated_means), "b"),
        (lambda: Branches(concatenated_means, stride=2), "b"),
        (lambda: Pair(reads_both=True), "block.conv"),
    ],
    ids=["ensemble", "wrapped", "sum", "concatenated", "two resolutions", "two of a block"],
)
def test_of_several_branches_it_is_said_that_one_is_shown(make, layer, rule):
    torch.manual_seed(0)
    found, messages = warnings_of(make(), rule=rule)
    assert found in {layer, f"{layer}.2"}
    assert len(messages) == 1
    assert messages[0].startswith(f"layer {found!r}, which rule {rule!r} finds, is not the only way from the image")


@pytest.mark.parametrize("rule", ["before-pool", "last-conv"])
@pytest.mark.parametrize(
    "make",
    [
        Member,
        lambda: nn.Sequential(trunk(), Shortcut(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
        lambda: nn.Sequential(nn.Sequential(trunk(), Shortcut()), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        lambda: Pair(reads_both=False),
        Draws,
    ],
    ids=["one way", "shortcut", "nested shortcut", "one of two", "draws"],
)
def test_of_one_way_nothing_is_said(make, rule):
    torch.manual_seed(0)
    assert warnings_of(make(), rule=rule)[1] == []


class Finds(Member):
    """Finds nothing in bright images, as a detector in noise."""

    def forward(self, x):
        return [*super().forward(x)] if x.mean() < 0.3 else []


@pytest.mark.parametrize("output", [lambda found: found[0][None], torch.stack], ids=["first", "all"])
def test_an_output_that_is_not_there_for_noise_is_explained_as_before(output):
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) / 100
    assert Explainer(Finds().eval(), output=output).find_layer(images) == "features"


def test_a_layer_that_the_user_names_is_the_users_choice():
    torch.manual_seed(0)
    assert warnings_of(Ensemble(), layer="members.0.features")[1] == []


def test_all_branches_together_are_one_map():
    """What the message proposes: both members' layers."""
    torch.manual_seed(0)
    explainer = Explainer(Ensemble().eval(), layer=["members.0.features", "members.1.features"])
    assert explainer.explain(torch.rand(1, 3, 16, 16), "hirescam").heatmap.shape == (1, 16, 16)
