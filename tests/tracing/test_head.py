"""The head of a trace is the model's own, on real architectures."""

from __future__ import annotations

import pytest
import torch

from helpers.narrow_networks import narrow_network
from shapleycam.errors import ModelError, ReplayError
from shapleycam.tracing import trace
from shapleycam.tracing.extra import NO_EXTRA
from shapleycam.tracing.isolation import private_copy
from shapleycam.tracing.plan_learning import plan_for

# Architecture, image size, a layer on the main stream and one with skip connections or branches around it.
ARCHITECTURES = {
    "torchvision:resnet18": (96, "layer4", "layer4.1.bn1"),
    "torchvision:vgg11": (96, "features", "features.16"),
    "torchvision:mobilenet_v2": (96, "features", "features.17.conv.1"),
    "torchvision:densenet121": (96, "features", "features.denseblock4.denselayer16.conv1"),
    "torchvision:googlenet": (96, "inception5b", "inception5b.branch1"),
    "torchvision:inception_v3": (139, "Mixed_7c", "Mixed_7b.branch1x1"),
    "torchvision:efficientnet_b0": (96, "features", "features.7.0.block.1"),
    "torchvision:convnext_tiny": (96, "features", "features.7.2.block.0"),
    "torchvision:swin_t": (128, "norm", "features.7.1.norm1"),
    "torchvision:vit_b_32": (224, "encoder.layers.encoder_layer_10", "encoder.layers.encoder_layer_11.ln_1"),
    "torchvision:shufflenet_v2_x1_0": (96, "conv5", "stage4.3.branch2"),
    "torchvision:squeezenet1_1": (96, "features", "features.12.squeeze"),
    "torchvision:regnet_y_400mf": (96, "trunk_output", "trunk_output.block4.block4-1.f.b"),
    "timm:resnet18": (96, "layer4", "layer4.0.downsample"),
    "timm:tf_efficientnet_lite0": (96, "bn2", "blocks.5.1.conv_dw"),
    "timm:swin_tiny_patch4_window7_224": (224, "norm", "layers.3.blocks.1.norm1"),
    "timm:vit_tiny_patch16_224": (224, "blocks.10", "blocks.11.norm1"),
    "timm:levit_128": (224, "stages", "stages.2.blocks.3.attn"),
    "timm:maxvit_tiny_rw_224": (224, "stages.3", "stages.3.blocks.0.conv"),
    "timm:crossvit_tiny_240": (240, "blocks.1.blocks.0", "blocks.2.blocks.0.0.norm1"),
    "timm:cait_xxs24_224": (224, "blocks.22", "blocks.23.norm1"),
    "timm:nf_resnet26": (96, "final_conv", "stages.3.1.conv2"),
}
CASES = [(name, size, layer) for name, (size, *layers) in ARCHITECTURES.items() for layer in layers]


def build(name: str) -> torch.nn.Module:
    """An untrained network, its parameters frozen, with a classifier that is not zero, and in mixed modes."""
    torch.manual_seed(0)
    network = narrow_network(name)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return network.train()


@pytest.fixture
def images() -> torch.Tensor:
    """Two images of noise, small ones."""
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest error divided by the largest expected number."""
    return float((actual - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def network():
    """Return a function that builds each architecture once for its two layers."""
    built = {}

    def get(name):
        if name not in built:
            built.clear()
            built[name] = build(name)
        return built[name]

    return get


@pytest.mark.parametrize(("name", "size", "layer"), CASES, ids=[f"{n}|{layer}" for n, _, layer in CASES])
def test_head_equals_the_full_forward(network, name, size, layer):
    model = network(name)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    model.eval()
    with torch.no_grad():
        expected = model(images)
    assert expected.abs().max() > 0
    model.train()
    traced = trace(model, images, layer, replay=True)
    activation = traced.activation.detach()
    assert relative_error(traced.output.detach(), expected) < 1e-5
    assert relative_error(traced.head(activation), expected) < 1e-5
    rows = torch.tensor([1, 0, 1])
    assert relative_error(traced.head(activation[rows], rows), expected[rows]) < 1e-5
    assert all(module.training for module in model.modules())


def test_head_of_changed_activations_is_the_model_run_with_them(images):
    model = build("torchvision:resnet18").eval()
    layer = model.layer4[1].bn1
    traced = trace(model, images[:1], layer, replay=True)
    changed = torch.rand_like(traced.activation.detach()).repeat(3, 1, 1, 1)
    changed[1] = 0
    handle = layer.register_forward_hook(lambda *_: changed.clone())
    with torch.no_grad():
        expected = model(images[:1].repeat(3, 1, 1, 1))
    handle.remove()
    assert relative_error(traced.head(changed), expected) < 1e-5


def test_head_is_differentiable_where_the_activation_is(images):
    traced = trace(build("torchvision:resnet18"), images, "layer3", replay=True)
    leaf = traced.activation.detach().requires_grad_()
    (by_head,) = torch.autograd.grad(traced.head(leaf).square().sum(), leaf)
    (by_trace,) = torch.autograd.grad(traced.output.square().sum(), traced.activation)
    torch.testing.assert_close(by_head, by_trace, rtol=1e-4, atol=1e-6)
    assert not traced.head(traced.activation.detach()).requires_grad


def plan_of(model, layer, images):
    return plan_for(model, private_copy(model), layer, images, NO_EXTRA)


def test_nothing_is_kept_where_the_head_reads_nothing(images):
    model = build("torchvision:resnet18").eval()
    plan = plan_of(model, "layer4", images)
    assert [step.module for step in plan.steps] == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"]
    assert not any(step.is_read for step in plan.steps)
    assert not plan.reads_images


def test_only_the_skip_connection_is_kept_inside_a_block(images):
    model = build("torchvision:resnet18").eval()
    plan = plan_of(model, "layer4.1.conv2", images)
    assert [step.module for step in plan.steps if step.is_read] == ["layer4.0"]


def test_what_the_model_overwrites_in_place_is_kept_as_a_copy(images):
    """timm adds the shortcut in place to what the block's other branch returned."""
    model = build("timm:resnet18").eval()
    plan = plan_of(model, "layer4.0.downsample", images)
    assert [step.module for step in plan.steps if step.is_read and step.is_written] == ["layer4.0.bn2"]


