"""Runs of the head that are kept: found again bit for bit where all is the same, and else computed."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from shapleycam import Explainer, utilities, values
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.kept_runs import KeptRuns, keeping_runs

COALITIONS = torch.rand(24, 4, generator=torch.Generator().manual_seed(1)) > 0.5


def network(seed=0):
    torch.manual_seed(seed)
    layers = nn.Tanh(), nn.Conv2d(4, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(320, 4)
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers).eval()


@pytest.fixture(autouse=True)
def ran(monkeypatch):
    """How many coalitions the head ran for, one number for each batch."""
    counts, outputs = [], GeneralRunner.outputs

    def counted(runner, presence, images):
        counts.append(presence.shape[:2].numel())
        return outputs(runner, presence, images)

    monkeypatch.setattr(GeneralRunner, "outputs", counted)
    return counts


def pictures(count=2, seed=0):
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def game(images=None, target=1, **options):
    layer, model = options.pop("layer", "input"), options.pop("model", None) or network()
    players = options.pop("players", (2, 2))
    explainer = Explainer(model, layer, options.pop("utility", "logit"), device="cpu", **options)
    return explainer.game(pictures() if images is None else images, target, players=players)


def keep(played, blocks, context="model"):
    """The values of some coalitions, while runs are kept in `blocks`."""
    with keeping_runs(KeptRuns(context, blocks)):
        return played.value(COALITIONS)


REMOVALS = {
    "zero": {},
    "blur": {"removal": "blur"},
    "impute": {"removal": "impute"},
    "samples": {"removal": "samples", "reference": pictures(3, 9)},
}


@pytest.mark.parametrize("options", REMOVALS.values(), ids=REMOVALS)
def test_values_are_found_again_bit_for_bit(options, ran):
    blocks, plain = {}, game(**options).value(COALITIONS)
    assert torch.equal(keep(game(**options), blocks), plain)
    ran.clear()
    assert torch.equal(keep(game(**options), blocks), plain)
    assert not ran


def test_tokens_that_are_left_out():
    torch.manual_seed(0)
    vit = torchvision.models.VisionTransformer(24, 12, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8).eval()
    images = torch.rand(1, 3, 24, 24)
    blocks, plain = {}, game(images, model=vit, removal="drop", players="patches").value(COALITIONS)
    for _ in range(2):
        with keeping_runs(KeptRuns("model", blocks)):
            assert torch.equal(game(images, model=vit, removal="drop", players="patches").value(COALITIONS), plain)
        count = len(blocks)
    assert len(blocks) == count > 0


OTHERS = {
    "images": {"images": pictures(seed=5)},
    "class": {"target": 2},
    "utility": {"utility": "rest"},
    "removal": {"removal": "mean"},
    "reference": {"removal": "samples", "reference": pictures(3, 8)},
    "layer": {"layer": "0"},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
def test_what_differs_is_computed(options):
    blocks = {}
    for other in REMOVALS.values():
        keep(game(**other), blocks)
    kept = set(blocks)
    assert torch.equal(keep(game(**options), blocks), game(**options).value(COALITIONS))
    assert set(blocks) > kept


def test_another_context_shares_nothing():
    blocks = {}
    keep(game(), blocks)
    other = keep(game(model=network(seed=1)), blocks, context="another model")
    assert torch.equal(other, game(model=network(seed=1)).value(COALITIONS))


def test_a_question_of_the_users_is_not_kept():
    blocks = {}
    keep(game(utility=utilities.contrast(2)), blocks)
    assert not blocks


def test_nothing_is_kept_outside_the_context():
    blocks = {}
    with keeping_runs(KeptRuns("model", blocks)), keeping_runs(None):
        game().value(COALITIONS)
    game().value(COALITIONS)
    assert not blocks


class StopError(Exception):
    pass


def test_sampling_goes_on_where_it_was_stopped(ran):
    """Stopped by an exception after some batches, and again from what was kept: the values of one go."""
    blocks, options = {}, {"memory": 40_000}
    plain = values.permutation(game(**options), orders=16)
    whole = sum(ran)

    def stop():
        if len(blocks) == 3:
            raise StopError

    ran.clear()
    with pytest.raises(StopError), keeping_runs(KeptRuns("model", blocks, stop)):
        values.permutation(game(**options), orders=16)
    stopped = sum(ran)
    with keeping_runs(KeptRuns("model", blocks)):
        resumed = values.permutation(game(**options), orders=16)
    assert torch.equal(resumed.values, plain.values)
    assert torch.equal(resumed.stderr, plain.stderr)
    assert 0 < stopped < whole == sum(ran)
