"""What docs/coming-from.md says of other libraries, on the versions that the tests run with."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models import DenseNet

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer

pytorch_grad_cam = LazyModule("pytorch_grad_cam")
model_targets = LazyModule("pytorch_grad_cam.utils.model_targets")
torchcam_methods = LazyModule("torchcam.methods")

pytestmark = pytest.mark.filterwarnings("ignore")


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# An in-place ReLU behind the layer


def vgg_like(*, inplace):
    """A convolution that an in-place ReLU follows, as VGG's last one."""
    torch.manual_seed(0)
    features = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace)]
    head = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 12), nn.ReLU(inplace), nn.Linear(12, 5)]
    return nn.Sequential(*features, *head).eval(), "2"


def densenet_like(*, inplace):
    """A norm that `forward` itself follows with F.relu(inplace=True), as torchvision's DenseNet."""
    torch.manual_seed(0)
    model = DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=5).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, -1, 1)
        if isinstance(module, nn.ReLU):
            module.inplace = inplace
    if not inplace:
        model.forward = lambda x: model.classifier(model.features(x).relu().mean((2, 3)))
    return model, "features.norm5"


NETWORKS = {"VGG-like": (vgg_like, 8), "DenseNet-like": (densenet_like, 32)}


def by_hand(make, images, utility):
    """GradCAM's and ShapleyCAM's values from plain autograd at the layer, of the network without in-place ReLUs."""
    model, layer = make(inplace=False)
    outputs = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _, __, output: outputs.append(output))
    output = model(images)
    hook.remove()
    score = output[:, 1] if utility == "logit" else output[:, 1] + output.log_softmax(1)[:, 1]
    (activation,) = outputs
    (gradient,) = torch.autograd.grad(score.sum(), activation, create_graph=True)
    (curved,) = torch.autograd.grad((gradient * activation.detach()).sum(), activation, allow_unused=True)
    curved = torch.zeros_like(gradient) if curved is None else curved
    weights = {"gradcam": gradient, "shapleycam": gradient - curved / 2}
    return {name: (weight.mean((2, 3), keepdim=True) * activation).sum(1).detach() for name, weight in weights.items()}


@pytest.mark.parametrize("utility", ["logit", "rest"])
@pytest.mark.parametrize("network", NETWORKS)
def test_an_in_place_relu_behind_the_layer_changes_no_map(network, utility):
    make, size = NETWORKS[network]
    images = noise(2, 3, size, size)
    expected = by_hand(make, images, utility)
    for inplace in (True, False):
        model, layer = make(inplace=inplace)
        comparison = Explainer(model, layer=layer, utility=utility).compare(images, list(expected), target=1)
        for name, values in expected.items():
            torch.testing.assert_close(comparison[name].values, values, rtol=1e-4, atol=1e-6)


def test_without_curvature_gradcam_and_shapleycam_are_one_map():
    """As the logit of a VGG behind its last convolution, which is linear wherever it has a second derivative."""
    model, layer = vgg_like(inplace=True)
    comparison = Explainer(model, layer=layer, utility="logit").compare(noise(2, 3, 8, 8), ["gradcam", "shapleycam"], 1)
    torch.testing.assert_close(comparison["gradcam"].heatmap, comparison["shapleycam"].heatmap, rtol=0, atol=1e-6)


@pytest.mark.parametrize("inplace", [True, False])
def test_pytorch_grad_cam_reads_what_the_relu_has_written(inplace):
    model, layer = vgg_like(inplace=inplace)
    images, targets = noise(2, 3, 8, 8), [model_targets.ClassifierOutputTarget(1)] * 2
    ours = Explainer(model, layer=layer, utility="logit").explain(images, "gradcam", target=1).heatmap
    with pytorch_grad_cam.GradCAM(model, [model[2]]) as cam:
        theirs = torch.from_numpy(cam(images, targets))
    assert bool((ours - theirs).abs().max() < 1e-5) is not inplace


# Volumes


