"""Layouts are proven: what is a grid of the image in reading order is taken, all else is refused with what it is."""

from __future__ import annotations

import timm
import torch
from pytest import mark, raises, warns  # noqa: PT013  # used in every test
from torch import nn
from torch.nn import functional as F

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer
from shapleycam.errors import LayerError, LayoutWarning
from shapleycam.layers import audit, find_layer, layout_at
from shapleycam.models.layout import Layout

transformers = LazyModule("transformers")

TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def activation_of(model: nn.Module, layer: str, image: torch.Tensor) -> torch.Tensor:
    seen = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _, __, value: seen.append(value))
    model.eval()(image)
    handle.remove()
    return seen[0]


def proven_layout(model: nn.Module, layer: str, image: torch.Tensor) -> Layout:
    return layout_at(model.eval(), layer, activation_of(model, layer, image), image)


def reason_of(model: nn.Module, layer: str, image: torch.Tensor) -> str:
    with raises(LayerError) as refused:
        proven_layout(model, layer, image)
    return str(refused.value)


def strongest_cells(model: nn.Module, layer: str, image: torch.Tensor, layout: Layout) -> list[tuple[int, ...]]:
    """By hand: the cell of the image that each cell of the layer depends on most, by the gradient of its channels."""
    image = image.clone().requires_grad_()
    positions = layout.positions(activation_of(model, layer, image))[0, layout.prefix :]
    cells = []
    for position in positions:
        (gradient,) = torch.autograd.grad(position.square().sum(), image, retain_graph=True)
        energy = nn.functional.adaptive_avg_pool2d(gradient.square().sum(1), layout.grid)[0]
        cells.append(tuple(int(i) for i in torch.unravel_index(energy.argmax(), energy.shape)))
    return cells


class Tokens(nn.Module):
    """Patches of 4 x 4 pixels as tokens in an order of one's own, then a transformer's layer."""

    def __init__(self, order=None, before: int = 0, after: int = 0):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.order, self.fc = nn.Conv2d(3, 8, 4, 4), order, nn.Linear(8, 5)
        self.before, self.after = nn.Parameter(torch.randn(1, before, 8)), nn.Parameter(torch.randn(1, after, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, dropout=0.0)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        x = self.patches(x)
        x = x.flatten(2).transpose(1, 2) if self.order is None else self.order(x)
        ends = (end.expand(len(x), -1, -1) for end in (self.before, self.after))
        first, last = ends
        return self.fc(self.norm(self.block(torch.cat([first, x, last], 1)))).mean(1)


def columns_first(x):
    return x.transpose(2, 3).flatten(2).transpose(1, 2)


def reverse_every_other_row(x):
    """Return tokens of which every other row goes from right to left."""
    x = x.clone()
    x[:, :, 1::2] = x[:, :, 1::2].flip(3)
    return x.flatten(2).transpose(1, 2)


def quadrants(x):
    return x.unflatten(2, (2, -1)).unflatten(4, (2, -1)).permute(0, 2, 4, 3, 5, 1).flatten(1, 4)


ORDERS = {"columns first": columns_first, "there and back": reverse_every_other_row, "quadrants": quadrants}


# The order of tokens


@mark.parametrize("name", ORDERS)
def test_tokens_in_another_order_than_reading_are_refused(name):
    model, image = Tokens(ORDERS[name]), noise(1, 3, 16, 24)
    message = reason_of(model, "norm", image)
    assert message.startswith("layer 'norm' returns shape (1, 24, 8) for images of 16 x 24, in which there is no grid")
    assert "its tokens are a grid of 4 x 6 in another order than reading: token 1 lies at row" in message
    assert "layout=" not in message  # none could be said
    assert find_layer(model, image, "before-pool") == "patches"


@mark.parametrize("before", [0, 1, 3])
def test_tokens_in_reading_order_are_taken_after_any_number_of_prefix_tokens(before):
    model, image = Tokens(before=before), noise(1, 3, 16, 24)
    layout = proven_layout(model, "norm", image)
    assert layout == Layout("tokens", (4, 6), before)
    assert strongest_cells(model, "norm", image, layout) == [(i, j) for i in range(4) for j in range(6)]


def test_a_declared_number_of_prefix_tokens_is_no_proof():
    model = Tokens(before=1)
    model.num_prefix_tokens, model.patch_size = 10, 4
    assert proven_layout(model, "norm", noise(1, 3, 16, 24)) == Layout("tokens", (4, 6), 1)


def test_tokens_without_a_place_at_the_end_are_refused():
    """25 tokens are a grid of 4 x 6 after a class token in number only: here it comes last."""
    message = reason_of(Tokens(after=1), "norm", noise(1, 3, 16, 24))
    assert "the last 1 of its 25 tokens have no place in the image" in message


@mark.parametrize("pooled", [(2, 3), (1, 6)])
def test_tokens_that_sum_up_parts_of_the_image_are_no_prefix(pooled):
    class Carriers(Tokens):
        def forward(self, x):
            x = self.patches(x)
            parts = nn.functional.adaptive_avg_pool2d(x, pooled)
            x = torch.cat([part.flatten(2).transpose(1, 2) for part in (parts, x)], 1)
            return self.fc(self.norm(self.block(x))).mean(1)

    message = reason_of(Carriers(), "norm", noise(1, 3, 48, 72))
    assert "stand for parts of the image" in message


def test_a_row_that_was_rolled_to_the_top_is_no_prefix():
    rolled = lambda x: x.roll(1, 2).flatten(2).transpose(1, 2)  # noqa: E731
    reason_of(Tokens(rolled), "norm", noise(1, 3, 48, 72))


def test_a_class_token_that_went_through_a_stage_of_its_own_is_a_prefix():
    """As in PiT: the tokens are pooled by a convolution, the class token by a linear layer."""

    class Stages(Tokens):
        def __init__(self):
            super().__init__(before=1)
            self.pool, self.beside = nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.Linear(8, 8)
            self.second = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, dropout=0.0)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = self.block(torch.cat([self.before.expand(len(x), -1, -1), x], 1))
            token, x = self.beside(x[:, :1]), self.pool(x[:, 1:].transpose(1, 2).unflatten(2, (12, 18)))
            return self.fc(self.norm(self.second(torch.cat([token, x.flatten(2).transpose(1, 2)], 1)))[:, 0])

    assert proven_layout(Stages(), "norm", noise(1, 3, 48, 72)) == Layout("tokens", (6, 9), 1)


