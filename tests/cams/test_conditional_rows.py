"""Methods of models that have what they need, on networks that fit; refused on others."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

import shapleycam
from helpers.lazy_modules import LazyModule
from helpers.table_rows import OF_SOME_MODELS
from helpers.user_models import assert_untouched, state_of
from shapleycam import METHODS, Explainer
from shapleycam.cams.attention_rollout import roll_out, roll_out_gradients
from shapleycam.errors import OptionError
from shapleycam.tracing.attention_maps import AttentionMap

torchcam_methods = LazyModule("torchcam.methods")

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE, TOKENS = 32, 17


def convolutional():
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 6, 3, stride=4), nn.BatchNorm2d(6), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)).eval()


def vit(**options):
    torch.manual_seed(0)
    shape = {"img_size": SIZE, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 5}
    model = timm.models.VisionTransformer(**shape, **options).eval()
    for block in model.blocks:
        block.attn.qkv.weight.data *= 20  # so that attention differs from place to place
    return model


def of_torchvision():
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(SIZE, 8, 3, 3, 24, 48, num_classes=5).eval()
    nn.init.normal_(model.heads.head.weight)  # which is zero at first
    return model


def of_transformers():
    torch.manual_seed(0)
    shape = {"image_size": SIZE, "patch_size": 8, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3}
    config = transformers.ViTConfig(**shape, intermediate_size=48, num_labels=5, attn_implementation="sdpa")
    return transformers.ViTForImageClassification(config).eval()


FITTING = {
    **dict.fromkeys(("cam", "finercam", "guidedbackprop", "guidedgradcam"), (convolutional, "2")),
    **dict.fromkeys(("attentionrollout", "gradientrollout", "legrad"), (vit, None)),
}


def pictures(count=3):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def explainer_of(method, **options):
    make, layer = FITTING[method]
    return Explainer(make(), **({} if layer is None else {"layer": layer}), **options)


# What holds for every row


def test_every_such_row_has_a_network_here():
    assert set(FITTING) == set(OF_SOME_MODELS)
    assert all(METHODS[name].sets == ("field",) for name in FITTING)


@pytest.mark.parametrize("method", OF_SOME_MODELS)
def test_nothing_is_changed_and_a_default_device_does_not_matter(method):
    explainer, images = explainer_of(method), pictures()
    before, random_state = state_of(explainer.model), torch.get_rng_state()
    expected = explainer.explain(images, method).values
    assert_untouched(before, explainer.model)
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.device("meta"):
        actual = explainer.explain(images, method).values
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("method", OF_SOME_MODELS)
def test_independent_of_batch_mates(method):
    explainer, images = explainer_of(method), pictures()
    together = explainer.explain(images, method, target=1)
    assert together.heatmap.shape == (3, SIZE, SIZE)
    assert together.heatmap.amin() == 0
    assert together.heatmap.amax() <= 1
    assert together.values.dtype == torch.float32
    alone = explainer.explain(images[1:2], method, target=1)
    torch.testing.assert_close(alone.values[0], together.values[1], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("method", OF_SOME_MODELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_formats(method, dtype):
    make, layer = FITTING[method]
    expected = Explainer(make().to(dtype).float(), layer=layer).explain(pictures(), method, target=1).values
    actual = Explainer(make().to(dtype), layer=layer).explain(pictures(), method, target=1).values
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", OF_SOME_MODELS)
def test_regions_of_the_game_and_no_grad_do_not_matter(method):
    explainer = explainer_of(method)
    expected = explainer.explain(pictures(), method).values
    with torch.inference_mode():
        torch.testing.assert_close(explainer.explain(pictures(), method, players=(2, 2)).values, expected)


# CAM


def test_cam_is_the_classifiers_weights_times_the_activation():
    model, images = convolutional(), pictures()
    activation = model[:3](images)
    expected = torch.einsum("bkhw,k->bhw", activation, model[5].weight[2]) / activation[0, 0].numel()
    for utility in ("rest", "logit", "probability"):
        actual = Explainer(model, layer="2", utility=utility).explain(images, "cam", target=2)
        torch.testing.assert_close(actual.values, expected.detach(), rtol=1e-4, atol=1e-7)


def test_torchcam_has_the_same_cam():
    model, images = convolutional(), pictures(1)
    with torchcam_methods.CAM(model, "2", fc_layer="5", input_shape=(3, SIZE, SIZE)) as extractor:
        (theirs,) = extractor(2, model(images), normalized=False)
    ours = Explainer(model, layer="2").explain(images, "cam", target=2).values
    torch.testing.assert_close(ours * theirs[0].numel(), theirs, rtol=1e-4, atol=1e-6)


def max_pooled():
    return nn.Sequential(*convolutional()[:3], nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 5)).eval()


def two_layers():
    return nn.Sequential(*convolutional()[:5], nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 5)).eval()


def by_position():
    return nn.Sequential(*convolutional()[:3], nn.Flatten(), nn.Linear(6 * 64, 5)).eval()


@pytest.mark.parametrize(
    ("make", "layer"), [(max_pooled, "2"), (two_layers, "2"), (by_position, "2"), (convolutional, "1"), (vit, None)]
)
def test_cam_is_refused_where_the_head_is_anything_else(make, layer):
    with pytest.raises(OptionError, match=r"method 'cam' needs a model that averages the positions of layer .* and is"):
        Explainer(make(), layer=layer).explain(pictures(), "cam")


def test_cam_is_refused_for_a_question_that_is_not_of_classes():
    model = convolutional()[:5]
    with pytest.raises(OptionError, match=r"utility 'logit' reads scores, and that of the game, 'value', numbers; e"):
        Explainer(model, layer="2", utility="value").explain(pictures(), "cam", target=0)


# FinerCAM


def test_finercam_is_gradcam_against_the_mean_of_the_nearest_classes():
    model, images = convolutional(), pictures()
    ours = Explainer(model, layer="2").explain(images, "finercam", target=2)
    activation = model[:3](images).detach().requires_grad_()
    scores = model[3:](activation)
    total = 0
    for row in scores:
        others = sorted((abs(float(row[c] - row[2])), c) for c in range(5) if c != 2)
        total = total + row[2] - sum(row[c] for _, c in others[:3]) / 3
    (gradient,) = torch.autograd.grad(total, activation)
    expected = (activation * gradient.mean((2, 3), keepdim=True)).sum(1).detach()
    torch.testing.assert_close(ours.values, expected, rtol=1e-3, atol=1e-6)
    utility = shapleycam.utilities.contrast_with_similar()
    asked = Explainer(model, layer="2").explain(images, "gradcam", target=2, utility=utility)
    torch.testing.assert_close(asked.values, expected, rtol=1e-3, atol=1e-6)


def test_finercam_is_refused_for_a_question_that_is_not_of_classes():
    with pytest.raises(OptionError, match=r"utility 'logit' reads scores, and that of the game, 'value', numbers; e"):
        Explainer(convolutional()[:5], layer="2", utility="value").explain(pictures(), "finercam", target=0)


# Rollout


def attentions_by_hooks(model, images, target):
    """The probabilities of each block with their gradients, where attention is not fused."""
    model = copy.deepcopy(model)
    maps = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    scores = model(images)[:, target]
    return maps, torch.autograd.grad(scores.sum(), maps)


def rolled_by_hand(maps, gradients=None):
    """Row by row in float64, from the last block to the first: what a token is made of."""
    tokens = maps[0].shape[-1]
    rolled = torch.eye(tokens, dtype=torch.float64).repeat(len(maps[0]), 1, 1)
    for index in reversed(range(len(maps))):
        a = maps[index].double()
        if gradients is None:
            step = 0.5 * a.mean(1) + 0.5 * torch.eye(tokens)
        else:
            step = torch.eye(tokens) + (a * gradients[index].double()).clamp(min=0).mean(1)
        rolled = rolled @ step
    return rolled.detach()


READ = {"class token": ({}, slice(0, 1)), "mean of patches": ({"global_pool": "avg"}, slice(1, None))}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("method", ["attentionrollout", "gradientrollout"])
def test_rollout_by_hooks_on_attention_that_is_not_fused(method, read):
    options, rows = READ[read]
    model, images = vit(**options), pictures()
    maps, gradients = attentions_by_hooks(model, images, 1)
    rolled = rolled_by_hand(maps, gradients if method == "gradientrollout" else None)[:, rows].mean(1)
    e = Explainer(model, layer="blocks.2.norm1", utility="logit").explain(images, method, target=1)
    torch.testing.assert_close(e.values.flatten(1).double(), rolled[:, 1:], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(e.prefix.double(), rolled[:, 0], rtol=1e-3, atol=1e-6)
    assert float(e.values.std()) > 1e-4  # there is something to be compared


def test_rollout_by_pencil():
    """Two tokens, two blocks of one head; token 0 looks at 1 alone, then at both alike; 1 at itself, then at 0."""
    first, second = torch.tensor([[[[0.0, 1], [0, 1]]]]), torch.tensor([[[[0.5, 0.5], [1, 0]]]])
    maps = [AttentionMap(first, torch.ones_like(first)), AttentionMap(second, -torch.ones_like(second))]
    # (I + A) / 2: [[1/2, 1/2], [0, 1]] and [[3/4, 1/4], [1/2, 1/2]].
    assert roll_out(maps).tolist() == [[[3 / 8, 5 / 8], [1 / 4, 3 / 4]]]
    # Of the second attention nothing speaks for the class.
    assert roll_out_gradients(maps).tolist() == [[[1, 1], [0, 2]]]


def test_transformers_own_attentions_give_the_same_rollout():
    model, images = of_transformers(), pictures()
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    maps = eager(images, output_attentions=True).attentions
    ours = Explainer(model, layer="vit.layers.2.layernorm_before").explain(images, "attentionrollout").values
    torch.testing.assert_close(ours.flatten(1).double(), rolled_by_hand(maps)[:, 0, 1:], rtol=1e-3, atol=1e-6)


def test_torchvisions_attention_is_read_as_well():
    model, images = of_torchvision(), pictures()
    maps = []
    for layer in (by_weights := copy.deepcopy(model)).encoder.layers:
        attention = layer.self_attention
        forward = attention.forward

        def keep(query, key, value, forward=forward, **_):
            output, weights = forward(query, key, value, need_weights=True, average_attn_weights=False)
            maps.append(weights)
            return output, weights

        attention.forward = keep
    by_weights(images)
    ours = Explainer(model, layer="encoder.layers.encoder_layer_2.ln_1").explain(images, "attentionrollout").values
    torch.testing.assert_close(ours.flatten(1).double(), rolled_by_hand(maps)[:, 0, 1:], rtol=1e-3, atol=1e-6)


def test_only_gradientrollout_looks_at_the_class():
    explainer, images = explainer_of("gradientrollout", utility="logit"), pictures()
    first, second = (explainer.compare(images, ["attentionrollout", "gradientrollout"], target=c) for c in (1, 2))
    assert torch.equal(first["attentionrollout"].values, second["attentionrollout"].values)
    assert not torch.allclose(first["gradientrollout"].values, second["gradientrollout"].values)


def swin():
    torch.manual_seed(0)
    shape = {"img_size": SIZE, "patch_size": 4, "window_size": 4, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2)}
    return timm.models.SwinTransformer(**shape, num_classes=5).eval()


@pytest.mark.parametrize(
    ("make", "layer", "reason"),
    [
        (convolutional, "2", "the model has none"),
        (swin, "norm", r"the model has attention of shape \(12, 1, 16, 16\)"),  # the last stage is one window
        (vit, "patch_embed.proj", r"16 tokens .* the model has attention of shape \(3, 3, 17, 17\)"),
    ],
)
@pytest.mark.parametrize("method", ["attentionrollout", "gradientrollout"])
def test_rollout_is_refused_where_attention_is_not_between_all_tokens(make, layer, reason, method):
    with pytest.raises(OptionError, match=f"rollout is of attention between all.*{reason}.*choose a layer of tokens"):
        Explainer(make(), layer=layer).explain(pictures(), method)
