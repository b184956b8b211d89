"""Several layers as one map: the mean is pytorch-grad-cam's; maximum and product are of the heatmaps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from helpers.networks import Toy
from helpers.random_explanations import explanation_of_noise
from shapleycam import Explainer
from shapleycam.cams.heatmaps import min_max
from shapleycam.explaining.fusing import fuse_explanations

pytorch_grad_cam = LazyModule("pytorch_grad_cam")
model_targets = LazyModule("pytorch_grad_cam.utils.model_targets")

LAYERS = ("blocks.4", "blocks.5", "bn2")


@pytest.fixture(scope="module")
def batch(explainer, photos):
    from PIL import Image

    return torch.stack([explainer.preprocess(Image.open(path)) for path in photos[:2]])


@pytest.mark.parametrize("layers", [LAYERS[:2], LAYERS[1:], LAYERS], ids=" ".join)
def test_the_mean_is_that_of_pytorch_grad_cam(explainer, batch, layers):
    model, targets = explainer.model, [model_targets.ClassifierOutputTarget(number) for number in (3, 400)]

    def theirs(names):
        with pytorch_grad_cam.GradCAM(model, [model.get_submodule(name) for name in names]) as cam:
            return torch.from_numpy(cam(batch.clone(), targets))

    def ours(names):
        several = Explainer(model, layer=list(names), utility="logit", fuse="mean")
        return several.explain(batch, "gradcam", target=[3, 400]).heatmap

    for layer in layers:
        torch.testing.assert_close(ours([layer]), theirs([layer]), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours(layers), theirs(layers), rtol=0, atol=1e-5)


def test_another_scaling_before_the_mean_would_be_seen(explainer, batch):
    several = Explainer(explainer.model, layer=list(LAYERS), utility="logit").explain(batch, "gradcam", target=3)
    of_layers = [Explainer(explainer.model, layer=name, utility="logit") for name in LAYERS]
    heatmaps = [explainer_of_layer.explain(batch, "gradcam", target=3).heatmap for explainer_of_layer in of_layers]
    twice_scaled = min_max(torch.stack(heatmaps).mean(0))
    assert (several.heatmap - twice_scaled).abs().max() > 1e-3


def test_the_mean_with_a_pencil():
    """Cells (4, 2, 0, -1) become (1, 0.5, 0, 0); (0, 0, 1, 1) stay; at their own size nothing is resized."""
    rows = [torch.tensor([[[4.0, 2.0], [0.0, -1.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])]
    both = [_explanation_of_values(values) for values in rows]
    expected = torch.tensor([[[1.0, 0.5], [1.0, 1.0]]]) / 2
    lowest = expected - 0.25
    torch.testing.assert_close(fuse_explanations(both, "mean").heatmap, lowest / lowest.amax(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("fuse", "of"), [("maximum", torch.amax), ("product", torch.prod)])
def test_the_others_are_of_the_heatmaps(fuse, of):
    both = [
        _explanation_of_values(torch.rand(1, 2, 2, generator=torch.Generator().manual_seed(seed))) for seed in (0, 1)
    ]
    expected = min_max(of(torch.stack([e.heatmap for e in both]), 0))
    torch.testing.assert_close(fuse_explanations(both, fuse).heatmap, expected)


def _explanation_of_values(values):
    explanation = explanation_of_noise(1)
    object.__setattr__(explanation, "values", values)
    object.__setattr__(explanation, "heatmap", min_max(values.relu()))
    return explanation


def test_one_layer_twice_is_that_layer(images):
    torch.manual_seed(0)
    model = Toy(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)))
    once = Explainer(model, layer="features").explain(images, "gradcam", target=0)
    twice = Explainer(model, layer=["features", "features"]).explain(images, "gradcam", target=0)
    torch.testing.assert_close(twice.heatmap, once.heatmap, rtol=0, atol=1e-6)
