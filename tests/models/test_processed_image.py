"""What a user's preprocessing may return, and what is said of all else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import ImageError
from shapleycam.models.processed_image import processed_image
from shapleycam.models.transforms import as_transform

PHOTO = Image.fromarray((np.arange(6 * 8 * 3) % 256).astype("uint8").reshape(6, 8, 3))


def image_of(photo):
    return torch.from_numpy(np.asarray(photo).astype("float32") / 255).permute(2, 0, 1)


class Processor:
    """Has what marks an image processor of transformers, and settings that no `Preprocess` describes."""

    image_mean, image_std, do_resize, size, resample = 0.5, 0.5, True, {"height": 6, "width": 8}, 2
    do_normalize = True

    def __init__(self, result):
        self._result = result

    def __call__(self, photo, return_tensors):
        assert return_tensors == "pt"
        return self._result(image_of(photo))


RETURNED = {
    "tensor": lambda image: image,
    "batch of one": lambda image: image[None],
    "one tile of one": lambda image: image[None, None],
    "array": lambda image: image.numpy(),
    "list": lambda image: [image],
    "mapping": lambda image: {"pixel_values": image[None], "pixel_mask": torch.ones(1)},
    "mapping of a list of arrays": lambda image: {"pixel_values": [image.numpy()]},
}


@pytest.mark.parametrize("result", RETURNED.values(), ids=RETURNED)
@pytest.mark.parametrize("is_processor", [False, True])
def test_the_only_image_is_taken(result, is_processor):
    preprocess = as_transform(Processor(result)) if is_processor else lambda photo: result(image_of(photo))
    assert torch.equal(processed_image(preprocess, PHOTO), image_of(PHOTO))


REFUSED = {
    "whole numbers": (lambda image: (255 * image).byte(), "returned uint8 numbers; .* scale the pixels"),
    "pixels of an array": (lambda image: np.asarray(PHOTO), "returned uint8 numbers"),
    "truth values": (lambda image: image > 0.5, "returned bool numbers"),
    "complex": (lambda image: image.to(torch.complex64), "returned complex64 numbers"),
    "crops": (lambda image: torch.stack([image, image]), r"returned shape \(2, 3, 6, 8\); .* no tiles or crops of it"),
    "crops in a list": (lambda image: [image, image], "returned a list of 2"),
    "patches": (lambda image: {"pixel_values": image.flatten(1)}, r"returned shape \(3, 48\); .* no rows of patches"),
    "other keys": (lambda image: {"patches": image}, "returned a dict of 'patches', without 'pixel_values'"),
    "no keys": (lambda image: {}, "returned a dict of nothing, without 'pixel_values'"),
    "nothing": (lambda image: None, "returned NoneType"),
    "names": (lambda image: np.array(["a"]), "returned ndarray"),
    "no numbers": (lambda image: image.to("meta"), r"a tensor with no numbers \(device meta\)"),
    "sparse": (lambda image: image.to_sparse(), "a tensor with layout sparse_coo"),
    "an error": (
        lambda image: image.no_such,
        "raised AttributeError: 'Tensor' object has no attribute 'no_such', for a",
    ),
}


@pytest.mark.parametrize(("result", "message"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_one_line(result, message):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    explainer = Explainer(model, layer="0", preprocess=lambda photo: result(image_of(photo)))
    with pytest.raises(ImageError, match=message) as refused:
        explainer.explain(PHOTO, "gradcam")
    assert "\n" not in str(refused.value)


def test_a_function_of_other_arguments_is_one_line():
    with pytest.raises(
        ImageError, match=r"raised TypeError: .*missing 1 required positional argument.* of 8 x 6 pixels"
    ):
        processed_image(lambda text, photo: photo, PHOTO)


def test_memory_that_is_full_is_passed_on():
    def fill(photo):
        raise MemoryError

    with pytest.raises(MemoryError):
        processed_image(fill, PHOTO)
