"""Preprocessing against timm's and torchvision's own transforms, and the crop's place in the photograph."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image, ImageDraw
from timm.data import create_transform, resolve_data_config
from torch import nn
from torchvision.transforms import InterpolationMode

from shapleycam.images import open_photograph
from shapleycam.models.network import preprocess_and_labels_of_timm, preprocess_and_labels_of_torchvision
from shapleycam.models.preprocess import Preprocess, to_pixels

HALF = (0.5, 0.5, 0.5)
USUAL = Preprocess(resize=256, crop=(224, 224), mean=HALF, std=HALF)
SQUASHED = Preprocess(resize=(240, 240), crop=(224, 224), mean=HALF, std=HALF)
WHOLE = Preprocess(resize=(224, 224), crop=(224, 224), mean=HALF, std=HALF)


@pytest.fixture(scope="module")
def real_photos(data):
    """Of different shapes: the first landscape, portrait and square ones of the sample."""
    by_shape = {}
    for path in sorted(data.glob("imagenet-sample/*/*.JPEG")):
        photo = open_photograph(path)
        by_shape.setdefault((photo.width > photo.height) - (photo.width < photo.height), photo)
        if len(by_shape) == 3:
            break
    assert len(by_shape) == 3
    return list(by_shape.values())


def timm_model(name: str, **changes: object) -> nn.Module:
    """Return an object with the preprocessing of a timm model, without its weights."""
    model = nn.Identity()
    model.pretrained_cfg = timm.get_pretrained_cfg(name).to_dict() | changes
    return model


TIMM = {
    "centre, bicubic": timm_model("tf_efficientnet_lite0"),
    "centre, bilinear": timm_model("resnet18.tv_in1k"),
    "centre, the whole": timm_model("resnet18", crop_pct=1.0),
    "squash, the whole": timm_model("eva02_tiny_patch14_336.mim_in22k_ft_in1k"),
    "squash, cropped": timm_model("resnet18", crop_mode="squash", crop_pct=0.875),
    "border": timm_model("resnet18", crop_mode="border"),
    "not square": timm_model("resnet18", input_size=(3, 160, 224)),
}


@pytest.mark.parametrize("kind", TIMM)
def test_gives_the_very_tensor_that_timm_gives(kind, real_photos):
    preprocess, _ = preprocess_and_labels_of_timm(TIMM[kind])
    theirs = create_transform(**resolve_data_config({}, model=TIMM[kind]))
    for photo in real_photos:
        assert torch.equal(preprocess(photo), theirs(photo))


@pytest.mark.parametrize("kind", ["centre, bicubic", "centre, bilinear", "squash, the whole", "squash, cropped"])
def test_timm_preprocessing_knows_the_place_of_the_crop(kind):
    assert isinstance(preprocess_and_labels_of_timm(TIMM[kind])[0], Preprocess)


def distinct_presets() -> dict[str, object]:
    """One weights entry for each preprocessing that torchvision's classifiers declare."""
    weights_by_preset = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        weights = torchvision.models.get_model_weights(name).DEFAULT
        weights_by_preset.setdefault(repr(weights.transforms()), weights)
    return {str(weights): weights for weights in weights_by_preset.values()}


PRESETS = distinct_presets()


@pytest.mark.parametrize("name", PRESETS)
def test_gives_the_very_tensor_that_torchvision_gives(name, real_photos):
    preprocess, _ = preprocess_and_labels_of_torchvision(PRESETS[name])
    theirs = PRESETS[name].transforms()
    for photo in real_photos:
        assert torch.equal(preprocess(photo), theirs(photo))


