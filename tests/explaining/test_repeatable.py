"""A preprocessing for training draws a crop, a flip or a colour: it is refused; one that only could draw is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

import shapleycam
from helpers.small_evaluations import QUICK, folder_of, run_evaluation, tiny_network
from shapleycam.errors import ImageError, OptionError

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")  # nothing is about the maps
GENERATOR = np.random.default_rng(0)
SQUARE = transforms.Resize((32, 32))


def own_noise(photo):
    """Noise of a generator that is not one of the process, as albumentations has."""
    return torch.from_numpy(GENERATOR.random((3, 32, 32), dtype=np.float32))


def photo():
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8))


def explain(preprocess):
    model = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return shapleycam.Explainer(model, "1", preprocess=preprocess).explain(photo(), "hirescam", 0).values


@pytest.mark.parametrize(
    "preprocess",
    [
        transforms.Compose([transforms.RandomResizedCrop(32, scale=(0.1, 0.5)), transforms.ToTensor()]),
        transforms.Compose([SQUARE, transforms.RandomHorizontalFlip(), transforms.ToTensor()]),
        transforms.Compose([SQUARE, transforms.ColorJitter(0.5), transforms.ToTensor()]),
        own_noise,
    ],
)
def test_a_transform_for_training_is_refused(preprocess):
    with pytest.raises(OptionError, match=r"preprocess= gives another image each time .* that the model is tested"):
        explain(preprocess)


def test_a_transform_that_draws_and_gives_the_same_is_taken():
    always = transforms.Compose([SQUARE, transforms.RandomHorizontalFlip(1.0), transforms.ToTensor()])
    by_hand = transforms.Compose([SQUARE, transforms.functional.hflip, transforms.ToTensor()])
    torch.manual_seed(0)
    first = explain(always)
    torch.manual_seed(0)
    assert torch.equal(first, explain(by_hand))


def test_a_transform_is_tried_out_once_and_may_write_into_the_photograph():
    calls = []

    def darken(image):
        calls.append(image.size)
        image.paste((0, 0, 0), (0, 0, 30, 40))
        return transforms.functional.to_tensor(SQUARE(image))

    model = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    explainer = shapleycam.Explainer(model, "0", preprocess=darken)
    explainer.explain(photo(), "hirescam", 0)
    assert len(calls) == 3
    explainer.explain(photo(), "hirescam", 0)
    assert len(calls) == 4


def test_a_run_with_one_is_refused_whole(tmp_path):
    network = tiny_network(preprocess=transforms.Compose([transforms.RandomCrop(32), transforms.ToTensor()]))
    with pytest.raises(ImageError, match="preprocess= gives another image each time"):
        run_evaluation(folder_of(tmp_path / "shots", 2), tmp_path / "run", network, QUICK)
