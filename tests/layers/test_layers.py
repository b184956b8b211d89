"""Which layers can be explained, and which of them comes before pooling."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from helpers.narrow_networks import narrow_network
from shapleycam.errors import LayerError, ModelError
from shapleycam.layers import Candidate, audit, find_before_pool
from shapleycam.models.layout import Layout


def noise(size: int) -> torch.Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def candidates(model: nn.Module, image: torch.Tensor) -> tuple[Candidate, ...]:
    return audit(model, image).candidates


def last(model: nn.Module, image: torch.Tensor) -> Candidate:
    return find_before_pool(audit(model, image), model, image)


def by_name(model: nn.Module, size: int) -> dict[str, Candidate]:
    return {candidate.name: candidate for candidate in candidates(model, noise(size))}


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )


# Of networks that people use

BEFORE_POOL = {
    "torchvision:resnet18": ("layer4", 96),
    "torchvision:vgg16": ("features", 224),
    "torchvision:densenet121": ("features", 96),
    "torchvision:mobilenet_v2": ("features", 96),
    "torchvision:efficientnet_b0": ("features", 96),
    "torchvision:convnext_tiny": ("features", 96),
    "torchvision:inception_v3": ("Mixed_7c", 139),
    "torchvision:googlenet": ("inception5b", 96),
    "timm:resnet18": ("layer4", 96),
    "timm:tf_efficientnet_lite0": ("bn2", 96),
    "timm:swin_tiny_patch4_window7_224": ("norm", 64),
    "timm:vit_tiny_patch16_224": ("blocks.11.norm1", 64),
}


def untrained(name: str) -> nn.Module:
    return narrow_network(name, **({"img_size": 64} if name.endswith("_224") else {}))


@pytest.mark.parametrize("name", BEFORE_POOL)
def test_finds_the_layer_before_pooling(name):
    layer, size = BEFORE_POOL[name]
    assert last(untrained(name), noise(size)).name == layer


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:tf_efficientnet_lite0"])
def test_every_candidate_is_a_layer_with_the_activation_that_it_says(name):
    model, image = untrained(name).eval(), noise(96)
    shapes = {}

    def note(module, _, value):
        shapes.setdefault(module, value.shape[1:])

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    actual = candidates(model, image)
    assert len(actual) > 10
    for candidate in actual:
        assert tuple(shapes[model.get_submodule(candidate.name)]) == candidate.shape


# On a network small enough to be done by hand


def test_the_gradient_norm_is_that_of_the_predicted_logit_by_the_activation():
    model, image = small(), noise(17)
    first, second = model[0](image).detach().requires_grad_(), model[2](relu(model[0](image))).detach().requires_grad_()
    at_first = model[5](model[4](relu(model[2](relu(first)))))
    at_second = model[5](model[4](relu(second)))
    expected = {
        "0": torch.autograd.grad(model[6](at_first).max(), first)[0],
        "2": torch.autograd.grad(model[6](at_second).max(), second)[0],
    }
    actual = {candidate.name: candidate for candidate in candidates(model, image)}
    for name, gradient in expected.items():
        assert actual[name].gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-5)
        assert actual[name].live_cells == int((gradient[0].abs().amax(0) > 0).sum())


def test_layers_are_in_running_order_with_shape_and_layout():
    actual = candidates(small(), noise(17))
    assert [candidate.name for candidate in actual] == ["0", "1", "2", "3"]  # the pooled rest has no grid
    assert actual[0].shape == (4, 8, 8)
    assert actual[0].layout == Layout("NCHW", (8, 8))
    assert actual[2].shape == (6, 3, 3)


class Nested(nn.Module):
    """A stem, a block that ends in a convolution, and what does not reach the output."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3)))
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Conv2d(4, 4, 1)
        self.never = nn.Conv2d(4, 4, 1)
        self.drop = nn.Dropout()
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.block(x)
        self.unused(x)
        return self.fc(self.drop(self.twice(self.twice(x))).mean((2, 3)))


def test_of_a_block_and_its_last_layer_the_block_is_named():
    names = list(by_name(Nested(), 16))
    assert "block" in names
    assert "block.1" not in names
    assert "block.1.1" not in names
    assert "block.0" in names


@pytest.mark.parametrize("layer", ["twice", "unused", "never", "drop"])
def test_layers_without_an_activation_of_their_own_that_matters_are_not_named(layer):
    assert layer not in by_name(Nested(), 16)


class ClassToken(nn.Module):
    """Sixteen patches and a class token, of which the head reads only the latter; attention mixes them."""

    num_prefix_tokens = 1

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat([patches.mean(1, keepdim=True), patches], 1))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.fc(self.out(tokens)[:, 0])


def test_a_layer_whose_positions_no_longer_reach_the_class_token_is_not_before_pooling():
    model = ClassToken()
    actual = last(model, noise(16))
    assert actual.name == "norm"
    assert actual.layout == Layout("tokens", (4, 4), prefix=1)
    assert actual.live_cells == 16
    assert "out" not in by_name(model, 16)


def test_a_layer_of_which_one_position_is_read_is_not_before_pooling():
    class Corner(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 4, stride=4), nn.Conv2d(4, 4, 3, padding=1)
            self.fc = nn.Linear(4, 5)

        def forward(self, x):
            return self.fc(self.second(self.first(x))[..., 0, 0])

    model = Corner()
    assert [(c.name, c.live_cells) for c in candidates(model, noise(16))] == [("first", 4), ("second", 1)]
    assert last(model, noise(16)).name == "first"


# What cannot be explained


def test_a_model_without_a_grid_is_refused_with_the_remedy():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5))
    with pytest.raises(LayerError, match=r"no layer of this model has .* a grid of positions .*; name one with layer="):
        last(model, noise(16))


def test_an_output_of_which_several_parts_could_be_meant_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(ModelError, match=r"returns a tuple of 2 tensors: 0 \(1, 3, 16, 16\), .* say which .* output=0"):
        candidates(Two(), noise(16))


def test_weights_that_are_not_finite_are_named():
    model = small()
    with torch.no_grad():
        model[2].bias[1] = torch.nan
    with pytest.raises(ModelError, match=r"the output holds NaN .* the weight '2\.bias' is not finite"):
        candidates(model, noise(17))


# The model is a guest's


def test_the_model_is_left_as_it_was_found():
    model = Nested()
    model.norm = nn.BatchNorm2d(4)  # with running statistics that train mode would move
    model.block[1].train()
    model.block.eval()
    model.block[0].weight.requires_grad_(False)
    model.fc.bias.grad = torch.ones(5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()

    candidates(model, noise(16))

    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not model.block[0].weight.requires_grad
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"fc.bias"}
    assert torch.equal(model.fc.bias.grad, torch.ones(5))
    assert not any("forward" in vars(module) or module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_frozen_and_training_models_give_the_same_layers():
    model = Nested()
    expected = candidates(model.eval(), noise(16))
    assert candidates(model.train().requires_grad_(requires_grad=False), noise(16)) == expected


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_inside_the_callers(context):
    model = small()
    expected = candidates(model, noise(17))
    with context():
        assert candidates(model, noise(17)) == expected
