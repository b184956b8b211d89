"""The proof of a head is kept for a model, and not for one that was changed, or that has a user's code."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from helpers.masked_games import by_hand, random_coalitions
from shapleycam import Explainer
from shapleycam.game import kept_proofs
from shapleycam.game.kept_proofs import proof_key
from shapleycam.game.structure import Structure
from shapleycam.tracing.checks import mark_checked

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def network(*head):
    """Return a network of PyTorch's own modules, whose layer "0" has 4 x 4 positions of 4 channels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), *head).eval()


def pooling():
    return network(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def game_of(model, images=IMAGES[:1], **options):
    return Explainer(model, layer="0", utility="logit", **options).game(images, target=0)


@pytest.fixture
def proofs(monkeypatch):
    """Return the list to which each proof that is made adds its structure."""
    made, follow = [], kept_proofs.follow_head

    def follow_and_note(*arguments):
        proof = follow(*arguments)
        made.append(proof.structure)
        return proof

    monkeypatch.setattr(kept_proofs, "follow_head", follow_and_note)
    return made


@pytest.mark.parametrize("is_mean", [True, False])
def test_one_proof_for_all_images(proofs, is_mean):
    model = pooling() if is_mean else network(nn.GroupNorm(1, 4), nn.Flatten(), nn.Linear(64, 3))
    structures = [game_of(model, image[None]).structure for image in IMAGES]
    assert len(proofs) == 1
    assert structures == [Structure(reads_mean=is_mean, is_sum=is_mean)] * 3


def test_another_size_or_number_format_has_its_own(proofs):
    model = pooling()
    for images in (IMAGES[:1], IMAGES, IMAGES[:1, :, :6, :6], IMAGES[:1]):
        assert game_of(model, images).structure.reads_mean
    assert len(proofs) == 3
    assert game_of(model.double(), IMAGES[:1].double()).structure.reads_mean
    assert len(proofs) == 4


class Corner(nn.AdaptiveAvgPool2d):
    """A user's pooling: the mean, and the first position where it is large."""

    def forward(self, input):  # noqa: A002  # PyTorch's name
        mean = super().forward(input)
        return mean + 5 * torch.relu(input[:, :, :1, :1] - 100)


class Same(nn.Module):
    """A user's module that does nothing."""

    def forward(self, a):
        return a


def add_hook(model):
    model[1].register_forward_hook(lambda _module, _inputs, output: output + 5 * torch.relu(output[:, :, :1, :1] - 100))


def replace_forward(model):
    model[1].forward = lambda a: a + 5 * torch.relu(a[:, :, :1, :1] - 100)


CHANGES = {
    "another pooling": lambda model: model.__setitem__(2, nn.AdaptiveMaxPool2d(1)),
    "a user's pooling": lambda model: model.__setitem__(2, Corner(1)),
    "a convolution before": lambda model: model.__setitem__(1, nn.Conv2d(4, 4, 3, padding=1)),
    "a hook": add_hook,
    "a replaced forward": replace_forward,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_model_is_proven_anew(proofs, change):
    model = pooling()
    assert game_of(model).structure.reads_mean
    change(model)
    game, sampled = game_of(model), random_coalitions(20, 16)
    assert not game.structure.reads_mean
    assert len(proofs) == 2
    torch.testing.assert_close(game.value(sampled), by_hand(game, sampled))


def test_a_setting_of_an_operation_is_part_of_the_key():
    """Rows and columns of a square map: the operations and shapes are the same, what they do is not."""
    model = network(torchvision.ops.Permute([0, 1, 3, 2]), nn.AvgPool2d((4, 1)), nn.Flatten(), nn.Linear(16, 3))
    keys = set()
    for dims in ([0, 1, 3, 2], [0, 1, 2, 3]):
        model[1].dims = dims
        game = game_of(model)
        keys.add(proof_key(game._trace, game.layout))
    assert len(keys) == 2
    assert None not in keys


@pytest.mark.parametrize("kind", ["modules", "output"])
def test_a_users_code_is_proven_each_time(proofs, kind):
    """Its operations may be others for other images."""
    model = pooling()
    if kind == "modules":
        model[1] = Same()
    options = {"output": lambda output: output * 1} if kind == "output" else {}
    for image in IMAGES[:2]:
        game = game_of(model, image[None], **options)
        assert game.structure.reads_mean
        assert proof_key(game._trace, game.layout) is None
    assert len(proofs) == 2


def test_a_wrong_proof_gives_no_wrong_values():
    """Planted where the model's own is kept: coalitions and points of the path show it, and it is not used."""
    model = network(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    game, sampled = game_of(model, IMAGES), random_coalitions(20, 16)
    key = proof_key(game._trace, game.layout)
    assert key is not None
    mark_checked(game._trace.owner, key, Structure(reads_mean=True))
    planted = game_of(model, IMAGES)
    assert planted._coalitions._proven == Structure(reads_mean=True)
    torch.testing.assert_close(planted.value(sampled), by_hand(game, sampled))
    along, at_each = planted.gradient_along([0.25, 0.75], [1.0, 3.0]), map(game.gradient, _points(game))
    torch.testing.assert_close(along, next(at_each) + 3 * next(at_each))


def _points(game):
    return 0.25 * game.activation, 0.75 * game.activation
