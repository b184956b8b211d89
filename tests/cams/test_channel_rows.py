"""Maps weighted by values of channels: by pencil, by brute force, against pytorch-grad-cam and captum."""

from __future__ import annotations

import warnings
from itertools import permutations

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from helpers.networks import Toy, logits
from shapleycam import METHODS, Explainer, values
from shapleycam.cams import method_of
from shapleycam.cams.heatmaps import heatmap
from shapleycam.errors import RemovalNotUsedWarning

pytorch_grad_cam = LazyModule("pytorch_grad_cam")
model_targets = LazyModule("pytorch_grad_cam.utils.model_targets")
captum_attr = LazyModule("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")

ROWS = ["ablationcam", "liftcam", "channelshapley"]
SIZE = 32


def pictures(count=3):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def convolutional(*head, channels=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, channels, 5, stride=4), nn.ReLU(), *head).eval()


def pooled(*layers, channels=6):
    return convolutional(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers, channels=channels)


def deep():
    """Windows, units and a mean: no closed form, no shortcut for channels."""
    tail = (nn.Conv2d(6, 5, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    return convolutional(*tail)


def scores_without(model, images, removed, target):
    """Scores of the model with channels of layer "1" at zero, by its own modules."""
    activation = model[:2](images).detach().clone()
    activation[:, list(removed)] = 0
    return model[2:](activation)[:, target].detach().double()


def test_by_pencil():
    """The score is the product of the channels' means 2 and 3, plus the first: what is lost, and what is shared."""
    image = torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])
    model = Toy(lambda a: logits(a.mean((2, 3)).prod(1) + a[:, 0].mean((1, 2))))
    explainer = Explainer(model, layer="features", utility="logit")
    # v(N) = 8; without the first 0, without the second 2; Shapley values 3 + 2 and 3.
    ablation = explainer.explain(image, "ablationcam", target=0).values
    torch.testing.assert_close(ablation, torch.tensor([[[8 * 1.0 + 6 * 2.0, 8 * 3.0 + 6 * 4.0]]]))
    for method in ("channelshapley", "liftcam"):  # the score is quadratic: the path is exact
        shares = explainer.explain(image, method, target=0).values
        torch.testing.assert_close(shares, torch.tensor([[[5 * 1.0 + 3 * 2.0, 5 * 3.0 + 3 * 4.0]]]))


def test_with_a_stand_in_what_it_changes_is_weighted():
    """R = 1 everywhere: the score is 6 of A, 3 without the first channel, 2 without the second; C = A - 1."""
    image = torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])
    model = Toy(lambda a: logits(a.mean((2, 3)).prod(1)))
    explainer = Explainer(model, layer="features", utility="logit", removal=torch.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RemovalNotUsedWarning)
        actual = explainer.explain(image, "ablationcam", target=0).values
    torch.testing.assert_close(actual, torch.tensor([[[3 * 0.0 + 4 * 1.0, 3 * 2.0 + 4 * 3.0]]]))


@pytest.mark.parametrize("method", ROWS)
def test_behind_mean_and_linear_layer_a_channel_weighs_its_weight_times_its_mean(method):
    model, images = pooled(nn.Linear(30, 5), channels=30), pictures()
    activation = model[:2](images)
    weights = activation.mean((2, 3)) * model[4].weight[2]
    expected = torch.einsum("bkhw,bk->bhw", activation, weights).detach()
    e = Explainer(model, layer="1", utility="logit").explain(images, method, target=2)
    torch.testing.assert_close(e.values, expected, rtol=1e-4, atol=1e-7)
    assert e.notes == ()


