"""Every method of the table of methods is tested: the tests iterate over the table."""

from __future__ import annotations

import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize, to_tensor

from helpers.narrow_networks import narrow_network
from helpers.networks import Toy, logits
from helpers.table_rows import OF_EVERY_MODEL, OF_MASKED_IMAGES, OF_SOME_MODELS
from shapleycam import METHODS, Explainer, methods
from shapleycam.cams.spreads import SPREADS
from shapleycam.cams.table import expand_methods
from shapleycam.errors import OptionError, ScaleInvariantHeadWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.PlayersNotUsedWarning"),  # every method has the same call
]


OF_CHANNELS = ["ablationcam", "liftcam", "channelshapley"]
REGIONS = (3, 4)
"""So few players that exactshapley can play; no other derivative minds."""


@pytest.fixture(scope="module")
def crops(photos):
    return torch.stack([normalize(to_tensor(Image.open(path)), [0.5] * 3, [0.5] * 3) for path in photos[:4]])


@pytest.fixture(scope="module")
def batch(explainer, crops):
    return explainer.compare(crops, OF_EVERY_MODEL, players=REGIONS)


@pytest.mark.parametrize("method", OF_EVERY_MODEL)
def test_independent_of_batch_size_and_mates(explainer, crops, batch, method):
    for indices in ([0], [3, 1]):
        explanation = explainer.explain(crops[indices], method, players=REGIONS)
        torch.testing.assert_close(explanation.heatmap, batch[method].heatmap[indices], atol=1e-4, rtol=0)
        torch.testing.assert_close(explanation.values, batch[method].values[indices], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", OF_EVERY_MODEL)
def test_fields(batch, method):
    explanation = batch[method]
    assert explanation.method == method
    assert explanation.heatmap.shape == (4, 224, 224)
    assert explanation.values.shape == (4, 7, 7)
    assert explanation.heatmap.dtype == explanation.values.dtype == torch.float32
    assert explanation.heatmap.amin() == 0
    assert (explanation.heatmap.amax((1, 2)) > 0.99).all()
    assert explanation.heatmap.amax() <= 1
    assert (explanation.stderr is None) == (method not in {"sampledshapley", "owen"})


def test_one_map_before_pooling_and_a_linear_layer(explainer, crops, batch):
    """There ∂z_c/∂A is the same at every position, so GradCAM, HiResCAM and XGradCAM are one."""
    for method in ("hirescam", "xgradcam"):
        torch.testing.assert_close(batch[method].values, batch["gradcam"].values, rtol=1e-4, atol=1e-6)
    weight = explainer.model.classifier.weight.detach()
    game = explainer.game(crops)
    expected = torch.einsum("bkhw,bk->bhw", game.activation, weight[game.target]) / 49
    by_logit = Explainer(explainer.model, layer=explainer.find_layer(), utility="logit").explain(crops, "gradcam")
    torch.testing.assert_close(by_logit.values, expected, rtol=1e-4, atol=1e-6)


def test_first_order_values_of_a_logit_sum_to_it_without_the_bias(explainer, crops):
    explanation = Explainer(explainer.model, layer=explainer.find_layer(), utility="logit").explain(crops, "hirescam")
    bias = explainer.model.classifier.bias.detach()[explanation.target]
    torch.testing.assert_close(explanation.values.sum((1, 2)), explanation.utility - bias, rtol=1e-4, atol=1e-4)


def test_curvature_is_reported_with_second_order_only(explainer, crops):
    both = explainer.compare(crops[:2], ["gradcam", "shapleycam", "hirescam", "shapleycam-h"])
    first_order, second_order = both["hirescam"].values, both["shapleycam-h"].values
    change = (second_order - first_order).abs().sum((1, 2))
    torch.testing.assert_close(
        both["gradcam"].curvature, change / (first_order.abs().sum((1, 2)) + change), rtol=1e-4, atol=0
    )
    assert (both["gradcam"].curvature > 0.01).all()
    assert explainer.explain(crops[:2], "gradcam").curvature is None


def test_randomcam_depends_on_content_and_seed(explainer, crops):
    first = explainer.explain(crops[:2], "randomcam", seed=1)
    flipped = explainer.explain(crops[:2].flip(0), "randomcam", seed=1)
    torch.testing.assert_close(first.values.flip(0), flipped.values)
    other_seed = explainer.explain(crops[:2], "randomcam", seed=2)
    assert (first.values - other_seed.values).abs().max() > 0.1
    torch.manual_seed(0)
    state = torch.get_rng_state()
    explainer.explain(crops[:2], "randomcam", seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_randomcam_weights_are_one_a_channel_on_both_sides_of_zero():
    """With features of one channel at 1 and the others 0, the value is that channel's weight."""
    model = Toy(lambda a: logits(a.flatten(1).sum(1)))
    weights = []
    for seed in range(200):
        image = torch.zeros(1, 3, 2, 2)
        image[:, 1] = 1
        weights.append(Explainer(model, layer="features").explain(image, "randomcam", seed=seed).values.unique())
    drawn = torch.cat(weights)
    assert len(drawn) == 200  # the same weight at every position
    assert drawn.min() < -0.9
    assert drawn.max() > 0.9
    assert abs(float(drawn.mean())) < 4 * (1 / 3 / 200) ** 0.5  # uniform on [-1, 1] has variance 1/3
    assert float(drawn.var()) == pytest.approx(1 / 3, rel=0.3)


def test_the_table_is_complete():
    assert {method.spread for method in methods() if method.spread is not None} <= set(SPREADS.values())
    of_players = {"sampledshapley", "exactshapley", "leaveoneout", "reciprocam", "banzhaf", "owen"}
    of_players |= {"attentionrollout", "gradientrollout", "occlusion", "rise"}
    of_players |= {"fullgrad", "guidedbackprop", "guidedgradcam", "legrad"}
    assert {method.name for method in methods() if method.spread is None} == of_players
    in_paper = [method.name for method in methods() if method.in_paper]
    assert len(in_paper) == 10
    assert expand_methods(["paper"]) == in_paper
    assert expand_methods(["field"]) == list(METHODS)
    too_dear = {"channelshapley", "sscam", "iscam"}  # at a layer of 512 channels
    of_any_model = {*OF_EVERY_MODEL, "scorecam", "opticam", "occlusion", "rise"} - too_dear
    assert set(expand_methods(["field"], players=11)) == of_any_model
    assert expand_methods(["all"]) == [method.name for method in methods() if "all" in method.sets]
    assert set(OF_EVERY_MODEL) - set(expand_methods(["all"])) == {
        *("leaveoneout", "reciprocam", "banzhaf", "owen", "kpcacam", "smoothgradcam++", "fullgrad", *OF_CHANNELS)
    }
    assert of_any_model - set(expand_methods(["field"], players=49)) == {"exactshapley"}
    assert of_any_model - set(expand_methods(["field"], players=784)) == {"exactshapley", "sampledshapley", "owen"}
    # A method that is asked for by name says itself what is wrong.
    assert expand_methods(["exactshapley"], players=49) == ["exactshapley"]
    assert expand_methods(["gradcam", "paper", "gradcam"])[0] == "gradcam"
    assert sorted(expand_methods(["gradcam", "paper"])) == sorted(in_paper)
    without_units = {"gradcam++", "layercam", "randomcam", "smoothgradcam++", "fullgrad", *OF_CHANNELS, *OF_SOME_MODELS}
    without_units |= set(OF_MASKED_IMAGES)
    without_units |= {method.name for method in methods() if method.group == "factorisation"}
    assert {method.name for method in methods() if not method.in_units} == without_units
    assert {method.name for method in methods() if method.basis.is_class_blind} == {
        *("randomcam", "eigencam", "kpcacam", "fem", "attentionrollout")
    }


def test_an_unknown_method_has_near_names():
    with pytest.raises(OptionError, match=r"method 'shapleycan' is unknown; did you mean 'shapleycam'"):
        expand_methods(["shapleycan"])


@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam"])
def test_a_scale_invariant_head_is_named(method, images):
    """ConvNeXt pools, then normalises: the head sees directions only."""
    torch.manual_seed(0)
    model = timm.create_model("convnext_atto")
    explainer = Explainer(model, layer="stages")
    text = r"what comes after layer 'stages' ignores the scale of the activation \(utility 'rest'.*sampledshapley"
    with pytest.warns(ScaleInvariantHeadWarning, match=text):
        explainer.explain(images[:, :, :128, :128], method)


class NormOfEachPosition(nn.Module):
    """A norm of each position over its channels: to each position its scale is nothing, not only to their sum."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features, self.norm, self.classifier = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16), nn.Linear(16, classes)

    def forward(self, images):
        positions = self.norm(self.features(images).flatten(2).mT)
        return self.classifier(positions.tanh().mean(1))


@pytest.mark.parametrize("utility", ["logit", "log_probability", "probability"])
@pytest.mark.parametrize("method", ["hirescam", "gradcam", "layercam"])
def test_a_norm_of_each_position_ignores_scale_too(method, utility):
    """By Euler's theorem A·∂U/∂A = 0 at every position, so Σ|φ| is as small as Σφ."""
    explainer = Explainer(NormOfEachPosition().eval(), layer="features", utility=utility)
    with pytest.warns(ScaleInvariantHeadWarning, match="ignores the scale of the activation"):
        explainer.explain(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), method)


def test_a_norm_is_seen_where_the_class_is_certain():
    """log p(c) is next to zero there, and so is the derivative: products are compared with products alone."""
    model = NormOfEachPosition(classes=2).eval()
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.classifier.weight.mul_(200)
        target = int(model(images).argmax())
    explainer = Explainer(model, layer="features", utility="log_probability")
    assert explainer.game(images, target).full.abs() < 1e-3
    with pytest.warns(ScaleInvariantHeadWarning):
        explainer.explain(images, "hirescam", target)


def test_prefix_tokens_are_outside_the_map_and_inside_the_sum(images):
    torch.manual_seed(0)
    model = narrow_network("timm:vit_tiny_patch16_224")
    explainer = Explainer(model, layer="blocks.11.norm1")
    game = explainer.game(images)
    comparison = explainer.compare(images, ["hirescam", "gradcam"])
    products = (game.activation * game.gradient()).sum(2)
    torch.testing.assert_close(comparison["hirescam"].prefix, products[:, 0], rtol=1e-4, atol=1e-6)
    whole = comparison["hirescam"].values.sum((1, 2)) + comparison["hirescam"].prefix
    torch.testing.assert_close(whole, products.sum(1), rtol=1e-4, atol=1e-5)
    weights = game.gradient()[:, 1:].mean(1)
    expected = torch.einsum("bnk,bk->bn", game.activation[:, 1:], weights).unflatten(1, (14, 14))
    torch.testing.assert_close(comparison["gradcam"].values, expected, rtol=1e-3, atol=1e-6)
