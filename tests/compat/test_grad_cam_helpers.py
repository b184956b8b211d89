"""Helpers and metrics of `shapleycam.compat.grad_cam` beside pytorch-grad-cam's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam.compat.grad_cam import LayerCAM
from shapleycam.compat.grad_cam.metrics import arcc, cam_mult_image, road
from shapleycam.compat.grad_cam.utils import find_layers, image, model_targets, reshape_transforms, svd_on_activations
from shapleycam.errors import ShapleyCamError

peer = LazyModule("pytorch_grad_cam")
peer_arcc, peer_cam_mult_image = (
    LazyModule("pytorch_grad_cam.metrics.arcc"),
    LazyModule("pytorch_grad_cam.metrics.cam_mult_image"),
)
peer_road = LazyModule("pytorch_grad_cam.metrics.road")
peer_image = LazyModule("pytorch_grad_cam.utils.image")
peer_targets = LazyModule("pytorch_grad_cam.utils.model_targets")
peer_reshape_transforms = LazyModule("pytorch_grad_cam.utils.reshape_transforms")
peer_find_layers = LazyModule("pytorch_grad_cam.utils.find_layers")
peer_svd = LazyModule("pytorch_grad_cam.utils.svd_on_activations")

pytestmark = pytest.mark.filterwarnings("ignore")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def test_images():
    picture = np.uint8(255 * drawn(5, 7, 3))
    for arguments in ((), ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])):
        ours, theirs = (library.preprocess_image(picture, *arguments) for library in (image, peer_image))
        torch.testing.assert_close(ours, theirs)
    np.testing.assert_array_equal(image.deprocess_image(drawn(5, 7)), peer_image.deprocess_image(drawn(5, 7)))
    maps = drawn(2, 4, 6) - 0.5
    for size in (None, (13, 9), (3, 2)):
        np.testing.assert_allclose(image.scale_cam_image(maps, size), peer_image.scale_cam_image(maps, size), atol=1e-5)
    several = drawn(2, 3, 4, 6)
    ours, theirs = (module.scale_accross_batch_and_channels(several, (8, 9)) for module in (image, peer_image))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("use_rgb", [True, False])
@pytest.mark.parametrize("colormap", image.COLORMAPS)
def test_a_map_over_an_image(use_rgb, colormap):
    """OpenCV rounds colours to one step of 255, and the picture is made brighter after that."""
    picture, heat = drawn(6, 5, 3), drawn(6, 5, seed=1)
    ours, theirs = (
        library.show_cam_on_image(picture, heat, use_rgb=use_rgb, colormap=colormap, image_weight=0.3)
        for library in (image, peer_image)
    )
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"img": 255 * drawn(2, 2, 3)}, "the image has numbers from .*; expected floats"),
        ({"img": drawn(2, 2, 3) - 0.5}, "the image has numbers from -0"),
        ({"img": drawn(2, 2, 3) * np.nan}, "the image has NaN or infinity"),
        ({"img": drawn(2, 2)}, "the image is an array .2, 2. of float32; expected an array"),
        ({"mask": 2 * drawn(2, 2)}, "the map is .* with numbers from .*; expected floats"),
        ({"mask": drawn(2, 2) - 0.5}, "the map is .* with numbers from -0"),
        ({"mask": drawn(2, 2) * np.nan}, "the map is .* with NaN or infinity"),
        ({"mask": np.uint8(255 * drawn(2, 2))}, "the map is an array .2, 2. of uint8 with numbers from"),
        ({"mask": drawn(1, 2, 2)}, "the map is an array .1, 2, 2. of float32; expected an array .2, 2., as the image"),
        ({"mask": torch.zeros(2, 2)}, "the map is a Tensor; expected an array"),
        ({"image_weight": "half"}, "image_weight=half"),
        ({"colormap": "jet"}, "colormap=jet; expected"),
        ({"image_weight": 2}, "image_weight=2"),
        ({"colormap": 12}, "colormap=12; expected"),
    ],
)
def test_what_cannot_be_shown(options, message):
    with pytest.raises(ShapleyCamError, match=message):
        image.show_cam_on_image(**{"img": drawn(2, 2, 3), "mask": drawn(2, 2), **options})


def test_images_that_are_none():
    for picture in (torch.zeros(4, 4, 3), drawn(4, 4), 255 * drawn(4, 4, 3), drawn(4, 4, 3).astype(int)):
        with pytest.raises(ShapleyCamError, match=r"^img is .*; expected"):
            image.preprocess_image(picture)
    for picture in (torch.zeros(4, 4), drawn(4, 4) * np.nan):
        with pytest.raises(ShapleyCamError, match=r"^img is .*; expected"):
            image.deprocess_image(picture)
    with pytest.raises(ShapleyCamError, match="there are no maps"):
        image.scale_cam_image([])


TARGETS = {
    "ClassifierOutputTarget": ((2,), (5,)),
    "ClassifierOutputSoftmaxTarget": ((2,), (5,)),
    "ClassifierOutputReST": ((2,), (5,)),
    "BinaryClassifierOutputTarget": ((1,), (1,)),
    "SoftmaxOutputTarget": ((), (5,)),
    "RawScoresOutputTarget": ((), (5,)),
    "FinerWeightedTarget": ((2, [0, 4], 0.5), (5,)),
    "SemanticSegmentationTarget": ((1, drawn(4, 6)), (3, 4, 6)),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(name):
    arguments, shape = TARGETS[name]
    output = torch.from_numpy(drawn(*shape)) - 0.5
    ours, theirs = (getattr(library, name)(*arguments)(output) for library in (model_targets, peer_targets))
    torch.testing.assert_close(ours, theirs)
    if len(shape) == 1:
        rows = torch.stack([output, 2 * output])
        ours, theirs = (getattr(library, name)(*arguments)(rows) for library in (model_targets, peer_targets))
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("labels", [[1, 2], [1, 3]])
@pytest.mark.parametrize("detections", [3, 0])
def test_the_target_of_boxes(labels, detections):
    corners = torch.tensor([[0.0, 0, 4, 4], [2.0, 2, 6, 8], [1.0, 0, 5, 4]])[:detections]
    output = {"boxes": corners, "labels": torch.tensor([1, 2, 1])[:detections], "scores": torch.rand(3)[:detections]}
    boxes = [np.array([0.0, 0, 4, 5]), np.array([2.0, 2, 6, 7])]
    ours, theirs = (
        library.FasterRCNNBoxScoreTarget(labels, boxes)(output) for library in (model_targets, peer_targets)
    )
    torch.testing.assert_close(ours, theirs)


def test_reshape_transforms():
    for name, tokens in (("vit_reshape_transform", 7), ("swinT_reshape_transform", 6)):
        tensor = torch.from_numpy(drawn(2, tokens, 4))
        ours, theirs = (
            getattr(library, name)(tensor, 2, 3) for library in (reshape_transforms, peer_reshape_transforms)
        )
        assert torch.equal(ours, theirs)


def test_found_layers():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True)), nn.Sequential())
    for library in (find_layers, peer_find_layers):
        assert library.find_layer_types_recursive(model, [nn.ReLU, nn.Conv2d]) == [model[0], *model[1]]
    ours, theirs = (
        library.find_layer_predicate_recursive(model, lambda module: not [*module.children()])
        for library in (find_layers, peer_find_layers)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    "name", ["get_2d_projection", "get_2d_projection_kernel", "get_2d_projection_with_sign_correction"]
)
def test_projections_or_their_negatives(name):
    activations = drawn(2, 6, 4, 3) - 0.5
    activations[0, 1, 2, 2] = np.nan
    before = activations.copy()
    ours, theirs = (getattr(library, name)(activations) for library in (svd_on_activations, peer_svd))
    np.testing.assert_array_equal(activations, before)
    for mine, other in zip(ours, theirs, strict=True):
        assert min(np.abs(mine - other).max(), np.abs(mine + other).max()) < 1e-4


@pytest.fixture(scope="module")
def measured():
    """A model, images, maps of them and targets."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)]
    model = nn.Sequential(*layers).eval()
    images = torch.from_numpy(drawn(3, 3, 16, 16)) - 0.5
    targets = [model_targets.ClassifierOutputSoftmaxTarget(number) for number in range(3)]
    maps = LayerCAM(model, [model[1]])(images, targets)
    maps[1] = np.where(maps[1] < np.percentile(maps[1], 15), 0, maps[1])  # ties, as a map's zeros are
    return images, maps, targets, model