SIZES = [(500, 375), (375, 500), (640, 640), (1333, 301), (301, 1333), (60, 45), (255, 257), (224, 224)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preprocess", [USUAL, SQUASHED, WHOLE], ids=["centre", "squash", "whole"])
def test_a_mark_in_the_photograph_arrives_where_the_box_says(preprocess, size):
    left, top, right, bottom = preprocess.box(size)
    width, height = right - left, bottom - top
    across, down = (0.2, 0.55), (0.4, 0.9)  # of the box
    photo = Image.new("RGB", size, "black")
    mark_in_photo = [round(left + s * width) for s in across], [round(top + s * height) for s in down]
    (x0, x1), (y0, y1) = mark_in_photo
    ImageDraw.Draw(photo).rectangle((x0, y0, x1 - 1, y1 - 1), fill="white")

    bright = preprocess.picture(preprocess(photo))[..., 0] > 127

    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    sides = [float(v) for v in (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)]
    crop_height, crop_width = preprocess.crop
    expected = [(x - left) / width * crop_width for x in (x0, x1)]
    expected += [(y - top) / height * crop_height for y in (y0, y1)]
    assert max(abs(f - e) for f, e in zip(sides, expected, strict=True)) <= 1


def test_the_box_of_the_centre_crop_is_that_of_the_resized_photograph():
    left, top, right, bottom = USUAL.box((400, 300))  # resized to 341 x 256, of which 58 to 282 and 16 to 240 remain
    assert (left, right) == pytest.approx((58 * 400 / 341, 282 * 400 / 341))
    assert (top, bottom) == pytest.approx((18.75, 281.25))


def test_the_box_of_a_squashed_photograph_is_in_its_own_proportions():
    assert SQUASHED.box((480, 240)) == (16, 8, 464, 232)
    assert WHOLE.box((480, 240)) == (0, 0, 480, 240)


@pytest.mark.parametrize(("resize", "margin"), [(220, 2), (221, 1), (223, 0)])
def test_the_box_of_a_photograph_smaller_than_the_crop_reaches_outside_it(resize, margin):
    padded = Preprocess(resize=resize, crop=(224, 224), mean=HALF, std=HALF)
    white = Image.new("RGB", (resize, resize), "white")
    left, top, right, bottom = padded.box(white.size)
    picture = padded.picture(padded(white))[..., 0]
    assert (left, top) == (-margin, -margin)
    assert int((picture[112] > 127).nonzero().min()) == margin  # where the photograph begins in the crop
    assert (right, bottom) == (224 - margin, 224 - margin)


@pytest.fixture
def half_a_gigabyte():
    """Limit this process to 512 MiB more than it has, so that more is a MemoryError."""
    resource, psutil = pytest.importorskip("resource"), pytest.importorskip("psutil")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**29, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("half_a_gigabyte")
@pytest.mark.parametrize("preprocess", [USUAL, SQUASHED], ids=["centre", "squash"])
@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
def test_a_line_of_pixels_costs_little_memory(preprocess, size):
    image = preprocess(Image.new("RGB", size, "orange"))
    assert image.shape == (3, 224, 224)
    assert torch.isfinite(image).all()


@pytest.mark.parametrize("size", [(2, 60_000), (60_001, 2)])
def test_of_a_very_long_photograph_the_middle_is_kept(size):
    begin = max(size) // 2  # of the white half
    upright = size[1] > size[0]
    photo = Image.new("RGB", size, "black")
    photo.paste("white", (0, begin, *size) if upright else (begin, 0, *size))
    picture = USUAL.picture(USUAL(photo))[..., 0] > 127
    edge = int((picture[:, 112] if upright else picture[112]).nonzero().min())
    assert edge == pytest.approx(112 + (begin - max(size) / 2) * 128, abs=2)  # 2 pixels become 256


@pytest.mark.parametrize(("mean", "std"), [(HALF, HALF), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
def test_the_picture_is_the_photograph_to_within_one_level(mean, std):
    levels = torch.randint(0, 256, (32, 48, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    preprocess = Preprocess(resize=(32, 48), crop=(32, 48), mean=mean, std=std)
    picture = preprocess.picture(preprocess(Image.fromarray(levels.numpy())))
    assert picture.dtype == torch.uint8
    assert int((picture.int() - levels.int()).abs().max()) <= 1


def test_pixels_outside_the_range_are_cut_and_not_wrapped():
    pixels = to_pixels(torch.tensor([-0.5, 0.0, 1.0, 1.5]).view(1, 2, 2).expand(3, -1, -1))
    assert pixels[..., 0].tolist() == [[0, 0], [255, 255]]


def test_resizes_by_the_interpolation_that_it_names():
    photo = Image.fromarray((torch.arange(64).view(8, 8) % 7 * 40).to(torch.uint8).numpy()).convert("RGB")
    by_mode = {
        mode: Preprocess(5, (5, 5), HALF, HALF, mode)(photo)
        for mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    }
    for mode, image in by_mode.items():
        by_pillow = photo.resize((5, 5), getattr(Image.Resampling, mode.name))
        levels = torch.from_numpy(np.array(by_pillow)).permute(2, 0, 1)
        assert torch.allclose(image, levels / 127.5 - 1, atol=1e-6)
