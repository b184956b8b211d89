"""`shapleycam.compat.torchcam` beside torch-cam: the same maps on six networks, in float64."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import VisionTransformer

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer
from shapleycam.compat.torchcam import methods

peer = LazyModule("torchcam.methods")
pytestmark = pytest.mark.filterwarnings("ignore")
CLASSES = [3, 5]
TWO = ("resnet18", "vit_tiny")
"""Of channels and of tokens: what is asked of the scores and the scale does not depend on the other four."""


def both(network, method, **options):
    """Return our map and theirs, at the layer's size."""
    model, layer, reshape, images = network
    maps = []
    for library in (methods, peer):
        with getattr(library, method)(model, layer, reshape_transform=reshape) as extractor:
            maps.append(extractor(CLASSES, model(images), **options)[0].float())  # as ours are
    return maps


@pytest.mark.parametrize("method", ["GradCAM", "XGradCAM", "LayerCAM"])
def test_the_same_map(network, method):
    ours, theirs = both(network, method)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", TWO, indirect=True)
def test_the_same_unscaled_map(network):
    ours, theirs = both(network, "LayerCAM", normalized=False)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-4 * float(theirs.max()))


@pytest.mark.parametrize("network", TWO, indirect=True)
def test_the_same_map_of_scores_that_were_computed_from_the_output(network):
    """A softmax with a temperature, and a target of the user's own of it."""
    model, layer, reshape, images = network
    maps = []
    for library in (methods, peer):
        with library.GradCAM(model, layer, reshape_transform=reshape) as extractor:
            scores = (model(images) / 2).softmax(1)
            [by_class] = extractor(CLASSES, scores, retain_graph=True)
            [by_target] = extractor(scores=scores, targets=lambda row: row[3] - row[4].square())
            maps.append((by_class.float(), by_target.float()))
    for ours, theirs in zip(*maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_gradcam_plus_plus_with_the_denominator_that_is_left_out_there(network):
    """The peer's extractor with the weights of equation 19; the constant is that of the paper's code."""

    class Corrected(peer.GradCAMpp):
        def _get_weights(self, class_idx, scores, **_):
            self._backprop(scores, class_idx)
            (activation,), (g,) = self.hook_a, self.hook_g
            denominator = 2 * g**2 + g**3 * activation.sum((2, 3), keepdim=True) + 1e-6
            return [(g**2 / denominator * g.relu()).sum((2, 3))]

    model, layer, reshape, images = network
    maps = []
    for library in (methods.GradCAMpp, Corrected):
        with library(model, layer, reshape_transform=reshape) as extractor:
            maps.append(extractor(CLASSES, model(images))[0].float())
    torch.testing.assert_close(*maps, rtol=0, atol=1e-4)


def test_a_class_against_those_that_are_nearest_to_it(network):
    ours, theirs = both(network, "FinerCAM")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_the_product_of_layers(build):
    model, _, _, images = build("resnet18")
    maps = []
    for library in (methods, peer):
        with library.RefineCAM(model, ["layer3", "layer4"], base_method=library.LayerCAM) as extractor:
            maps.append(extractor(CLASSES, model(images))[0].float())
    torch.testing.assert_close(*maps, rtol=0, atol=1e-4)


def test_legrad_is_the_same_for_all_blocks_by_the_models_own_head_and_another_by_default():
    """Why LeGrad is refused here: by default it scores the mean of all tokens, which this model's head never sees."""
    torch.manual_seed(0)
    model = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    image = torch.rand(1, 3, 32, 32)

    def theirs(**options):
        with peer.LeGrad(model, list(model.encoder.layers), **options) as extractor:
            model(image)
            return extractor(2, normalized=False)[0]

    ours = Explainer(model, utility="logit").explain(image, "legrad", 2).values
    own_head = theirs(score_projection=lambda tokens: model.heads(model.encoder.ln(tokens)[:, 0]))
    torch.testing.assert_close(ours, own_head, atol=1e-7, rtol=1e-5)
    assert float((ours - theirs()).abs().max()) > 0.1 * float(ours.abs().max())
