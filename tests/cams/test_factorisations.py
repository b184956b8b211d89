"""Methods of a factorisation of the activation: against pytorch-grad-cam, numpy and scikit-learn; their signs."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torchvision.transforms.functional import normalize, to_tensor

from helpers.lazy_modules import LazyModule
from helpers.networks import linear
from shapleycam import METHODS, Explainer
from shapleycam.cams import components
from shapleycam.cams.heatmaps import heatmap
from shapleycam.explanations.summary import summarise_image

pytorch_grad_cam = LazyModule("pytorch_grad_cam")
model_targets = LazyModule("pytorch_grad_cam.utils.model_targets")
decomposition = LazyModule("sklearn.decomposition")

pytestmark = pytest.mark.filterwarnings("ignore")

THEIRS = {
    "eigencam": "EigenCAM",
    "eigengradcam": "EigenGradCAM",
    "kpcacam": "KPCA_CAM",
    "segeigencam": "SegEigenCAM",
    "fem": "FEM",
}
NETWORKS = {
    "resnet18": (torchvision.models.resnet18, "layer4.1", None),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, "features.17", None),
    "vit_tiny": (
        lambda: timm.create_model("vit_tiny_patch16_224", depth=3),
        "blocks.2.norm1",
        lambda tokens: tokens[:, 1:].unflatten(1, (14, 14)).permute(0, 3, 1, 2),
    ),
}


@pytest.fixture(scope="module")
def images(photos):
    return torch.stack([normalize(to_tensor(Image.open(path)), [0.5] * 3, [0.5] * 3) for path in photos[:2]])


@pytest.fixture(scope="module", params=NETWORKS)
def compared(request, images):
    """Ours of a network, and a function that makes theirs."""
    torch.manual_seed(0)
    make, layer, reshape = NETWORKS[request.param]
    model = make().eval()
    ours = Explainer(model, layer=layer, utility="logit").compare(images, list(THEIRS), target=1)

    def theirs(method):
        with getattr(pytorch_grad_cam, THEIRS[method])(
            model, [model.get_submodule(layer)], reshape_transform=reshape
        ) as cam:
            return torch.from_numpy(cam(images.clone(), [model_targets.ClassifierOutputTarget(1)] * len(images)))

    return ours, theirs


@pytest.mark.parametrize("method", THEIRS)
def test_pytorch_grad_cam_finds_the_same_map_or_its_negative(compared, images, method):
    """Its sign is that of LAPACK's vector, but for FEM, which has none, and Seg-Eigen-CAM, whose rule is the same."""
    ours, theirs = compared
    e, expected = ours[method], theirs(method)
    # Theirs adds 1e-7 to the range that it divides by, and an untrained network's values are some 1e-11; a blank map
    # stays blank.
    expected = expected / expected.amax((1, 2), keepdim=True).clamp(min=0.5)
    size = tuple(images.shape[2:])
    as_is, turned = ((heatmap(sign * e.values, size) - expected).abs().amax((1, 2)) for sign in (1, -1))
    difference = as_is if method in {"fem", "segeigencam"} else torch.minimum(as_is, turned)
    assert bool((difference < 1e-4).all()), (method, as_is, turned)


def test_one_that_does_not_look_at_the_class_has_one_map(images):
    torch.manual_seed(0)
    explainer = Explainer(torchvision.models.mobilenet_v2(), layer="features.17", utility="logit")
    first, second = (explainer.compare(images, list(THEIRS), target=c) for c in (1, 2))
    for name in THEIRS:
        assert torch.equal(first[name].values, second[name].values) == METHODS[name].basis.is_class_blind, name
    summary = summarise_image([first], 0, "mobilenet")
    assert summary.as_data()["class_blind"] == ["eigencam", "kpcacam", "fem"]
    assert summary.lines()["class-blind"] == "eigencam, kpcacam, fem: the same map for any class or question"
    assert "class-blind" not in summarise_image([{"gradcam": first["eigengradcam"]}], 0, "mobilenet").lines()


# By other implementations