def test_ablation_and_shapley_values_of_channels_by_brute_force():
    model, images = deep(), pictures()
    activation = model[:2](images).detach()
    worth = {}

    def score(kept):
        if kept not in worth:
            worth[kept] = scores_without(model, images, set(range(6)) - kept, 1)
        return worth[kept]

    shapley = torch.zeros(3, 6, dtype=torch.float64)
    orders = list(permutations(range(6)))
    for order in orders:
        for place, player in enumerate(order):
            shapley[:, player] += score(frozenset(order[: place + 1])) - score(frozenset(order[:place]))
    everybody = frozenset(range(6))
    lost = torch.stack([score(everybody) - score(everybody - {k}) for k in range(6)], 1)
    maps = Explainer(model, layer="1", utility="logit").compare(images, ROWS, target=1)
    for method, weights in {"channelshapley": shapley / len(orders), "ablationcam": lost}.items():
        expected = torch.einsum("bkhw,bk->bhw", activation.double(), weights).float()
        torch.testing.assert_close(maps[method].values, expected, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(maps["ablationcam"].values, maps["channelshapley"].values, rtol=1e-2)


def test_many_channels_behind_a_deep_head_are_sampled_and_say_so():
    torch.manual_seed(0)
    tail = (nn.Conv2d(12, 5, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    model, images = convolutional(*tail, channels=12), pictures(2)
    explainer = Explainer(model, layer="1", utility="logit")
    e = explainer.explain(images, "channelshapley", target=1, tolerance=0.05)
    game = explainer.game(images, target=1, players="channels")
    exact = values.exact(game).values  # of all 2^12 coalitions
    expected = torch.einsum("bkhw,bk->bhw", game.activation, exact.float())
    assert float((e.values - expected).norm() / expected.norm()) < 0.1
    assert all(notes[0].startswith("the channels' values are sampled: their standard error is ") for notes in e.notes)


# LIFT-CAM


@pytest.mark.parametrize("units", [nn.Tanh, nn.Sigmoid])
def test_liftcam_is_deeplift_where_one_layer_of_units_lies_behind_the_mean(units):
    model, images = pooled(nn.Linear(6, 7), units(), nn.Linear(7, 5)), pictures()
    means = model[:2](images).mean((2, 3)).detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum tells of its hooks
        weights = captum_attr.DeepLift(model[4:]).attribute(means, torch.zeros_like(means), target=2).detach()
    expected = torch.einsum("bkhw,bk->bhw", model[:2](images), weights).detach()
    e = Explainer(model, layer="1", utility="logit").explain(images, "liftcam", target=2)
    torch.testing.assert_close(e.values, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "utility", "is_noted"),
    [
        (pooled(nn.Linear(6, 5)), "logit", False),
        (pooled(nn.Linear(6, 5)), "rest", True),
        (pooled(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 5)), "logit", True),
        (deep(), "logit", True),
    ],
)
def test_liftcam_says_where_it_is_the_path_instead_of_deeplift(model, utility, is_noted):
    e = Explainer(model, layer="1", utility=utility).explain(pictures(), "liftcam", target=1)
    assert len(e.notes) == (3 if is_noted else 0)
    assert all("may differ from DeepLIFT's" in notes[0] for notes in e.notes)


# Ablation-CAM


def theirs(model, layer, images):
    with pytorch_grad_cam.AblationCAM(model, [model[layer]]) as cam:
        return torch.from_numpy(cam(images.clone(), [model_targets.ClassifierOutputTarget(1)] * len(images)))


@pytest.mark.parametrize("make", [lambda: pooled(nn.Linear(6, 5)), deep])
def test_pytorch_grad_cam_has_the_same_map_behind_a_relu(make):
    """Its minimum is zero there, so that it removes as the paper does; its score must be positive to be divided by."""
    model, images = make(), pictures()
    with torch.no_grad():
        model[-1].bias += 5
    ours = Explainer(model, layer="1", utility="logit").explain(images, "ablationcam", target=1)
    torch.testing.assert_close(ours.heatmap, theirs(model, 1, images), rtol=0, atol=1e-4)


def test_where_the_minimum_is_not_zero_ours_still_removes_to_zero():
    """pytorch-grad-cam puts the minimum less 10^7 there, which is another question."""
    model, images = pooled(nn.Linear(6, 5)), pictures()
    with torch.no_grad():
        model[-1].bias += 5
    model[1] = nn.Identity()
    activation = model[:2](images).detach()
    full = model(images)[:, 1].double()
    lost = torch.stack([full - scores_without(model, images, {k}, 1) for k in range(6)], 1).detach()
    expected = torch.einsum("bkhw,bk->bhw", activation, lost.float())
    ours = Explainer(model, layer="1", utility="logit").explain(images, "ablationcam", target=1)
    torch.testing.assert_close(ours.values, expected, rtol=1e-3, atol=1e-6)
    assert float((heatmap(expected, (SIZE, SIZE)) - theirs(model, 1, images)).abs().max()) > 0.1


def test_a_negative_score_does_not_turn_the_map():
    """Divided by the score, as in the paper, the map of a class with a negative score would be the opposite."""
    model, images = pooled(nn.Linear(6, 5)), pictures()
    explainer = Explainer(model, layer="1", utility="logit")
    before = explainer.explain(images, "ablationcam", target=1)
    with torch.no_grad():
        model[-1].bias -= 100
    after = explainer.explain(images, "ablationcam", target=1)
    assert bool((after.utility < 0).all())
    torch.testing.assert_close(after.heatmap, before.heatmap, rtol=0, atol=1e-2)


# The rows


def test_prefix_tokens_lose_the_channel_too():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    shape = {"img_size": SIZE, "patch_size": 8, "embed_dim": 6, "depth": 2, "num_heads": 2, "num_classes": 5}
    model, images = timm.models.VisionTransformer(**shape).eval(), pictures()
    layer = model.blocks[1].norm1
    tokens, scores = [], []
    keep = layer.register_forward_hook(lambda _m, _i, output: tokens.append(output.detach()))
    with torch.no_grad():
        full = model(images)[:, 1]
    keep.remove()
    for k in range(6):
        removed = torch.ones(6)
        removed[k] = 0
        handle = layer.register_forward_hook(lambda _m, _i, output, removed=removed: output * removed)
        with torch.no_grad():
            scores.append(model(images)[:, 1])
        handle.remove()
    lost = full[:, None] - torch.stack(scores, 1)
    positions = torch.einsum("bnk,bk->bn", tokens[0], lost)
    e = Explainer(model, layer="blocks.1.norm1", utility="logit").explain(images, "ablationcam", target=1)
    torch.testing.assert_close(e.values.flatten(1), positions[:, 1:], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(e.prefix, positions[:, 0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", ROWS)
def test_the_memory_that_the_user_gives_is_kept_to(method):
    model, images = deep(), pictures(1)
    little = Explainer(model, layer="1", memory=1).explain(images, method, target=1).values
    torch.testing.assert_close(little, Explainer(model, layer="1").explain(images, method, target=1).values)


def test_names_of_the_field_are_found():
    assert [method_of(name).name for name in ("Ablation-CAM", "LIFT_CAM", "Channel Shapley")] == ROWS
    assert all(METHODS[name].sets == ("field",) and not METHODS[name].in_units for name in ROWS)
