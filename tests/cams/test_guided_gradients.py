"""Guided backpropagation and Guided GradCAM: against captum and pytorch-grad-cam, in every form that a ReLU has."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.lazy_modules import LazyModule
from helpers.narrow_networks import narrow_network
from helpers.user_models import pictures
from shapleycam import Explainer
from shapleycam.cams.guided_gradients import guided_gradient
from shapleycam.cams.pixel_cells import cell_sums
from shapleycam.errors import OptionError

attr = LazyModule("captum.attr")
peer = LazyModule("pytorch_grad_cam")

pytestmark = pytest.mark.filterwarnings("ignore")


class Activated(nn.Module):
    """A convolution, an activation function, another convolution and again, and a matrix."""

    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.body, self.fc = nn.Conv2d(3, 5, 3, stride=2), nn.Conv2d(5, 7, 3), nn.Linear(7, 4)
        self.activation = activation
        self.scale = nn.Parameter(torch.rand(5, 1, 1), requires_grad=False)

    def forward(self, x):
        return self.fc(self.activation(self.body(self.activation(self.stem(x)) * self.scale)).mean((2, 3)))


RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "relu": torch.relu,
    "method in place": lambda x: x.relu_(),
    "function in place": lambda x: F.relu(x, inplace=True),
    "clamp": lambda x: x.clamp(min=0),
    "clip": lambda x: torch.clip(x, 0, 1e9),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clamp by a tensor": lambda x: x.clamp(min=torch.zeros(x.shape[1], 1, 1)),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "hardtanh": lambda x: F.hardtanh(x, 0, 1e9),
    "relu6": F.relu6,  # no number comes to 6 here
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=False),
}


@pytest.mark.parametrize("relu", RELUS)
def test_all_forms_of_relu_are_guided_as_captum_guides_its_module(relu):
    images = pictures(3)
    expected = attr.GuidedBackprop(Activated(nn.ReLU()).eval()).attribute(images.clone(), target=2)
    game = Explainer(Activated(RELUS[relu]).eval(), layer="body", utility="logit").game(images, target=2)
    torch.testing.assert_close(guided_gradient(game), expected, rtol=1e-4, atol=1e-8)
    assert float(expected.abs().amax()) > 1e-4


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer3"), ("vgg11", "features.14")])
def test_networks_of_torchvision(name, layer):
    torch.manual_seed(0)
    model, images = narrow_network(f"torchvision:{name}").double().eval(), pictures(2, 40).double()
    game = Explainer(model, layer=layer, utility="logit").game(images, target=[1, 2])
    ours = guided_gradient(game)
    plain = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    for module in plain:
        module.inplace = False  # the peers replace the modules
    theirs = attr.GuidedBackprop(copy.deepcopy(model)).attribute(images.clone(), target=[1, 2])
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-12)
    of_first = peer.GuidedBackpropReLUModel(copy.deepcopy(model))(images[:1].clone(), 1)
    torch.testing.assert_close(ours[0], torch.from_numpy(of_first).permute(2, 0, 1), rtol=1e-6, atol=1e-12)


def test_values_are_sizes_summed_over_each_positions_pixels():
    images = pictures(3)
    model = Activated(nn.ReLU()).eval()
    e = Explainer(model, layer="body", utility="logit").explain(images, "guidedbackprop", target=2)
    pixels = attr.GuidedBackprop(model).attribute(images.clone(), target=2).abs().sum(1)
    torch.testing.assert_close(e.values, cell_sums(pixels, tuple(e.values.shape[1:])), rtol=1e-4, atol=1e-8)


def test_guided_gradcam_is_captums():
    images = pictures(3)
    model = Activated(nn.ReLU()).eval()
    e = Explainer(model, layer="body", utility="logit").explain(images, "guidedgradcam", target=1)
    products = attr.GuidedGradCam(model, model.body).attribute(images.clone(), target=1, interpolate_mode="bilinear")
    expected = cell_sums(products.abs().sum(1), tuple(e.values.shape[1:]))
    torch.testing.assert_close(e.values, expected, rtol=1e-4, atol=1e-8)
    assert float(expected.detach().std()) > 0


def test_by_pencil():
    """Σ_k w_k ReLU(a_k x): gradients of 3 and -2; the negative one is not passed on."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 2, 1, bias=False), nn.Flatten())
    model[0].weight.data = torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
    model[2].weight.data = torch.tensor([[3.0, -2.0], [0.0, 0.0]]).view(2, 2, 1, 1)
    game = Explainer(model, layer="0", layout="NCHW", utility="logit").game(torch.ones(1, 1, 1, 1), target=0)
    assert guided_gradient(game).item() == 3.0  # 3 - 2 * 5 without the rule


def _on_a_view(x):
    x[:, :2].relu_()
    return x


class Swish(torch.autograd.Function):
    """A function whose name shall say nothing of what it computes."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x.sigmoid() * (1 + x * (1 - x.sigmoid()))


OTHERS = {
    **{
        name: type(name, (Swish,), {}).apply
        for name in ("Add", "Linear", "Relu", "EvalBatchNorm", "Conv2d", "Threshold")
    },
    "ClampMin": lambda x: torch.clamp_min(x, torch.full((x.shape[1], 1, 1), 0.1)),
    "NativeBatchNorm": lambda x: F.instance_norm(
        x, torch.zeros(x.shape[1]), torch.ones(x.shape[1]), use_input_stats=True
    ),
    "Gelu": F.gelu,
    "Silu": F.silu,
    "LeakyRelu": F.leaky_relu,
    "Sigmoid": lambda x: x.sigmoid(),
    "Hardtanh": lambda x: F.hardtanh(x, -1, 1),
    "Clamp": lambda x: x.clamp(-0.1, 1),
    "Where": lambda x: torch.where(x > 0, x, 0),
    "Mul": lambda x: x * (x > 0),
    "Abs": torch.abs,
    "Softmax": lambda x: x.softmax(1) * 0.5,
    "CopySlices": _on_a_view,
    "Pow": lambda x: x**2,
    "Div": lambda x: x / (1 + x.detach().abs()),
    "MaskedFill": lambda x: x.masked_fill(x < 0, 0),
}


@pytest.mark.parametrize("other", OTHERS)
def test_every_other_nonlinearity_is_refused_in_one_line(other):
    explainer = Explainer(Activated(OTHERS[other]).eval(), layer="body")
    for method in ("guidedbackprop", "guidedgradcam"):
        with pytest.raises(
            OptionError, match=f"method '{method}' changes the gradient of ReLU.* has '{other}' between"
        ):
            explainer.explain(pictures(), method)