@pytest.mark.parametrize("name", ["CamMultImageConfidenceChange", "DropInConfidence", "IncreaseInConfidence"])
def test_multiplied_by_the_map(measured, name):
    ours, theirs = (getattr(library, name)() for library in (cam_mult_image, peer_cam_mult_image))
    np.testing.assert_allclose(ours(*measured), theirs(*measured), atol=1e-6)
    if name == "CamMultImageConfidenceChange":
        visualised = (metric(*measured, return_visualization=True) for metric in (ours, theirs))
        for mine, other in zip(*visualised, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-6)
        np.testing.assert_allclose(ours(*measured, return_diff=False), theirs(*measured, return_diff=False), atol=1e-6)


ROAD = {
    "ROADMostRelevantFirst": (70,),
    "ROADLeastRelevantFirst": (30,),
    "ROADMostRelevantFirstAverage": ([40, 80],),
    "ROADLeastRelevantFirstAverage": ([40, 80],),
    "ROADCombined": ([40, 80],),
}


@pytest.mark.parametrize("name", ROAD)
def test_road_with_the_same_noise(measured, name):
    """Both draw it from PyTorch's own generator, in the same order."""
    scores = []
    for library in (road, peer_road):
        torch.manual_seed(3)
        scores.append(getattr(library, name)(*ROAD[name])(*measured))
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-5)
    assert np.abs(scores[0]).max() > 1e-4