class Random(torch.nn.Module):
    """A model that is not deterministic in eval mode."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.first(x).mean((2, 3)) * self.calls


def test_a_head_that_gives_another_output_is_refused():
    with pytest.raises(ModelError, match=r"layer 'first': what comes after it draws at random in eval mode"):
        trace(Random(), torch.rand(1, 3, 8, 8), "first", replay=True)


class ReadsShape(torch.nn.Module):
    """The head reads the image itself, and a module's output through a view that is overwritten in place."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 1)
        self.side = torch.nn.Conv2d(4, 4, 1)
        self.body = torch.nn.Conv2d(4, 4, 1)

    def forward(self, x):
        stem = self.stem(x)
        side = self.side(stem)
        body = self.body(stem)
        side.view(len(x), -1).mul_(2)
        return (torch.relu_(body) * side).mean((2, 3)) + x.mean((2, 3)).sum(1, keepdim=True)


def test_images_and_overwritten_views_are_replayed():
    torch.manual_seed(0)
    model, images = ReadsShape(), torch.rand(3, 3, 5, 5)
    traced = trace(model, images, "body", replay=True)
    expected = model(images).detach()
    for _ in range(2):
        torch.testing.assert_close(traced.head(traced.activation.detach()), expected)
    rows = torch.tensor([2, 2, 0])
    torch.testing.assert_close(traced.head(traced.activation.detach()[rows], rows), expected[rows])
    plan = plan_of(model, "body", images)
    assert plan.reads_images
    assert plan.writes_activation
    assert [(step.module, step.is_read, step.is_written) for step in plan.steps] == [
        ("stem", False, False),
        ("side", True, True),
    ]


class Shared(torch.nn.Module):
    """One activation module before and after the layer, and called with what is kept."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 4, 1)
        self.relu = torch.nn.ReLU(inplace=True)

    def forward(self, x):
        early = self.relu(self.first(x))
        return (self.relu(self.second(early)) + early).mean((2, 3))


def test_a_module_that_runs_before_and_after_the_layer():
    torch.manual_seed(0)
    model, images = Shared(), torch.rand(2, 3, 5, 5)
    traced = trace(model, images, "second", replay=True)
    changed = traced.activation.detach() - 0.3
    early = model.relu(model.first(images))
    expected = (torch.relu(changed) + early).mean((2, 3)).detach()
    torch.testing.assert_close(traced.head(changed), expected)
    assert (changed < 0).any()  # a copy was handed to the in-place ReLU


@pytest.mark.parametrize(
    ("rows", "samples", "text"),
    [
        (3, None, r"3 rows for a pass of 2 images; expected one row an image, or samples= of each row"),
        (3, [0, 1], r"3 rows and 2 samples for a pass of 2 images"),
    ],
)
def test_rows_that_do_not_fit_the_pass_are_refused(rows, samples, text):
    traced = trace(Shared(), torch.rand(2, 3, 5, 5), "second", replay=True)
    with pytest.raises(ReplayError, match=text):
        traced.head(torch.rand(rows, 4, 5, 5), None if samples is None else torch.tensor(samples))
    with pytest.raises(ReplayError, match=r"activations of shape \(2, 4, 5, 6\); expected \(rows, 4, 5, 5\)"):
        traced.head(torch.rand(2, 4, 5, 6))
