"""Layers by rule, of dense outputs, of tokens that are no places; and several as one map."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import interpolate

from helpers.networks import Smooth
from shapleycam import Explainer, Network
from shapleycam.errors import LayerError, OptionError
from shapleycam.layers import audit, find_before_pool, find_layer


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Stages(nn.Module):
    """Two convolutional stages of 8 x 8 and 4 x 4 cells, each with a norm after its convolution."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.one = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.BatchNorm2d(8), nn.GELU())
        self.two = nn.Sequential(nn.Conv2d(8, 6, 4, stride=2, padding=1), nn.BatchNorm2d(6), nn.GELU())
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.two(self.one(x)).mean((2, 3)))


# Rules


def test_the_last_convolution_is_the_one_inside_the_block():
    model = Stages()
    assert find_layer(model, noise(1, 3, 16, 16), "before-pool") == "two"
    assert find_layer(model, noise(1, 3, 16, 16), "last-conv") == "two.0"
    explainer = Explainer(model, layer="last-conv")
    assert explainer.explain(noise(2, 3, 16, 16), "hirescam").layer == explainer.find_layer() == "two.0"


def test_a_network_may_say_what_a_rule_means():
    network = Network(Stages(), layers={"before-pool": "one", "last-conv": "one.0"})
    assert Explainer(network).find_layer() == "one"
    assert Explainer(network, layer="last-conv").find_layer() == "one.0"


def test_without_a_convolution_last_conv_is_refused():
    model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 64, 5))
    with pytest.raises(LayerError, match=r"layer 'last-conv': no convolution .*; use 'before-pool'"):
        find_layer(model, noise(1, 3, 16, 16), "last-conv")


class Segmenter(nn.Module):
    """An encoder, and a head that makes class scores of each pixel."""

    def __init__(self, *, nested: bool):
        super().__init__()
        inner = nn.ModuleDict({"encoder": Stages().one, "head": nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1))})
        self.nested = nested
        self.parts = nn.ModuleDict({"net": inner}) if nested else inner

    def forward(self, x):
        parts = self.parts["net"] if self.nested else self.parts
        return interpolate(parts["head"](parts["encoder"](x)), size=x.shape[-2:], mode="bilinear")


@pytest.mark.parametrize(("nested", "layer"), [(False, "parts.encoder"), (True, "parts.net.encoder")])
def test_of_a_dense_output_the_layer_before_the_branch_that_makes_it_is_taken(nested, layer):
    assert find_layer(Segmenter(nested=nested), noise(1, 3, 16, 16), "before-pool") == layer


# Tokens that are no places