@pytest.fixture(params=[(5, 12), (40, 6), (30, 30)], ids=str)
def matrix(request):
    n, k = request.param
    return torch.randn(2, n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def ones(matrix):
    return torch.ones_like(matrix)


def test_the_first_component_is_numpys_on_the_side_of_the_sum(matrix):
    actual = components.first_component(matrix, ones(matrix), matrix)
    for rows, projection in zip(matrix.numpy(), actual.numpy(), strict=True):
        centred = rows - rows.mean(0)
        theirs = centred @ np.linalg.svd(centred)[2][0]
        theirs *= np.sign(theirs @ rows.sum(1))
        np.testing.assert_allclose(projection, theirs, atol=1e-8)


def test_the_kernel_component_is_scikit_learns(matrix):
    actual = components.kernel_component(matrix, ones(matrix), matrix)
    for rows, projection in zip(matrix.numpy(), actual.numpy(), strict=True):
        theirs = decomposition.KernelPCA(1, kernel="sigmoid", eigen_solver="dense").fit_transform(rows - rows.mean(0))
        np.testing.assert_allclose(projection, theirs[:, 0] * np.sign(theirs[:, 0] @ rows.sum(1)), atol=1e-7)


@pytest.mark.parametrize("function", [components.first_component, components.kernel_component])
def test_large_matrices_go_another_way_to_the_same_map(function, monkeypatch):
    matrix = torch.randn(2, 40, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).cumsum(1)
    matrix[1] = 0
    expected = function(matrix, ones(matrix), matrix)
    monkeypatch.setattr(components, "_DENSE", 8)
    torch.testing.assert_close(function(matrix, ones(matrix), matrix), expected, atol=1e-8, rtol=0)
    assert torch.equal(function(matrix, ones(matrix), matrix), function(matrix, ones(matrix), matrix))


# By pencil


def test_large_activations_by_pencil():
    """Of ten positions one is 10 and the others 0: 10 is above 1 + 2·3. A channel that is constant has weight 0."""
    activation = torch.zeros(1, 10, 2)
    activation[0, 3, 0] = 10
    activation[0, :, 1] = 4
    expected = torch.zeros(1, 10)
    expected[0, 3] = 10 / 10
    torch.testing.assert_close(components.large_activations(activation, ones(activation), activation), expected)


def test_eigencam_is_bright_where_the_activation_is_large_and_eigengradcam_where_it_speaks_for_the_class():
    """Three cells have content, which speaks against the class; Seg-Eigen-CAM is bright where least cells are."""
    image = torch.zeros(1, 2, 2, 3)
    image[:, :, 0] = 1
    image[:, :, 0, 0] = 3
    model = linear(-torch.ones(1, 2, 2, 3))
    maps = Explainer(model, layer="features", utility="logit").compare(image, list(THEIRS), target=0)
    assert maps["eigencam"].values[0].argmax() == 0
    assert maps["eigengradcam"].values[0].argmin() == 0
    assert maps["segeigencam"].values[0].argmax() == 0
    torch.testing.assert_close(maps["eigencam"].values, -maps["eigengradcam"].values)


@pytest.mark.parametrize("method", THEIRS)
def test_content_that_is_everywhere_the_same_has_a_blank_map(method):
    model = linear(torch.ones(1, 2, 2, 3))
    e = Explainer(model, layer="features", utility="logit").explain(torch.ones(1, 2, 2, 3), method, target=0)
    assert not e.heatmap.any()
    torch.testing.assert_close(e.values, torch.zeros(1, 2, 3), atol=1e-6, rtol=0)


def test_prefix_tokens_are_no_part_of_a_factorisation(images):
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", depth=2)
    explainer = Explainer(model, layer="blocks.1.norm1")
    e, game = explainer.explain(images[:1], "eigencam"), explainer.game(images[:1])
    assert e.prefix.tolist() == [0]
    patches = game.activation[:, 1:]
    expected = components.first_component(patches, ones(patches), patches)
    torch.testing.assert_close(e.values.flatten(1), expected, rtol=1e-4, atol=1e-5)
