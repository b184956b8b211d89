"""`shapleycam.compat.grad_cam` beside pytorch-grad-cam: the same maps, in float64.

Every method is put beside the peer's on two networks, of channels and of tokens, and a few methods on all six.

In float32 maps of a network without trained weights may differ where a ReLU's input is zero up to rounding.
"""

from __future__ import annotations

import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms.functional import normalize, resize, to_tensor

from helpers.lazy_modules import LazyModule
from shapleycam.cams.heatmaps import heatmap
from shapleycam.compat import grad_cam
from shapleycam.compat.grad_cam.utils import model_targets
from shapleycam.explaining.explainer import Explainer

peer = LazyModule("pytorch_grad_cam")
peer_targets = LazyModule("pytorch_grad_cam.utils.model_targets")

pytestmark = pytest.mark.filterwarnings("ignore")
SIGNLESS = ("EigenCAM", "EigenGradCAM", "KPCA_CAM")
"""Maps that the peer turns by the sign of LAPACK's vector."""
METHODS = (
    *("GradCAM", "HiResCAM", "GradCAMElementWise", "GradCAMPlusPlus", "XGradCAM", "LayerCAM", "ShapleyCAM"),
    *("SegEigenCAM", "FEM", *SIGNLESS),
)
TWO = ("resnet18", "vit_tiny")
ON_ALL = ("GradCAM", "GradCAMPlusPlus", "ShapleyCAM", "EigenCAM")
"""Of the activation and its gradient; of powers of it; of a second derivative; of the activation alone."""
OTHERS = ("mobilenet_v2", "vgg11", "swin_tiny", "default network")


def both(network, method, target="ClassifierOutputTarget", **options):
    """Return our map and theirs."""
    model, layer, reshape, images = network
    maps = []
    for library, targets in ((grad_cam, model_targets), (peer, peer_targets)):
        chosen = [getattr(targets, target)(number) for number in (3, 5)]
        with getattr(library, method)(model=model, target_layers=[layer], reshape_transform=reshape) as cam:
            maps.append(torch.from_numpy(cam(input_tensor=images.clone(), targets=chosen, **options)))
    return maps


def fails_there(network, method):
    """Whether the peer's ShapleyCAM fails, as it does on tokens (tests/test_peers.py)."""
    return method == "ShapleyCAM" and network[2] is not None


@pytest.mark.parametrize(
    ("network", "method"),
    [(name, method) for names, methods in ((TWO, METHODS), (OTHERS, ON_ALL)) for name in names for method in methods],
    indirect=["network"],
)
def test_the_same_map(network, method):
    if fails_there(network, method):
        pytest.skip("pytorch-grad-cam fails here")
    ours, theirs = both(network, method)
    assert ours.dtype == theirs.dtype
    if method not in SIGNLESS:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
        return
    model, layer, _, images = network
    name = getattr(grad_cam, method).method
    values = Explainer(model, layer=layer, utility="logit").explain(images, name, target=[3, 5]).values
    size = tuple(images.shape[2:])
    as_is, turned = ((heatmap(sign * values, size) - theirs).abs().amax((1, 2)) for sign in (1, -1))
    assert bool((torch.minimum(as_is, turned) < 1e-4).all())
    torch.testing.assert_close(ours, heatmap(values, size).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", ["resnet18", "swin_tiny"], indirect=True)
def test_the_same_scorecam_but_for_the_corners(network, monkeypatch):
    """The peer lays the corners of a channel on those of the image; where it does not, the map is the same.

    Of ResNet-18 at a layer of few channels, since each is a pass of the network.
    """
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", lambda size: torch.nn.Upsample(size=size, mode="bilinear"))
    model, layer, reshape, images = network
    if reshape is None:
        layer, images = model.layer1[1], images[:, :, :32, :32]
    ours, theirs = both((model, layer, reshape, images), "ScoreCAM")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", TWO, indirect=True)
@pytest.mark.parametrize("target", ["ClassifierOutputSoftmaxTarget", "ClassifierOutputReST"])
def test_the_same_map_of_another_target(network, target):
    torch.testing.assert_close(*both(network, "HiResCAM", target), rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", TWO, indirect=True)
@pytest.mark.parametrize("method", ["GradCAM", "FEM"])
def test_the_same_augmented_map(network, method):
    torch.testing.assert_close(*both(network, method, aug_smooth=True), rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", TWO, indirect=True)
@pytest.mark.parametrize("method", ["GradCAM", "LayerCAM", "HiResCAM", "FEM"])
def test_the_same_eigen_smoothed_map_or_its_negative(network, method):
    model, layer, _, images = network
    ours, theirs = both(network, method, eigen_smooth=True)
    smooth = None if method == "FEM" else "eigen"  # the peer's FEM takes no notice of it
    values = Explainer(model, layer=layer, utility="logit").explain(
        images, getattr(grad_cam, method).method, target=[3, 5], smooth=smooth
    )
    size = tuple(images.shape[2:])
    torch.testing.assert_close(ours, values.heatmap.float(), rtol=0, atol=1e-5)
    as_is, turned = ((heatmap(sign * values.values, size) - theirs).abs().amax((1, 2)) for sign in (1, -1))
    assert bool((torch.minimum(as_is, turned) < 1e-4).all())


@pytest.mark.parametrize("network", TWO, indirect=True)
def test_the_largest_output_where_there_are_no_targets(network):
    model, layer, reshape, images = network
    with grad_cam.GradCAM(model, [layer], reshape) as cam:
        ours = cam(images)
        assert torch.equal(cam.outputs, Explainer(model, layer=layer).output(images))
    with peer.GradCAM(model, [layer], reshape) as cam:
        theirs = cam(images, None)
    torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def resnet(photos):
    torch.manual_seed(0)
    model = torchvision.models.resnet18().double().eval()
    images = [normalize(to_tensor(resize(Image.open(path), [64, 64])), [0.5] * 3, [0.5] * 3) for path in photos[:2]]
    return model, torch.stack(images).double()


def test_several_layers_are_averaged(resnet):
    model, images = resnet
    layers, targets = [model.layer3[-1], model.layer4[-1]], [model_targets.ClassifierOutputTarget(3)] * 2
    ours, theirs = (
        torch.from_numpy(library.LayerCAM(model, layers)(images.clone(), targets, aug_smooth=True))
        for library in (grad_cam, peer)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_a_target_of_the_users_own(resnet):
    """Here of two classes and the whole output, by a closure."""
    model, images = resnet
    other = model(images)[0].detach()
    targets = [lambda output: output[7] - output[8].exp(), lambda output: torch.cosine_similarity(output, other, dim=0)]
    ours, theirs = (
        torch.from_numpy(library.HiResCAM(model, [model.layer4[-1]])(images.clone(), targets))
        for library in (grad_cam, peer)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_refinecam_is_the_product(resnet):
    model, images = resnet
    layers, targets = [model.layer3[-1], model.layer4[-1]], [model_targets.ClassifierOutputTarget(3)] * 2
    ours, theirs = (
        torch.from_numpy(library.RefineCAM(model, layers, base_method=library.LayerCAM)(images.clone(), targets))
        for library in (grad_cam, peer)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"alpha": 0.5, "comparison_categories": [1, 4]}, {"target_idx": 11}], ids=str)
def test_finercam(resnet, options):
    model, images = resnet
    maps = []
    for library in (grad_cam, peer):
        with library.FinerCAM(model, [model.layer4[-1]]) as cam:
            maps.append(torch.from_numpy(cam(images.clone(), None, **options)))
    torch.testing.assert_close(*maps, rtol=0, atol=1e-4)