class Queries(nn.Module):
    """Patches, and sixteen queries that look at all of them alike; the queries make the logits."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.queries = nn.Parameter(torch.randn(1, 16, 8))
        self.look = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        patches = self.patches(x).flatten(2).transpose(1, 2)
        queries = self.queries.expand(len(x), -1, -1)
        actual = self.norm(queries + self.look(queries, patches, patches, need_weights=False)[0])
        return self.fc(actual).mean(1)


def test_queries_are_not_taken_for_places_though_their_number_is_a_square():
    model, image = Queries(), noise(1, 3, 16, 16)
    audited = audit(model, image)
    assert "norm" not in {candidate.name for candidate in audited.candidates}
    (reason,) = [reason for name, _, reason in audited.without_grid if name == "norm"]
    assert reason == "its tokens are no grid of places of the image"
    assert find_before_pool(audited, model, image).name == "patches"


class Tokens(nn.Module):
    """Patches as tokens in the order `order`, each by itself to the end."""

    def __init__(self, order):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.norm, self.fc = nn.Conv2d(3, 8, 4, stride=4), nn.LayerNorm(8), nn.Linear(8, 5)
        self.order = order

    def forward(self, x):
        return self.fc(self.norm(self.patches(x).flatten(2).transpose(1, 2)[:, self.order])).mean(1)


def test_tokens_in_another_order_are_not_places():
    image = noise(1, 3, 16, 16)
    shuffled = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    assert find_layer(Tokens(torch.arange(16)), image, "before-pool") == "fc"
    assert find_layer(Tokens(shuffled), image, "before-pool") == "patches"


def test_tokens_that_are_all_the_mean_are_no_places_whatever_sizes_the_model_takes():
    class Uniform(Tokens):
        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            return self.fc(self.norm(tokens.mean(1, keepdim=True).expand(-1, 16, -1).clone())).mean(1)

    assert find_layer(Uniform(None), noise(1, 3, 16, 16), "before-pool") == "patches"


def test_where_there_is_no_grid_the_last_shapes_are_told():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.fc = nn.Linear(16, 7), nn.Linear(7, 5)

        def forward(self, x):
            return self.fc(self.first(x.flatten(1, 2))).mean(1)

    with pytest.raises(
        LayerError, match=r"\(the last shapes are \(1, 48, 7\) at 'first', .*; name one with layer=, and"
    ):
        find_layer(Rows(), noise(1, 3, 16, 16), "before-pool")


def test_the_message_for_a_layer_without_a_grid_says_what_to_write():
    with pytest.raises(LayerError, match=r"layer 'fc' returns shape \(1, 5\) for images of 16 x 16, .*; choose an"):
        Explainer(Stages(), layer="fc").explain(noise(1, 3, 16, 16))


# Several layers


@pytest.mark.parametrize(
    ("fuse", "of"), [("mean", lambda a, b: (a + b) / 2), ("maximum", torch.maximum), ("product", torch.mul)]
)
def test_the_maps_of_several_layers_are_fused_and_scaled_again(fuse, of):
    """Of the mean as they are resized, of the others as heatmaps."""
    model, images = Stages(), noise(2, 3, 16, 16)
    single = [Explainer(model, layer=layer).explain(images, "hirescam") for layer in ("one", "two")]
    first, second = (_resized(e.values) if fuse == "mean" else e.heatmap for e in single)
    both = Explainer(model, layer=["one", "two"], fuse=fuse).explain(images, "hirescam")
    for index in range(2):
        fused = of(first[index], second[index])
        expected = (fused - fused.min()) / (1e-7 + (fused - fused.min()).max())
        torch.testing.assert_close(both.heatmap[index], expected)
    assert both.layer == "one + two"


def _resized(values):
    """Each map's positive part, from 0 to 1 at its own size, at 16 x 16."""
    positive = values.clamp(min=0)
    lowest, highest = positive.amin((1, 2), keepdim=True), positive.amax((1, 2), keepdim=True)
    scaled = (positive - lowest) / (1e-7 + highest - lowest)
    return F.interpolate(scaled[:, None], size=(16, 16), mode="bilinear")[:, 0]


def test_the_values_of_several_layers_are_their_mean_on_the_finest_grid():
    model, images = Stages(), noise(2, 3, 16, 16)
    first, second = (Explainer(model, layer=layer).explain(images, "hirescam") for layer in ("one", "two"))
    both = Explainer(model, layer=[model.one, "two"]).explain(images, "hirescam")
    spread = second.values.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4  # each cell over the four that it covers
    torch.testing.assert_close(both.values, (first.values + spread) / 2)
    torch.testing.assert_close(both.values.sum((1, 2)), (first.values.sum((1, 2)) + second.values.sum((1, 2))) / 2)


def test_grids_that_do_not_divide_each_other_share_by_area():
    """A line of two cells on one of three: the middle one takes half... of what the halves of both give it."""
    from shapleycam.explaining.fusing import _spread

    assert _spread(torch.tensor([[[6.0, 12.0]]]), (1, 3)).tolist() == [[[4, 6, 8]]]


def test_prefix_tokens_of_several_layers_are_averaged():
    from helpers.planted_networks import Plan, Planted, image_of

    plan = Plan("tokens", (4, 6), 2)
    model = nn.Sequential(Planted(plan))
    image = image_of(plan, (1, 2))
    single = Explainer(model, layer="0.cells").explain(image, "hirescam", target=0, utility="logit")
    both = Explainer(model, layer=["0.cells", "0.cells"]).explain(image, "hirescam", target=0, utility="logit")
    torch.testing.assert_close(both.prefix, single.prefix)
    torch.testing.assert_close(both.values, single.values)


def test_several_layers_of_rules_are_found_and_named():
    explainer = Explainer(Stages(), layer=["before-pool", "last-conv", "one"])
    assert explainer.explain(noise(1, 3, 16, 16)).layer == "two + two.0 + one"


def test_an_unknown_fusion_and_a_game_at_several_layers_are_refused():
    with pytest.raises(OptionError, match="fuse='max' is unknown; did you mean 'maximum'"):
        Explainer(Smooth(), layer=["features", "after"], fuse="max")
    with pytest.raises(OptionError, match="the explainer has 2 layers, and a game is played at one"):
        Explainer(Stages(), layer=["one", "two"]).game(noise(1, 3, 16, 16))
