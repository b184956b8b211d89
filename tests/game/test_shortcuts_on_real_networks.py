"""Every shortcut against the head itself, on real architectures: coalitions of all sizes are worth the same.

Weights are random, with statistics of noise; the images are small, so that few players are left.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from helpers.masked_games import network, noise, random_coalitions
from shapleycam import Explainer
from shapleycam.utilities import resolve_utility


class Case(NamedTuple):
    shortcut: str
    network: str
    layer: str
    size: int
    """Of the image."""
    model_size: int = 224
    """Of the images that the model is made for, where it is made for some."""


CASES = [
    Case("summed", "torchvision:resnet50", "layer4", 96),
    Case("summed", "torchvision:squeezenet1_1", "features.12", 64),
    Case("summed", "torchvision:inception_v3", "Mixed_7c", 139),
    Case("summed", "torchvision:densenet121", "features", 96),
    Case("pooled", "torchvision:convnext_tiny", "features", 96),
    Case("pooled", "timm:poolformer_s12", "stages", 96),
    Case("pooled", "timm:hgnetv2_b0", "stages", 96),
    Case("averaged", "torchvision:mobilenet_v3_small", "features.11", 96),
    Case("averaged", "torchvision:resnet18", "layer4.1.bn2", 96),
    Case("averaged", "timm:vit_tiny_patch16_224", "norm", 64, 64),  # the class token, a sum of one
    Case("windowed", "torchvision:resnext50_32x4d", "layer4.1", 96),
    Case("windowed", "torchvision:squeezenet1_1", "features.11", 64),
    Case("windowed", "torchvision:googlenet", "inception5a", 96),
    Case("windowed", "torchvision:densenet121", "features.denseblock4.denselayer15", 96),
    Case("class_token", "timm:vit_tiny_patch16_224", "blocks.11.norm1", 64, 64),
    Case("class_token", "timm:deit_tiny_distilled_patch16_224", "blocks.11.norm1", 64, 64),
    Case("class_token", "timm:xcit_nano_12_p16_224", "cls_attn_blocks.1.norm1", 64, 64),
    Case("class_token", "timm:convit_tiny", "blocks.11.norm1", 64, 64),
    Case("class_token", "timm:vit_small_patch14_reg4_dinov2", "blocks.11.norm1", 56, 56),
]
UTILITIES = ("logit", "rest", "log_probability")
COALITIONS = 256
"""So many are asked for, for which every shortcut is worth its preparation."""
COMPARED = 64
"""So many of them are run by the head itself, beside those of one player and of all but one."""
WITH_MEAN = list({case.shortcut: case for case in reversed(CASES)}.values())
"""A network of each shortcut, on which absent places are the mean of reference images too."""
FIRST = torch.tensor([0])


def coalitions_of(players):
    """Random ones, each player alone, and all but one."""
    alone = torch.eye(players, dtype=torch.bool)
    return torch.cat([random_coalitions(COALITIONS, players), alone, ~alone])


def outputs_of(game, runner, coalitions):
    presence = game.players.presence(coalitions[None].float(), FIRST)
    with torch.no_grad():
        return torch.cat([runner.outputs(part, FIRST) for part in presence.split(64, 1)])


def name_of(case):
    return f"{case.network}-{case.layer}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_coalitions_are_worth_what_the_head_itself_gives(case):
    compare_with_head(case, "zero")


@pytest.mark.parametrize("case", WITH_MEAN, ids=name_of)
def test_so_they_are_where_absent_places_are_the_mean(case):
    compare_with_head(case, "mean")


def compare_with_head(case, removal):
    reference = {} if removal == "zero" else {"reference": noise(3, 3, case.size, case.size, seed=5)}
    model = network(case.network, case.model_size)
    explainer = Explainer(model, layer=case.layer, device="cpu", removal=removal, **reference)
    game = explainer.game(noise(1, 3, case.size, case.size), target=3, utility="logit")
    coalitions = coalitions_of(game.n_players)
    values = game.value(coalitions)[:, COALITIONS - COMPARED :]
    coalitions = coalitions[COALITIONS - COMPARED :]
    assert game.shortcut == case.shortcut
    by_shortcut = outputs_of(game, game._coalitions.runner_for(COALITIONS), coalitions)
    by_head = outputs_of(game, game._coalitions.general, coalitions)
    for name in UTILITIES:
        utility, samples = resolve_utility(name), torch.zeros(len(coalitions), dtype=torch.long)
        expected, worth = (utility(output, samples + 3, samples) for output in (by_head, by_shortcut))
        largest = float(expected.abs().max())
        torch.testing.assert_close(worth, expected, rtol=0, atol=1e-5 * largest)
        if name == "logit":  # of as many classes as there are the others hide what one is worth
            assert expected.std() > 1e-3 * largest
            torch.testing.assert_close(values[0], expected - game.empty, rtol=0, atol=1e-5 * largest)
