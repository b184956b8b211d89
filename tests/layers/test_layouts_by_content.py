"""Models that decide by an image's content where its places go have a layout for each image, proven of each."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shapleycam import Explainer
from shapleycam.errors import LayerError

LEFT_BRIGHT = torch.zeros(1, 1, 8, 12)
LEFT_BRIGHT[..., 1] = 1.0
AS_IT_IS, MIRRORED = LEFT_BRIGHT - 1, LEFT_BRIGHT + 1
"""By the sign of their mean."""


class Turning(nn.Module):
    """Mirrors the images whose mean is positive, and sums over a map of blocks of 4 x 4 pixels."""

    def __init__(self, mirror):
        super().__init__()
        self.mirror = mirror
        self.map = nn.Conv2d(1, 2, 4, stride=4)
        self.classes = nn.Linear(2, 3)

    def forward(self, images):
        return self.classes(F.relu(self.map(self.mirror(images))).mean((2, 3)))


def by_condition(images):
    return torch.stack([image.flip(-1) if image.mean() > 0 else image for image in images])


def by_list(images):
    return torch.stack([image.flip(-1) if image.flatten().tolist()[0] > 0 else image for image in images])


def by_number_of_places(images):
    return torch.stack([image.flip(-1) if len((image >= 1).nonzero()) else image for image in images])


def by_index(images):
    places = torch.arange(images.shape[-1])
    is_mirrored = images.mean((1, 2, 3)) > 0
    order = torch.where(is_mirrored[:, None], places.flip(0), places)
    return images.gather(-1, order[:, None, None].expand_as(images))


def by_grid(images):
    turned = torch.zeros(len(images), 2, 3)
    turned[:, 0, 0], turned[:, 1, 1] = torch.where(images.mean((1, 2, 3)) > 0, -1.0, 1.0), 1.0
    grid = F.affine_grid(turned, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


WAYS = [by_condition, by_list, by_number_of_places, by_index, by_grid]


@pytest.mark.parametrize("mirror", WAYS)
def test_an_image_that_is_mirrored_is_refused_behind_one_that_is_not(mirror):
    explainer = Explainer(Turning(mirror), layer="map")
    assert explainer.game(AS_IT_IS).layout.grid == (2, 3)
    with pytest.raises(LayerError, match="no grid of positions"):
        explainer.game(MIRRORED)
    assert explainer.game(AS_IT_IS).layout.grid == (2, 3)


@pytest.mark.parametrize("mirror", WAYS)
def test_it_is_refused_beside_one_that_is_not(mirror):
    with pytest.raises(LayerError, match="no grid of positions"):
        Explainer(Turning(mirror), layer="map").game(torch.cat([AS_IT_IS, MIRRORED]))


class Arranged(nn.Module):
    """Puts the columns of the images into the order that a further input says."""

    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(1, 2, 4, stride=4)
        self.classes = nn.Linear(2, 3)

    def forward(self, images, order):
        return self.classes(F.relu(self.map(images[..., order])).mean((2, 3)))


def test_an_order_that_a_further_input_says_is_proven_anew():
    places = torch.arange(12)
    explainer = Explainer(Arranged(), layer="map")
    assert explainer.game(AS_IT_IS, inputs={"order": places}).layout.grid == (2, 3)
    with pytest.raises(LayerError, match="columns do not follow each other"):
        explainer.game(AS_IT_IS, inputs={"order": places.flip(0)})


def test_what_does_not_look_at_the_content_is_proven_once(monkeypatch):
    from shapleycam.layers import layout_proofs

    proofs = []
    derive = layout_proofs._derive_layouts
    monkeypatch.setattr(
        layout_proofs, "_derive_layouts", lambda *arguments: (proofs.append(arguments), derive(*arguments))[1]
    )
    explainer = Explainer(Turning(nn.Identity()), layer="map")
    for _ in range(2):
        explainer.game(torch.cat([AS_IT_IS, MIRRORED]))
    assert len(proofs) == 1