def test_volumes_are_resized_trilinearly_and_there_by_a_cubic_zoom():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(1, 4, 3, 2, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    volumes = noise(1, 1, 8, 8, 8)
    explanation = Explainer(model, layer="0", utility="logit").explain(volumes, "gradcam", target=1)
    with pytorch_grad_cam.GradCAM(model, [model[0]]) as cam:
        theirs = torch.from_numpy(cam(volumes.clone(), [model_targets.ClassifierOutputTarget(1)]))
    positive = explanation.values.relu()
    scaled = (positive - positive.amin()) / (positive.amax() - positive.amin())
    linear = interpolate(scaled[None], size=(8, 8, 8), mode="trilinear")[0]
    linear = (linear - linear.amin()) / (linear.amax() - linear.amin())
    torch.testing.assert_close(explanation.heatmap, linear, rtol=0, atol=1e-5)
    assert (explanation.heatmap - theirs).abs().max() > 0.05


# torch-cam's GradCAM++ and XGradCAM, pytorch-grad-cam's ShapleyCAM


def test_torch_cams_gradcam_plus_plus_leaves_its_denominator_out():
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.Conv2d(5, 4, 3)]
    model = nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    images = noise(1, 3, 6, 6)
    with torchcam_methods.GradCAMpp(model, target_layer="1") as extractor:
        (theirs,) = extractor._get_weights(1, model(images))
    activation = model[:2](images).detach().requires_grad_()
    (g,) = torch.autograd.grad(model[2:](activation)[0, 1], activation)
    numerator = g**2 * g.relu()
    denominator = 2 * g**2 + (g**3 * activation).sum((2, 3), keepdim=True) + 1e-6
    torch.testing.assert_close(theirs, numerator.sum((2, 3)))
    assert ((theirs - (numerator / denominator).sum((2, 3))).abs() > 1e-3).all()


def test_xgradcam_of_vanishing_activations_is_what_the_constant_makes_it():
    """As of MobileNet-V2 without trained weights: channels sum to about the constants that are added to the sums."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, bias=False), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    model = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        model[0].weight.mul_(1e-8)
    images = noise(1, 3, 6, 6).double()
    with torchcam_methods.XGradCAM(model, target_layer="0") as extractor:
        [theirs] = extractor(1, model(images), normalized=False)
    ours = Explainer(model, layer="0", utility="logit").explain(images, "xgradcam", target=1).values.relu()
    activation = model[0](images).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model[1:](activation)[0, 1], activation)
    total, weighted = (each.sum((2, 3), keepdim=True) for each in (activation, activation * gradient))
    assert float(total.abs().max()) < 1e-6
    by_constant = [(activation * weighted / (total + constant)).sum(1).relu().detach() for constant in (1e-7, 1e-8)]
    torch.testing.assert_close(ours.double(), by_constant[0], rtol=1e-4, atol=1e-14)
    torch.testing.assert_close(theirs, by_constant[1], rtol=1e-4, atol=1e-14)
    assert (by_constant[0] - by_constant[1]).abs().max() > 0.01 * by_constant[1].max()


@pytest.mark.parametrize(
    ("make", "layer", "reshape", "error"),
    [
        pytest.param(
            lambda: timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2),
            lambda model: model.blocks[-1].norm1,
            lambda tokens: tokens[:, 1:].unflatten(1, (2, 2)).permute(0, 3, 1, 2),
            "detach",
            id="ViT",
        ),
        pytest.param(
            lambda: timm.create_model("swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1), num_heads=(3, 6)),
            lambda model: model.norm,
            lambda positions: positions.permute(0, 3, 1, 2),
            "could not be broadcast together",
            id="Swin",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pytorch_grad_cams_shapleycam_fails_on_transformers(make, layer, reshape, error):
    torch.manual_seed(0)
    model = make().eval()
    images = noise(1, 3, *model.patch_embed.img_size)
    cam = pytorch_grad_cam.ShapleyCAM(model, [layer(model)], reshape_transform=reshape)
    with pytest.raises((RuntimeError, ValueError), match=error), cam:
        cam(images, [model_targets.ClassifierOutputTarget(1)])
    name = next(name for name, module in model.named_modules() if module is layer(model))
    assert Explainer(model, layer=name).explain(images, "shapleycam", target=1).heatmap.isfinite().all()