def test_an_order_that_the_image_decides_is_refused():
    """The strongest half of the tokens, as pruned transformers keep them."""
    keep = lambda x: (t := x.flatten(2).transpose(1, 2))[:, t.norm(dim=2)[0].topk(8).indices]  # noqa: E731
    message = reason_of(Tokens(keep), "norm", noise(1, 3, 16, 16))
    assert "where they are is not known behind the operation 'topk'" in message
    assert "layout='tokens 14x14 after 1'" in message


def test_hieras_layers_before_the_last_stage_are_refused_and_its_last_are_taken():
    model = timm.models.hiera.Hiera(
        img_size=(64, 96), embed_dim=4, num_heads=1, stages=(1, 1, 1, 1), num_classes=5, mask_unit_size=(8, 8)
    )
    image = noise(1, 3, 64, 96)
    for block, grid in (("blocks.0", "16 x 24"), ("blocks.1", "8 x 12"), ("blocks.2", "4 x 6")):
        assert f"a grid of {grid} in another order than reading" in reason_of(model, block, image)
    last = proven_layout(model, "blocks.3", image)
    assert last == Layout("tokens", (2, 3))
    assert strongest_cells(model, "blocks.3", image, last) == [(i, j) for i in range(2) for j in range(3)]


def test_timesformers_places_before_frames_are_refused():
    config = transformers.TimesformerConfig(image_size=16, patch_size=8, num_frames=4, num_labels=3, **TINY)
    model = transformers.TimesformerForVideoClassification(config).eval()
    with raises(
        LayerError, match=r"its tokens are a grid of 4 x 2 x 2 in another order .*: token 2 lies at depth 1, row"
    ):
        Explainer(model, layer="timesformer.encoder").explain(noise(1, 4, 3, 16, 16))


