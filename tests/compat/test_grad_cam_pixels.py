"""`FullGrad`, `GuidedBackpropReLUModel` and `DeepFeatureFactorization` beside pytorch-grad-cam's."""

from __future__ import annotations

import copy
import random
import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from helpers.narrow_networks import narrow_network
from helpers.user_models import Small, assert_untouched, pictures, state_of, with_random_norms
from shapleycam.compat import grad_cam
from shapleycam.compat.grad_cam.feature_factorization.deep_feature_factorization import dff
from shapleycam.compat.grad_cam.utils.model_targets import ClassifierOutputTarget
from shapleycam.errors import ImageError, OptionError

peer = LazyModule("pytorch_grad_cam")
peer_dff = LazyModule("pytorch_grad_cam.feature_factorization.deep_feature_factorization")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=["resnet18", "vgg11", "mobilenet_v2"])
def model(request):
    torch.manual_seed(0)
    made = with_random_norms(narrow_network(f"torchvision:{request.param}")).double().eval()
    for module in made.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6)):
            module.inplace = False  # their hooks keep what is overwritten
    return made


@pytest.mark.slow
def test_fullgrad(model):
    images, targets = pictures(2, 48).double() - 0.5, [ClassifierOutputTarget(3), ClassifierOutputTarget(4)]
    before = state_of(model)
    ours = grad_cam.FullGrad(model, [])(images, targets)
    assert_untouched(before, model)
    with peer.FullGrad(copy.deepcopy(model), []) as cam:
        theirs = cam(images.clone(), targets)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert ours.shape == (2, 48, 48)


@pytest.mark.parametrize("target", [3, None])
@pytest.mark.slow
def test_guided_backpropagation(model, target):
    if any(isinstance(module, nn.ReLU6) for module in model.modules()):
        pytest.skip("theirs takes no notice of ReLU6")
    image = pictures(1, 48).double() - 0.5
    before = state_of(model)
    ours = grad_cam.GuidedBackpropReLUModel(model)(image, target)
    assert_untouched(before, model)
    theirs = peer.GuidedBackpropReLUModel(copy.deepcopy(model))(image.clone(), target)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)


def test_autocast_of_the_caller_has_no_effect_on_the_guided_gradient():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    guided = grad_cam.GuidedBackpropReLUModel(nn.Sequential(*layers))
    expected = guided(pictures(1), 2)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(guided(pictures(1), 2), expected)


def test_relu6_is_guided_as_relu_where_no_number_comes_to_six():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Conv2d(4, 5, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model, twin = nn.Sequential(*layers), copy.deepcopy(nn.Sequential(*layers))
    twin[1], twin[3] = nn.ReLU(), nn.ReLU()
    ours = grad_cam.GuidedBackpropReLUModel(model)(pictures(1), 2)
    theirs = peer.GuidedBackpropReLUModel(twin)(pictures(1), 2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-8)


def test_guided_backpropagation_is_refused_in_one_line():
    with pytest.raises(OptionError, match=r"changes the gradient of ReLU, and the model has '(Softplus|Gelu)'"):
        grad_cam.GuidedBackpropReLUModel(Small())(pictures(1), 2)
    with pytest.raises(OptionError, match="input_img has 2 images; expected one: call it for each"):
        grad_cam.GuidedBackpropReLUModel(Small())(pictures(2), 2)
    with pytest.raises(OptionError, match="device='nowhere'; expected the name of a device"):
        grad_cam.GuidedBackpropReLUModel(Small(), "nowhere")
    with pytest.raises(ImageError, match=r"input_img has shape \(1, 1, 4, 4, 4\); expected one image"):
        grad_cam.GuidedBackpropReLUModel(Small())(torch.zeros(1, 1, 4, 4, 4))
    with pytest.raises(OptionError, match="device='cuda', and the model is on cpu; move the model itself"):
        grad_cam.GuidedBackpropReLUModel(Small(), "cuda")


@pytest.mark.parametrize("of_concepts", [False, True])
def test_deep_feature_factorization(of_concepts):
    model, images = Small().eval(), pictures(2)
    computation = model.fc if of_concepts else None
    options = {"computation_on_concepts": computation}
    before = state_of(model)
    ours = grad_cam.DeepFeatureFactorization(model, model.body, **options)(images, 3)
    assert_untouched(before, model)
    theirs = peer_dff.DeepFeatureFactorization(twin := copy.deepcopy(model), twin.body, **options)(images.clone(), 3)
    assert len(ours) == len(theirs) == 2 + of_concepts
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.stack(mine), np.stack(other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_factorisation_in_another_precision(dtype):
    """The concepts go to the classifier in the precision that it has."""
    model, images = Small().eval(), pictures(2)
    expected = grad_cam.DeepFeatureFactorization(model, model.body, None, model.fc)(images, 2)
    other = copy.deepcopy(model).to(dtype)
    with torch.inference_mode():
        ours = grad_cam.DeepFeatureFactorization(other, other.body, None, other.fc)(images.to(dtype), 2)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(np.stack(mine), np.stack(theirs), rtol=0, atol=0.1)


def test_a_factorisation_draws_no_random_numbers(monkeypatch):
    """The first import of scikit-learn draws some of Python's: a training that is explained would be another one."""
    decomposition = import_module("sklearn.decomposition")

    class FirstImport(ModuleType):
        def __getattr__(self, name):
            random.seed(1)
            return getattr(decomposition, name)

    monkeypatch.setitem(sys.modules, "sklearn.decomposition", FirstImport("sklearn.decomposition"))
    before = random.getstate()
    dff(np.ones((1, 2, 2, 2)), 1)
    assert random.getstate() == before


def test_functions_of_the_users_that_a_factorisation_cannot_use():
    model, images = Small().eval(), pictures(2)
    for function, message in (
        (nn.Linear(3, 2), "raised RuntimeError: "),
        (lambda rows: rows.numpy(), "returned ndarray; expected a tensor"),
    ):
        with pytest.raises(OptionError, match=f"^computation_on_concepts {message}"):
            grad_cam.DeepFeatureFactorization(model, model.body, computation_on_concepts=function)(images, 2)
    with pytest.raises(OptionError, match="reshape_transform raised RuntimeError"):
        grad_cam.DeepFeatureFactorization(model, model.body, lambda tensor: tensor.reshape(1, 7))(images, 2)
    for number in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match=r"n_components=.*; expected a whole number of concepts from 1"):
            dff(np.ones((1, 2, 2, 2)), number)
    with pytest.raises(OptionError, match=r"given as shape \(2, 2, 2\); expected an array \(b, k, h, w\)"):
        dff(np.ones((2, 2, 2)), 1)


def test_what_a_factorisation_does_not_take():
    with pytest.raises(OptionError, match="numbers that are not finite; expected finite ones"):
        dff(np.full((1, 2, 2, 2), np.nan), 1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    with pytest.raises(OptionError, match=r"the layer returns shape \(1, 784\); expected \(b, k, h, w\): give reshape"):
        grad_cam.DeepFeatureFactorization(model, model[1])(pictures(1), 2)