def test_where_all_is_removed_the_image_is_its_mean_colour():
    """A map of zeros has its percentile at 0, and nothing below; pytorch-grad-cam then solves a singular system."""
    picture, heat = torch.from_numpy(drawn(3, 4, 4)), torch.zeros(4, 4)
    filled = road.RemoveMostRelevantFirst(70, road.NoisyLinearImputer(0))(picture, heat)
    torch.testing.assert_close(filled, picture.mean((1, 2), keepdim=True).expand(3, 4, 4))


def test_arcc(measured):
    images, maps, targets, model = measured
    scores = []
    for library, measure in ((LayerCAM, arcc), (peer.LayerCAM, peer_arcc)):
        torch.manual_seed(3)
        scores.append(measure.ARCC(library(model, [model[1]]))(images, maps, targets, model))
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-5)


def test_metrics_refuse_what_is_not_one_for_each_image(measured):
    images, maps, targets, model = measured
    with pytest.raises(ShapleyCamError, match="there are 3 images, 3 maps and 1 targets"):
        cam_mult_image.DropInConfidence()(images, maps, targets[:1], model)
    for percentile in ("auto", 200, -1, float("nan"), True):
        with pytest.raises(ShapleyCamError, match=r"percentile=.*; expected a number from 0 to 100"):
            road.ROADMostRelevantFirst(percentile)
    for percentiles in ([], 20):
        with pytest.raises(ShapleyCamError, match=r"percentiles=.*; expected at least one number"):
            road.ROADCombined(percentiles)
    nothing = np.full_like(maps, np.nan)
    for changed, message in (
        ((images[0], maps, targets, model), r"input_tensor has shape .*unsqueeze"),
        ((images, maps[:, 1:], targets, model), r"a map has shape .*of the images' size"),
        ((images, nothing, targets, model), "numbers that are not finite"),
        ((images, maps, None, model), "targets is a NoneType"),
        ((images, maps, [model_targets.ClassifierOutputTarget(99)] * 3, model), "raised IndexError"),
        ((images, maps, [lambda output: 3.0] * 3, model), "function returned float"),
    ):
        with pytest.raises(ShapleyCamError, match=message):
            road.ROADMostRelevantFirst()(*changed)


def test_metrics_are_of_the_model_in_eval_mode(measured):
    """Where pytorch-grad-cam's methods leave it; a script whose import line is changed does not say so."""
    images, maps, targets, model = measured
    dropping = nn.Sequential(copy.deepcopy(model), nn.BatchNorm1d(5, dtype=images.dtype), nn.Dropout(0.5))
    dropping.load_state_dict({**dropping.state_dict(), "1.running_mean": torch.arange(5) / 10})
    metric = cam_mult_image.CamMultImageConfidenceChange()
    expected = metric(images, maps, targets, dropping.eval())
    ours = metric(images, maps, targets, dropping.train())
    np.testing.assert_array_equal(ours, expected)
    assert dropping[2].training
    assert not dropping[1].num_batches_tracked
    halves = metric(images.bfloat16(), maps, targets, dropping.bfloat16())
    np.testing.assert_allclose(halves, expected, atol=0.1)
