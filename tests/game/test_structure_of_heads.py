"""Which shortcuts real heads allow, and that values by a shortcut are the model's own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from helpers.masked_games import (
    by_hand,
    game_of,
    network,
    noise,
    random_coalitions,
    relative_difference,
    values_without_shortcut,
)
from helpers.networks import Smooth
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.structure import Structure
from shapleycam.game.window import Window

BOTH, NEITHER = Structure(reads_mean=True, is_sum=True), Structure()
MEAN, SUM = Structure(reads_mean=True), Structure(is_sum=True)
AVERAGED = Structure(averages_positions=True)
WEIGHTED = Structure(averages_positions=True, is_affine=True)
CLASS_TOKEN = replace(WEIGHTED, reads_prefix_alone=True)
SWIN, VIT = "timm:swin_tiny_patch4_window7_224", "timm:vit_tiny_patch16_224"

# Model, image size, layer: what theory says of the head.
HEADS = {
    ("efficientnet_lite0", 224, "bn2"): BOTH,
    ("efficientnet_lite0", 224, "blocks.6"): SUM,  # convolution of size 1, batch norm and ReLU6 at each position
    ("efficientnet_lite0", 224, "blocks.5"): Structure(window=Window(49, 9, 9), is_affine=True),  # 3 x 3
    ("torchvision:resnet18", 96, "layer4"): BOTH,
    ("torchvision:resnet18", 96, "layer4.1.bn2"): WEIGHTED,  # the block's input is added at each position
    ("torchvision:resnet18", 96, "layer4.0"): Structure(window=Window(9, 9, 9), is_affine=True),  # the map is 3 x 3
    ("torchvision:resnet18", 224, "layer4.0"): NEITHER,  # two convolutions of 3 x 3, one after the other
    ("torchvision:resnet50", 96, "layer4"): BOTH,
    ("torchvision:mobilenet_v2", 96, "features"): BOTH,
    ("torchvision:mobilenet_v2", 96, "features.18.1"): SUM,  # ReLU6 at each position
    ("torchvision:mobilenet_v2", 96, "features.18.0"): SUM,
    ("torchvision:mobilenet_v2", 96, "features.17"): SUM,
    ("torchvision:densenet121", 96, "features"): SUM,  # ReLU, then the mean
    ("torchvision:densenet121", 96, "features.norm5"): SUM,
    ("torchvision:densenet121", 96, "features.denseblock4"): SUM,
    ("torchvision:convnext_tiny", 96, "features"): MEAN,  # the mean, then LayerNorm
    (
        "torchvision:mobilenet_v3_small",
        96,
        "features.12.1",
    ): AVERAGED,  # h-swish, mean, linear, h-swish
    ("torchvision:mobilenet_v3_small", 96, "features.11"): AVERAGED,
    ("torchvision:mobilenet_v3_small", 96, "features.10"): NEITHER,  # squeeze and excitation, 5 x 5 convolutions
    ("torchvision:swin_t", 64, "norm"): BOTH,
    (SWIN, 224, "layers.3"): SUM,  # LayerNorm at each position, then the mean
    (SWIN, 224, "norm"): BOTH,
    (VIT, 64, "blocks.11"): CLASS_TOKEN,  # what follows reads no patch
    (VIT, 64, "norm"): CLASS_TOKEN,
    ("torchvision:vgg11", 64, "features"): AVERAGED,  # pooled to 7 x 7, then flattened
    ("torchvision:vgg11", 64, "features.19"): Structure(window=Window(4, 4, 4)),  # behind a maximum of 2 x 2
    ("torchvision:densenet121", 96, "features.denseblock4.denselayer16"): WEIGHTED,  # beside constants
    ("torchvision:densenet121", 96, "features.denseblock4.denselayer15"): Structure(
        window=Window(9, 9, 9), is_affine=True
    ),  # beside what its windows become
}
LAYOUTS = {SWIN: "NHWC", "torchvision:swin_t": "NHWC", VIT: "tokens"}
SHORT = [head for head, structure in HEADS.items() if structure != NEITHER]


@pytest.fixture(scope="module")
def game(explainer):
    """The game of three images, made once for each head."""

    @cache
    def make_game(name, size, layer):
        model = explainer.model if name == explainer.name else network(name, size)
        return game_of(model, noise(3, 3, size, size), "rest", [3, 500, 801], layer)

    return make_game


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_the_structure_is_what_theory_says(game, head):
    assert game(*head).structure == HEADS[head]
    assert game(*head).layout.kind == LAYOUTS.get(head[0], "NCHW")


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_the_cheapest_way_is_taken(game, head):
    runners = {BOTH: SummedRunner, SUM: SummedRunner, MEAN: PooledRunner}
    runners |= {AVERAGED: AveragedRunner, WEIGHTED: AveragedRunner, CLASS_TOKEN: AveragedRunner}
    assert type(game(*head)._coalitions.runner) is runners.get(HEADS[head], GeneralRunner)


@pytest.mark.parametrize("head", SHORT, ids=str)
def test_shortcuts_give_the_models_own_values(game, head):
    game = game(*head)
    coalitions = random_coalitions(3, 8, game.n_players)
    expected = values_without_shortcut(game, coalitions)
    assert relative_difference(game.value(coalitions), expected, game) < 1e-5
    assert relative_difference(by_hand(game, coalitions[:, :2]), expected[:, :2], game) < 1e-5
    assert expected.std(1).min() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize("head", [head for head in SHORT if HEADS[head] == BOTH], ids=str)
def test_two_shortcuts_agree(game, head):
    game = game(*head)
    coalitions, images = random_coalitions(3, 8, game.n_players), torch.arange(3)
    evaluator = game._coalitions
    with torch.no_grad():
        runners = (evaluator.shortcut(PooledRunner), evaluator.shortcut(SummedRunner))
        pooled, summed = (evaluator.batches.utilities(runner, coalitions, images) for runner in runners)
    assert relative_difference(pooled, summed, game) < 1e-5


@pytest.mark.parametrize("utility", ["probability", "log_probability", "logit"])
@pytest.mark.parametrize("layer", ["bn2", "blocks.6"])
def test_shortcuts_give_every_utility(explainer, utility, layer):
    game = game_of(explainer.model, noise(2, 3, 224, 224), utility, None, layer)
    coalitions = random_coalitions(2, 10, game.n_players)
    assert game.structure.is_sum
    torch.testing.assert_close(game.value(coalitions), values_without_shortcut(game, coalitions), rtol=0, atol=1e-4)


@pytest.mark.parametrize("head", [(SWIN, 224, "layers.3"), ("torchvision:convnext_tiny", 96, "features")], ids=str)
def test_regions_take_the_shortcut_too(head):
    name, size, layer = head
    game = game_of(network(name, size), noise(2, 3, size, size), "rest", [3, 700], layer, players=(3, 2))
    coalitions = random_coalitions(2, 9, 6)
    assert game.structure == HEADS[head]
    assert relative_difference(game.value(coalitions), values_without_shortcut(game, coalitions), game) < 1e-5


def test_a_double_precision_head_has_its_structure_too():
    model = network("torchvision:mobilenet_v2", 96).double()
    try:
        game = game_of(model, noise(2, 3, 96, 96, dtype=torch.float64), "rest", [3, 700], "features.17")
        coalitions = random_coalitions(2, 9, 9)
        assert game.structure == SUM
        assert relative_difference(game.value(coalitions), values_without_shortcut(game, coalitions), game) < 1e-12
    finally:
        model.float()


def test_a_structure_is_found_once(monkeypatch):
    """After the first use, the head itself runs for the coalitions alone that are looked at again."""
    game = game_of(network("torchvision:resnet18", 96), noise(2, 3, 96, 96), "rest", [3, 700], "layer4")
    game.value(random_coalitions(4, 9))
    rows, head = [], game._trace.head

    def watched(activation, samples):
        rows.append(len(activation))
        return head(activation, samples)

    monkeypatch.setattr(game._trace, "head", watched)
    game.value(random_coalitions(200, 9))
    assert rows == [4]


def test_a_convolution_of_positions_is_no_sum():
    game = game_of(Smooth(), noise(2, 3, 8, 8, dtype=torch.float64), "rest", [0, 1])
    assert game.structure == Structure(window=Window(16, 9, 9), is_affine=True)
    coalitions = random_coalitions(2, 9, 16)
    assert relative_difference(game.value(coalitions), by_hand(game, coalitions), game) < 1e-12
