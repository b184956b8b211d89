"""Where detectors see the whole photograph, outlined objects are where the network's input has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from shapleycam import players_from_masks
from shapleycam.models.detectors.letterbox import Letterbox
from shapleycam.models.detectors.torchvision_preprocess import TorchvisionDetection


def of_torchvision(**options):
    return TorchvisionDetection.of(GeneralizedRCNNTransform(96, 160, [0.0] * 3, [1.0] * 3, **options))


@pytest.mark.parametrize("size", [(200, 100), (90, 240), (64, 64)])
@pytest.mark.parametrize(
    "preprocess",
    [Letterbox.square(128), of_torchvision(), of_torchvision(fixed_size=(128, 96))],
    ids=["yolo", "rcnn", "fixed"],
)
def test_an_object_is_where_the_preprocessed_photograph_has_its_colour(preprocess, size):
    """A red object: half of the red of its edge is the edge, to a pixel of the input."""
    width, height = size
    mask = np.zeros((height, width), dtype=bool)
    mask[height // 2 :, width // 4 : width // 2] = True
    red = np.zeros((height, width, 3), dtype=np.uint8)
    red[mask, 0] = 255
    image = preprocess(Image.fromarray(red))
    is_red = (image[0] - image[1]) > 0.5
    labels = players_from_masks([mask], preprocess=preprocess).labels
    assert labels.shape == is_red.shape
    differs = labels.bool() != is_red
    edge = (
        torch.nn.functional.max_pool2d(is_red[None].float(), 3, 1, 1)[0]
        != -torch.nn.functional.max_pool2d(-is_red[None].float(), 3, 1, 1)[0]
    )
    assert not bool((differs & ~edge).any())
    assert bool(is_red.any())
