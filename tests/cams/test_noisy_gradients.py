"""Smooth Grad-CAM++: against torch-cam with the same noise, and by its definition."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from helpers.user_models import Small, pictures
from shapleycam import Explainer
from shapleycam.cams import noisy_gradients
from shapleycam.cams.noisy_gradients import DEVIATION, SAMPLES, noisy_images
from shapleycam.cams.table import method_of
from shapleycam.values import EstimatorOptions

torchcam_methods = LazyModule("torchcam.methods")

pytestmark = pytest.mark.filterwarnings("ignore")


def explained(model, images, layer="body", **options):
    return Explainer(model, layer=layer, utility="logit").explain(images, "smoothgradcam++", target=1, **options)


def by_definition(model, images, noisy, epsilon=1e-8):
    """Plain autograd at `body`, image by image."""
    maps = []
    for index in range(len(images)):
        activation = model.body(nn.functional.gelu(model.stem(images[index : index + 1]))).detach()
        gradients = []
        for sample in noisy:
            leaf = model.body(nn.functional.gelu(model.stem(sample[index : index + 1]))).detach().requires_grad_()
            gradients += torch.autograd.grad(model.head(leaf)[0, 1], leaf)
        g = torch.cat(gradients)
        first, second, third = ((g**power).mean(0) for power in (1, 2, 3))
        alpha = second / (2 * second + third * activation[0].sum((1, 2), keepdim=True) + epsilon)
        weights = (alpha * first.clamp(min=0)).sum((1, 2))
        maps.append((weights[:, None, None] * activation[0]).sum(0))
    return torch.stack(maps).detach()


def test_it_is_what_its_definition_says():
    model, images = Small().eval(), pictures(3)
    game = Explainer(model, layer="body", utility="logit").game(images, target=1)
    noisy = noisy_images(game, EstimatorOptions())
    torch.testing.assert_close(explained(model, images).values, by_definition(model, images, noisy), rtol=1e-4, atol=0)


def test_noise_is_that_of_the_image_and_the_seed():
    model, images = Small().eval(), pictures(3)
    game = Explainer(model, layer="body").game(images)
    noise = torch.stack(noisy_images(game, EstimatorOptions())) - images
    assert noise.shape[0] == SAMPLES
    assert float(noise.std()) == pytest.approx(DEVIATION, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    alone = torch.stack(noisy_images(Explainer(model, layer="body").game(images[1:2]), EstimatorOptions()))
    torch.testing.assert_close(alone[:, 0] - images[1], noise[:, 1])
    assert not torch.allclose(explained(model, images).values, explained(model, images, seed=1).values)


def test_torchcam_finds_the_same_from_one_noisy_image(monkeypatch):
    """Of several, its first derivative is that of the last alone."""
    monkeypatch.setattr(noisy_gradients, "SAMPLES", 1)
    model, images = Small().eval(), pictures(1)
    game = Explainer(model, layer="body", utility="logit").game(images, target=1)
    (noisy,) = noisy_images(game, EstimatorOptions())
    with torchcam_methods.SmoothGradCAMpp(model, "body", num_samples=1) as extractor:
        monkeypatch.setattr(extractor._distrib, "sample", lambda _: noisy - images)
        model(images)
        activation = extractor.hook_a[0][0].clone()  # the noisy image's takes its place there
        (weights,) = extractor._get_weights(1)
        expected = (weights[0, :, None, None] * activation).sum(0)
    # A denominator near zero makes more of the rounding by which the noise that is added back differs.
    difference = (explained(model, images).values[0] - expected.detach()).abs().max()
    assert float(difference) < 1e-3 * float(expected.abs().max())


def test_the_users_hooks_see_the_image_once():
    model, images, seen = Small().eval(), pictures(1), []
    model.stem.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].clone()))
    explained(model, images)
    assert len(seen) == 1
    assert torch.equal(seen[0], images)


def test_names_of_other_libraries():
    assert {method_of(name).name for name in ("SmoothGradCAMpp", "Smooth Grad-CAM++", "smoothgradcamplusplus")} == {
        "smoothgradcam++"
    }
