"""The game at the photograph is the same on a GPU as on the CPU: every removal, players, hierarchies, the ladder."""

from __future__ import annotations

import pytest
import timm
import torch

import shapleycam
from helpers.device_networks import make_images, relative_difference
from helpers.small_evaluations import SIDE, Tiny
from shapleycam import Explainer, values
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import InputQuestion, input_fidelity

AGREEMENT = 1e-3
"""‖difference‖ / ‖values‖ of estimates in float32 from the same coalitions."""
REMOVALS = ["zero", "mean", "blur", "impute", "samples"]
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def explainers(gpu, removal="blur", layer="input"):
    """One on the GPU, and one on the CPU in float64."""
    for device, dtype in ((gpu, torch.float32), ("cpu", torch.float64)):
        reference = {"reference": make_images(SIDE, 5).to(dtype)} if removal == "samples" else {}
        yield Explainer(Tiny().to(device, dtype), layer, removal=removal, **reference)


def images_of(explainer, count=2):
    return make_images(SIDE, count).to(next(explainer.model.parameters()).dtype)


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize(("method", "players"), [("exactshapley", (2, 2)), ("owen", (4, 4)), ("banzhaf", (2, 3))])
def test_values_of_regions(gpu, removal, method, players):
    on_gpu, on_cpu = (
        each.explain(images_of(each), method, target=3, players=players, tolerance=0.5)
        for each in explainers(gpu, removal)
    )
    assert on_gpu.values.device.type == gpu.type
    assert relative_difference(on_gpu.values, on_cpu.values) <= AGREEMENT
    torch.testing.assert_close(on_gpu.utility_removed.cpu().double(), on_cpu.utility_removed, rtol=1e-4, atol=1e-5)
    assert [region.centre for region in on_gpu.region_values()] == [region.centre for region in on_cpu.region_values()]


@pytest.mark.parametrize("players", ["superpixels:12", "masks", "labels"])
def test_players_of_any_shape(gpu, players):
    outline = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    outline[4:20, 6:30] = True
    labels = torch.arange(SIDE)[:, None].expand(SIDE, SIDE) // 12
    found = []
    for each in explainers(gpu):
        given = {"masks": shapleycam.players_from_masks([outline], ["box"]), "labels": labels}.get(players, players)
        explained = each.explain(images_of(each, 1), "sampledshapley", target=3, players=given, tolerance=0.5)
        found.append(explained)
    assert relative_difference(found[0].values, found[1].values) <= AGREEMENT
    assert relative_difference(found[0].stderr, found[1].stderr) <= 1e-2


def test_refined_hierarchies(gpu):
    results = []
    for each in explainers(gpu):
        game = each.game(images_of(each, 1), players=(4, 4), target=3)
        results.append(list(values.owen_refined(game, runs=600))[-1])
    assert relative_difference(results[0].values, results[1].values) <= AGREEMENT


def test_dropped_tokens(gpu):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=10).eval()
        torch.nn.init.normal_(model.head.weight, std=0.2)
    images = make_images(64)
    on_cpu = Explainer(model, "input", removal="drop").explain(images, "exactshapley", target=3, players=(2, 2))
    on_gpu = Explainer(model.to(gpu), "input", removal="drop").explain(images, "exactshapley", target=3, players=(2, 2))
    assert relative_difference(on_gpu.values, on_cpu.values) <= AGREEMENT


@pytest.mark.parametrize("measure", ["ladder", "fidelity"])
def test_distances_to_the_input(gpu, measure):
    question = InputQuestion(players=(2, 2), runs=200)
    found = []
    for each in explainers(gpu, "zero", "features"):
        if measure == "ladder":
            found.append(shapleycam.ladder(each, images_of(each), ["features"], ["hirescam"], question).distances)
        else:
            batch = batch_of(images_of(each), None, each.model)
            found.append(input_fidelity(each, [batch], (None,), ["hirescam"], question).distances)
    for on_gpu, on_cpu in zip(*found, strict=True):
        assert (on_gpu.layer, on_gpu.method) == (on_cpu.layer, on_cpu.method)
        assert on_gpu.pearson == pytest.approx(on_cpu.pearson, abs=1e-2)