def test_detection_tokens_are_no_places_though_a_patch_size_is_declared():
    """25 tokens: 16 patches, a class token before them, and 8 detections after them."""
    config = transformers.YolosConfig(image_size=[32, 32], patch_size=8, num_detection_tokens=8, num_labels=3, **TINY)
    message = reason_of(transformers.YolosForObjectDetection(config), "vit.layernorm", noise(1, 3, 32, 32))
    assert "the last 8 of its 25 tokens have no place in the image" in message


class Latents(nn.Module):
    """Learned latents, as many as a grid has cells, that read the image by attention, as a Perceiver's."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.latents = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 16, 8))
        self.read = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        latents = self.latents.expand(len(x), -1, -1)
        return self.fc(self.norm(latents + self.read(latents, x, x, need_weights=False)[0])).mean(1)


def test_learned_latents_are_no_places():
    assert "no grid of places of the image" in reason_of(Latents(), "norm", noise(1, 3, 16, 16))


# Axes


def test_tokens_in_blocks_are_no_rows():
    model = timm.models.nest.Nest(64, embed_dims=(8, 8, 8), num_heads=(1, 1, 1), depths=(1, 1, 1), num_classes=5)
    message = reason_of(model, "levels.0.transformer_encoder.0.norm1", noise(1, 3, 64, 64))
    assert "in which there is no grid of positions: " in message


def test_attention_maps_are_no_images():
    model = timm.models.vision_transformer.VisionTransformer(
        32, 8, embed_dim=8, depth=1, num_heads=2, num_classes=5, class_token=True
    )
    model.blocks[0].attn.fused_attn = False
    message = reason_of(model, "blocks.0.attn.attn_drop", noise(1, 3, 32, 32))
    assert "returns shape (1, 2, 17, 17)" in message
    assert "its places lie along axis 2; expected 2 and 3" in message


@mark.parametrize("steps", [16, 64])
def test_channels_of_a_time_series_are_no_tokens(steps):
    series = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, steps, 3, padding=1))
    message = reason_of(series, "3", noise(1, 1, 1, steps))
    assert "its places lie along axis 2; expected axis 1, of tokens (b, n, k)" in message
    assert proven_layout(nn.Sequential(series, Turned()), "1", noise(1, 1, 1, steps)) == Layout("tokens", (1, steps))


class Turned(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


@mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x.transpose(2, 3), "rows do not follow each other"),
        (lambda x: x.flip(2), "rows do not follow each other"),
        (lambda x: x.flip(3), "columns do not follow each other"),
        (lambda x: x.roll(3, 3), "columns"),
        (lambda x: x[..., :3, :], "rows cover the image only from pixel 0 to 6 of 16"),
        (lambda x: x.flatten(2).roll(1, 2).unflatten(2, (8, 8)), "rows"),
    ],
)
def test_a_map_that_is_not_the_image_in_its_order_is_refused(change, reason):
    class Changed(nn.Module):
        def forward(self, x):
            return change(x)

    model = nn.Sequential(nn.Conv2d(3, 8, 2, 2), Changed(), nn.Conv2d(8, 8, 1))
    image = noise(1, 3, 16, 16)
    assert proven_layout(model, "0", image) == Layout("NCHW", (8, 8))
    assert reason in reason_of(model, "2", image)


@mark.parametrize("pool", [(7, 7), (5, 4)])
def test_a_pooling_to_more_cells_than_there_are_is_taken(pool):
    """As VGG's, of a small image: 3 x 3 cells become 7 x 7."""
    model = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.AdaptiveAvgPool2d(pool))
    assert proven_layout(model, "1", noise(1, 3, 24, 24)) == Layout("NCHW", pool)


def test_what_is_turned_back_is_taken():
    class Twice(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x).transpose(2, 3)).transpose(2, 3)

    model = nn.Sequential(Twice(nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 3, padding=1)), nn.ReLU())
    assert proven_layout(model, "1", noise(1, 3, 16, 12)) == Layout("NCHW", (8, 6))


def test_windows_are_followed_there_and_back():
    model = timm.models.swin_transformer.SwinTransformer(
        32, 4, window_size=4, embed_dim=8, depths=(2,), num_heads=(1,), num_classes=5
    )
    layout = proven_layout(model, "layers.0.blocks.1", noise(1, 3, 32, 32))
    assert layout == Layout("NHWC", (8, 8))


# Elementwise layers


def plain_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
    )


@mark.parametrize("size", [17, 32, 33, 44, 48])
def test_the_default_layer_does_not_change_with_the_size_of_the_image(size):
    model = plain_network()
    assert find_layer(model, noise(1, 3, size, size + 5), "before-pool") == "3"
    cells = [-(-side // 4) for side in (size, size + 5)]
    assert proven_layout(model, "3", noise(1, 3, size, size + 5)) == Layout("NCHW", tuple(cells))


@mark.parametrize("layer", [nn.ReLU(), nn.Sequential(), nn.GELU(), nn.Dropout(), nn.BatchNorm2d(12), nn.Softmax(1)])
@mark.parametrize("channels_last", [False, True])
def test_an_elementwise_layer_has_its_inputs_layout_whatever_the_shape(layer, channels_last):
    """12 channels of 12 x 12 cells: the shape says nothing."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.layer = nn.Conv2d(3, 12, 2, 2), layer

        def forward(self, x):
            x = self.conv(x)
            return self.layer(x.permute(0, 2, 3, 1) if channels_last else x)

    layout = proven_layout(Net(), "layer", noise(1, 3, 24, 24))
    assert layout == Layout("NHWC" if channels_last else "NCHW", (12, 12))


@mark.parametrize("name", ["resnet10t", "test_efficientnet", "test_vit", "test_convnext"])
@mark.parametrize("size", [(96, 160), (101, 67)])
def test_images_of_any_size_are_taken(name, size):
    options = {"dynamic_img_size": True, "dynamic_img_pad": True} if name == "test_vit" else {}
    model = timm.create_model(name, num_classes=5, **options).eval()
    image = noise(1, 3, *size)
    layer = find_layer(model, image, "before-pool")
    assert proven_layout(model, layer, image).count > 1


# A grid of one cell


def test_one_cell_is_refused_with_how_to_take_it_all_the_same():
    image = noise(1, 3, 4, 4)
    message = reason_of(plain_network(), "3", image)
    assert message == (
        "layer '3' returns shape (1, 12, 1, 1) for images of 4 x 4, which is one cell; choose an earlier layer, or "
        "take it as it is with layout='NCHW 1 x 1'"
    )
    for layout in ("NCHW", "NCHW 1 x 1"):
        assert Explainer(plain_network(), layer="3", layout=layout).game(image).layout == Layout("NCHW", (1, 1))


# What the user says


def test_a_given_layout_that_the_proof_contradicts_is_taken_and_said():
    explainer = Explainer(Tokens(columns_first), layer="norm", layout="tokens 4x6")
    with warns(
        LayoutWarning, match=r"layout 'tokens 4 x 6' was given for layer 'norm', whose places contradict it: its"
    ):
        assert explainer.game(noise(1, 3, 16, 24)).layout == Layout("tokens", (4, 6))
    explainer = Explainer(Tokens(), layer="norm", layout="tokens 3x8")
    with warns(LayoutWarning, match="contradict it: they are 'tokens 4 x 6'; it is taken as given"):
        explainer.game(noise(1, 3, 16, 24))


def test_a_given_layout_that_is_proven_needs_no_word():
    Explainer(Tokens(before=1), layer="norm", layout="tokens 4x6 after 1").game(noise(1, 3, 16, 24))


# Operations that nobody knows


@torch.library.custom_op("shapleycam_tests::squared", mutates_args=())
def squared(x: torch.Tensor) -> torch.Tensor:
    return x * x


@torch.library.custom_op("shapleycam_tests::turned", mutates_args=())
def turned(x: torch.Tensor) -> torch.Tensor:
    return x.rot90(1, (2, 3)).contiguous()


squared.register_autograd(
    lambda ctx, g: 2 * g * ctx.x, setup_context=lambda ctx, inputs, output: setattr(ctx, "x", inputs[0])
)
turned.register_autograd(lambda ctx, g: g.rot90(-1, (2, 3)))


class Foreign(nn.Module):
    def __init__(self, operation):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.after, self.operation = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 1), operation

    def forward(self, x):
        return self.after(self.operation(self.conv(x))).mean((2, 3))


def test_behind_an_unknown_operation_cells_are_tried_out_one_by_one():
    image = noise(1, 3, 24, 24)
    assert proven_layout(Foreign(squared), "after", image) == Layout("NCHW", (6, 6))
    assert find_layer(Foreign(squared), image, "before-pool") == "after"
    message = reason_of(Foreign(turned), "after", image)
    assert "where they are is not known behind the operation 'turned'" in message
    assert "or say where the positions are with layout=" in message
    assert find_layer(Foreign(turned), image, "before-pool") == "conv"


def test_what_was_learnt_is_forgotten_where_a_module_is_replaced():
    model, image = plain_network(), noise(1, 3, 32, 32)
    assert proven_layout(model, "3", image) == Layout("NCHW", (8, 8))
    model[2] = nn.Conv2d(8, 12, 3, 1, 1)
    assert proven_layout(model, "3", image) == Layout("NCHW", (16, 16))


def test_the_reasons_are_told_where_no_layer_can_be_explained():
    series = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 16, 3, padding=1), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with raises(LayerError, match=r"no layer .* of the last one its places lie along axis 2; expected axis 1"):
        find_layer(nn.Sequential(series[0], series[1], nn.ReLU(), Summed()), noise(1, 1, 1, 16), "before-pool")


class Summed(nn.Module):
    def forward(self, x):
        return x.sum(2)


# The convolution that an adapter wraps


class Adapted(nn.Module):
    """As PEFT wraps a convolution."""

    def __init__(self, base: nn.Conv2d):
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Conv2d(base.in_channels, 2, 3, base.stride, 1, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Conv2d(2, base.out_channels, 1, bias=False)})

    def forward(self, x):
        return self.base_layer(x) + 0.5 * self.lora_B["default"](self.lora_A["default"](x))


@mark.parametrize("wrapped", ["0", "2"])
def test_the_last_convolution_is_the_wrapped_one(wrapped):
    model = plain_network()
    model[int(wrapped)] = Adapted(model[int(wrapped)])
    layer = find_layer(model, noise(1, 3, 32, 32), "last-conv")
    assert layer == ("2.base_layer" if wrapped == "2" else "2")
    assert layer in {candidate.name for candidate in audit(model, noise(1, 3, 32, 32)).candidates}


# Crops and padding to a square inside the model


@mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x[..., 4:28, 8:40], "its columns cover the image only from pixel 8 to 40 of 48"),
        (lambda x: x[..., 6:26, :], "its rows cover the image only from pixel 6 to 26 of 32"),
        (lambda x: F.pad(x, (0, 0, 8, 8)), "its rows cover the image from pixel -8 to 40 of 32"),
        (lambda x: F.pad(x, (4, 4, 0, 0)), "its columns cover the image from pixel -4 to 52 of 48"),
    ],
)
def test_a_map_that_would_be_drawn_beside_its_place_is_refused(change, reason):
    class Changed(nn.Module):
        def forward(self, x):
            return change(x)

    model = nn.Sequential(Changed(), nn.Conv2d(3, 8, 3, padding=1))
    assert reason in reason_of(model, "1", noise(1, 3, 32, 48))


@mark.parametrize(
    ("crop", "reason"),
    [
        ((0, 0, -24, 0), "its rows cover the image only from pixel 24 to 80 of 80"),
        ((0, -24, 0, 0), "its columns cover the image only from pixel 0 to 56 of 80"),
        ((-20, -20, 0, 0), "its columns cover the image only from pixel 20 to 60 of 80"),
    ],
)
def test_a_crop_before_cells_that_see_far_is_refused_too(crop, reason):
    """Seven windows of 9 x 9 read 28 pixels beyond each cell, more than any border: only a trial shows that none is."""
    windows = [nn.Conv2d(3, 3, 9, padding=4) for _ in range(7)]
    model = nn.Sequential(nn.ZeroPad2d(crop), *windows, nn.AvgPool2d(4), nn.Flatten(), nn.LazyLinear(2))
    model(noise(1, 3, 80, 80))
    assert reason in reason_of(model, "8", noise(1, 3, 80, 80))
    with raises(LayerError, match=reason):
        find_layer(model, noise(1, 3, 80, 80), "before-pool")


@mark.parametrize("crop", [0, 1, 2])
def test_convolutions_without_padding_have_seen_the_border(crop):
    """The outermost cell of five 5 x 5 windows lies 10 pixels inside and has mixed in all up to there."""
    convolutions = [nn.Conv2d(3, 3, 5) for _ in range(5)]
    model = nn.Sequential(nn.ZeroPad2d(-crop), *convolutions)
    side = 64 - 2 * crop - 20
    assert proven_layout(model, "5", noise(1, 3, 64, 64)) == Layout("NCHW", (side, side))


@mark.parametrize(
    ("mix", "channels"),
    [
        (lambda x: torch.cat(x.chunk(2, -1), 1), 6),
        (lambda x: torch.cat([tile for half in x.chunk(2, -1) for tile in half.chunk(2, -2)], 1), 12),
        (lambda x: x[..., :24] - x[..., 24:], 3),
        (lambda x: F.glu(x, -2), 3),
        (lambda x: x.reshape(1, 3, 2, 16, 48).sum(2), 3),
    ],
)
@mark.parametrize("sees_far", [False, True])
def test_halves_laid_over_each_other_have_no_place(mix, channels, sees_far):
    class Mixed(nn.Module):
        def forward(self, x):
            return mix(x)

    before = nn.Sequential(*[nn.Conv2d(3, 3, 9, padding=4) for _ in range(4)]) if sees_far else nn.Identity()
    model = nn.Sequential(before, Mixed(), nn.Conv2d(channels, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert "its elements mix places that lie far apart in the image" in reason_of(model, "2", noise(1, 3, 32, 48))
    if not sees_far:
        with raises(LayerError, match="far apart"):
            find_layer(model, noise(1, 3, 32, 48), "before-pool")


@mark.parametrize(
    "mix",
    [
        lambda x: F.pixel_unshuffle(x, 4),
        lambda x: torch.cat([x.roll(shift, axis) for shift in (-1, 1) for axis in (2, 3)], 1)[..., 1:-1, 1:-1],
        lambda x: torch.cat([x[..., ::4, ::4], x[..., 3::4, 3::4]], 1),
        lambda x: x + x.reshape(1, 3, 2, 16, 48).sum(2, keepdim=True).expand(-1, -1, 2, -1, -1).reshape(x.shape),
    ],
)
def test_neighbours_that_are_mixed_keep_their_place(mix):
    """Pixels, shifted copies, and distant places beside a residual connection."""

    class Mixed(nn.Module):
        def forward(self, x):
            return mix(x)

    image = noise(1, 3, 32, 48)
    mixed = mix(image)
    model = nn.Sequential(Mixed(), nn.Conv2d(mixed.shape[1], 8, 3, padding=1))
    assert proven_layout(model, "1", image) == Layout("NCHW", tuple(mixed.shape[2:]))


def test_a_head_of_zeros_is_named_where_no_layer_matters():
    """As timm's MLP-Mixers are before training."""
    model = plain_network()
    nn.init.zeros_(model[6].weight)
    with raises(LayerError, match=r"gradient of the model's output is 0 at all of its layers .* load trained weights"):
        find_layer(model, noise(1, 3, 32, 32), "before-pool")


def test_tokens_of_which_none_is_of_the_image_alone_leave_the_other_layers_proven():
    """Learned latents with a mean of the image beside them in other channels, as in transformers' Perceiver."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.latents = nn.Conv2d(3, 8, 4, 4), nn.Parameter(noise(1, 5, 8))
            self.both, self.fc = nn.Identity(), nn.Linear(16, 5)

        def forward(self, x):
            means = self.features(x).mean((2, 3))[:, None].expand(-1, 5, -1)
            tokens = torch.cat([self.latents.expand(len(x), -1, -1), means], 2)
            return self.fc(self.both(self.fc.weight.mean() + tokens).mean(1))

    model, image = Mixed(), noise(1, 3, 16, 24)
    assert proven_layout(model, "features", image) == Layout("NCHW", (4, 6))
    assert "none of its tokens has a place in the image by all of its channels" in reason_of(model, "both", image)
