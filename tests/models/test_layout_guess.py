"""Which grid an activation has: declared by the model, the only one that fits, given by the user, or refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionTransformer

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer
from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout, LayoutKind, parse_layout, spatial_size
from shapleycam.models.layout_guess import guess_layout
from shapleycam.models.token_declaration import TokenDeclaration, declared_tokens

transformers = LazyModule("transformers")

SQUARE = (224, 224)


def model_around(layer: nn.Module | None = None, **declaration: object) -> nn.Module:
    """Return a model with attributes that declare its patches, and a `layer` inside."""
    model = nn.Module()
    model.layer = layer or nn.Identity()
    for name, value in declaration.items():
        setattr(model, name, value)
    return model


# What models declare


def test_a_model_that_says_nothing_declares_nothing():
    assert declared_tokens(nn.Sequential(nn.Conv2d(3, 4, 1)), "0") == TokenDeclaration(None, None)


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ({"num_prefix_tokens": 5}, TokenDeclaration(5, None)),
        ({"num_prefix_tokens": 0}, TokenDeclaration(0, None)),
        ({"patch_size": 16}, TokenDeclaration(None, (16, 16))),
        ({"patch_size": (8, 16)}, TokenDeclaration(None, (8, 16))),
        ({"patch_size": [2, 16, 16]}, TokenDeclaration(None, (2, 16, 16))),
        ({"patch_embed": SimpleNamespace(patch_size=(4, 4))}, TokenDeclaration(None, (4, 4))),
        ({"config": SimpleNamespace(patch_size=14)}, TokenDeclaration(None, (14, 14))),
        ({"config": SimpleNamespace(patch_size=16, tubelet_size=2)}, TokenDeclaration(None, (2, 16, 16))),
        ({"config": SimpleNamespace(tubelet_size=[2, 16, 16])}, TokenDeclaration(None, (2, 16, 16))),
        ({"config": SimpleNamespace(vision_config=SimpleNamespace(patch_size=32))}, TokenDeclaration(None, (32, 32))),
        ({"num_prefix_tokens": None, "patch_size": "16"}, TokenDeclaration(None, None)),
        ({"patch_size": 0}, TokenDeclaration(None, None)),
        ({"patch_size": (1, 2, 3, 4)}, TokenDeclaration(None, None)),
    ],
)
def test_prefix_and_patch_are_read_where_libraries_write_them(declaration, expected):
    assert declared_tokens(model_around(**declaration), "layer") == expected


def test_the_innermost_module_around_a_layer_has_the_word():
    inner = model_around(num_prefix_tokens=1, patch_size=8)
    outer = model_around(inner, num_prefix_tokens=5, patch_size=16)
    assert declared_tokens(outer, "layer.layer") == TokenDeclaration(1, (8, 8))
    inner.num_prefix_tokens, inner.patch_size = None, None
    assert declared_tokens(outer, "layer.layer") == TokenDeclaration(5, (16, 16))


@pytest.mark.parametrize(
    ("name", "options", "patch"),
    [
        ("ViTConfig", {"patch_size": 8}, (8, 8)),
        ("VideoMAEConfig", {}, (2, 16, 16)),
        ("VivitConfig", {}, (2, 16, 16)),
        ("CLIPConfig", {"vision_config": {"patch_size": 14}}, (14, 14)),
    ],
)
def test_the_configs_of_transformers_are_read(name, options, patch):
    config = getattr(transformers, name)(**options)
    assert declared_tokens(model_around(config=config), "layer").patch == patch


def test_timms_and_torchvisions_transformers_are_read():
    timms = VisionTransformer(
        (64, 96), patch_size=(16, 32), embed_dim=8, depth=1, num_heads=1, num_classes=2, reg_tokens=4
    )
    assert declared_tokens(timms, "blocks.0.norm1") == TokenDeclaration(5, (16, 32))
    theirs = TorchvisionTransformer(64, 16, 1, 1, 8, 8, num_classes=2)
    assert declared_tokens(theirs, "encoder.layers.encoder_layer_0.ln_1").patch == (16, 16)


def test_a_layer_that_declares_its_own_tokens_has_the_first_word():
    """A timm transformer as the backbone of a larger model, explained at what it returns as a whole."""
    backbone = VisionTransformer(
        (70, 100), patch_size=14, embed_dim=8, depth=1, num_heads=1, num_classes=0, global_pool="", reg_tokens=4
    )
    assert declared_tokens(model_around(backbone), "layer") == TokenDeclaration(5, (14, 14))


# Tokens of declared patches


@pytest.mark.parametrize(
    ("count", "image", "declaration", "expected"),
    [
        (196, SQUARE, TokenDeclaration(0, (16, 16)), Layout("tokens", (14, 14))),
        (197, SQUARE, TokenDeclaration(1, (16, 16)), Layout("tokens", (14, 14), 1)),
        (197, SQUARE, TokenDeclaration(None, (16, 16)), Layout("tokens", (14, 14), 1)),
        (196, SQUARE, TokenDeclaration(1, (16, 16)), Layout("tokens", (14, 14))),  # cut off before this layer
        (261, SQUARE, TokenDeclaration(5, (14, 14)), Layout("tokens", (16, 16), 5)),
        (8 * 4, (64, 64), TokenDeclaration(0, (8, 16)), Layout("tokens", (8, 4))),  # oblong patches
        (49, SQUARE, TokenDeclaration(0, (4, 4)), Layout("tokens", (7, 7))),  # merged thrice, as in Swin
        (3 * 5 + 1, (48, 80), TokenDeclaration(1, (16, 16)), Layout("tokens", (3, 5), 1)),
        (32 * 1, (32, 1), TokenDeclaration(0, (1, 1)), Layout("tokens", (32, 1))),
        # 100 = 6·16 + 4 and 130 = 8·16 + 2: without the rest, and with it
        (6 * 8, (100, 130), TokenDeclaration(0, (16, 16)), Layout("tokens", (6, 8))),
        (7 * 9, (100, 130), TokenDeclaration(0, (16, 16)), Layout("tokens", (7, 9))),
        (6 * 8 + 5, (100, 130), TokenDeclaration(5, (16, 16)), Layout("tokens", (6, 8), 5)),
        (7 * 9 + 1, (100, 130), TokenDeclaration(1, (16, 16)), Layout("tokens", (7, 9), 1)),  # not 6 x 8 after 16
        (20, (100, 130), TokenDeclaration(0, (16, 16)), Layout("tokens", (4, 5))),  # stride 32: 3.1 and 4.1, rounded up
        (2 * 3 * 4, (4, 48, 64), TokenDeclaration(0, (2, 16, 16)), Layout("tokens", (2, 3, 4))),
        (
            4 * 3 * 4 + 1,
            (4, 48, 64),
            TokenDeclaration(1, (16, 16)),
            Layout("tokens", (4, 3, 4), 1),
        ),  # each frame by itself
        (8 * 3 * 4, (16, 50, 70), TokenDeclaration(0, (2, 16, 16)), Layout("tokens", (8, 3, 4))),
        (24 + 24, (32, 48), TokenDeclaration(24, (8, 8)), Layout("tokens", (4, 6), 24)),  # more than are ever guessed
    ],
)
def test_the_grid_is_what_patches_of_the_declared_size_make(count, image, declaration, expected):
    assert guess_layout((2, count, 8), image, declaration=declaration) == expected


def test_a_declared_patch_that_this_layer_does_not_follow_is_not_forced():
    """A stride of 64 would make 4 x 4, and leave 9 tokens that the model says are not there."""
    assert guess_layout((1, 25, 8), SQUARE, declaration=TokenDeclaration(0, (16, 16))) == Layout("tokens", (5, 5))


# Tokens of which nothing is said


@pytest.mark.parametrize(
    ("count", "image", "expected"),
    [
        (24, (32, 48), Layout("tokens", (4, 6))),
        (25, (32, 48), Layout("tokens", (4, 6), 1)),
        (24 + 8, (32, 48), Layout("tokens", (4, 6), 8)),
        (32, (32, 1), Layout("tokens", (32, 1))),
        (33, (1, 32), Layout("tokens", (1, 32), 1)),
        (8, (32, 1), Layout("tokens", (8, 1))),  # strips of 4; 7 strips of 5 would leave a rest
        (9, (32, 1), Layout("tokens", (8, 1), 1)),
        (12, (7, 10), Layout("tokens", (3, 4))),  # strides 2 and 3 make 3 x 5, 4 x 5, 2 x 3 and 3 x 4 of 7 x 10
        (16, (7, 10), Layout("tokens", (3, 5), 1)),
    ],
)
def test_the_only_grid_in_the_images_proportions_is_taken(count, image, expected):
    assert guess_layout((1, count, 8), image) == expected


def test_no_grid_is_found_after_more_prefix_tokens_than_models_have():
    assert guess_layout((1, 9 * 9 + 17, 8), SQUARE) is None
    assert guess_layout((1, 9 * 9 + 17, 8), SQUARE, declaration=TokenDeclaration(17)) == Layout("tokens", (9, 9), 17)


def test_an_exact_grid_after_an_odd_number_of_prefix_tokens_is_not_taken_in_silence():
    """Patches of 14 of a 96 x 128 image are 6 x 9; 6 x 8, in its proportions, would leave 6 tokens over."""
    try:
        layout = guess_layout((1, 6 * 9, 8), (96, 128))
    except LayerError as refused:
        assert "'tokens 6 x 9'" in str(refused)  # noqa: PT017  # either is right: to find it, or to ask
    else:
        assert layout == Layout("tokens", (6, 9))


def test_tokens_that_can_be_two_grids_are_refused_with_both_and_the_way_out():
    """Of 5 x 9 pixels a stride of 3 makes 1 x 3 cells, one of 4 makes 1 x 2, with a class token three as well."""
    with pytest.raises(LayerError) as refused:
        guess_layout((1, 3, 8), (5, 9))
    assert str(refused.value) == (
        "3 tokens of an image of 5 x 9 could be 'tokens 1 x 2 after 1 prefix' or 'tokens 1 x 3'; say which with layout="
    )
    assert guess_layout((1, 3, 8), (5, 9), declaration=TokenDeclaration(prefix=1)) == Layout("tokens", (1, 2), 1)
    assert guess_layout((1, 3, 8), (5, 9), declaration=TokenDeclaration(prefix=0)) == Layout("tokens", (1, 3))


def test_the_choices_of_a_refusal_can_be_written_as_layout():
    with pytest.raises(LayerError) as refused:
        guess_layout((1, 3, 8), (5, 9))
    choices = str(refused.value).split("'")[1::2]
    assert [parse_layout(text, (1, 3, 8), "norm") for text in choices] == [
        Layout("tokens", (1, 2), 1),
        Layout("tokens", (1, 3)),
    ]


# Maps in two and three dimensions


@pytest.mark.parametrize(
    ("shape", "image", "expected"),
    [
        ((1, 7, 2, 6, 8), (4, 24, 32), Layout("NCDHW", (2, 6, 8))),
        ((1, 2, 6, 8, 99), (4, 24, 32), Layout("NDHWC", (2, 6, 8))),
        ((1, 7, 6, 8), (4, 24, 32), Layout("NCHW", (6, 8))),  # the depth is gone
        ((1, 64, 8, 1), (32, 1), Layout("NCHW", (8, 1))),
        ((1, 8, 1, 64), (32, 1), Layout("NHWC", (8, 1))),
        ((1, 64, 1, 8), (1, 32), Layout("NCHW", (1, 8))),
        ((1, 64, 2, 6, 8), (24, 32), None),  # depth in the network, none in the image
        ((1, 64, 9, 6, 8), (4, 24, 32), None),  # deeper than the image
        ((1, 64, 2, 6, 8, 2), (4, 24, 32), None),
    ],
)
def test_maps_are_read_off_their_shape(shape, image, expected):
    assert guess_layout(shape, image) == expected


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv3d(4, 4, 1), "NCDHW"),
        (nn.BatchNorm3d(4), "NCDHW"),
        (nn.MaxPool3d(2), "NCDHW"),
        (nn.LayerNorm(4), "NDHWC"),
        (nn.Sequential(nn.Conv3d(4, 4, 1), nn.ReLU()), "NCDHW"),
        (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU()), "NDHWC"),
    ],
)
def test_the_module_or_what_is_inside_it_says_where_the_channels_of_a_volume_are(module, kind):
    assert guess_layout((1, 4, 4, 4, 4), (16, 16, 16), module) == Layout(kind, (4, 4, 4))


def test_a_volume_that_could_be_either_is_refused_with_what_to_write():
    with pytest.raises(LayerError) as refused:
        guess_layout((1, 4, 4, 4, 4), (16, 16, 16))
    message = str(refused.value)
    assert "could be channels-first (4 x 4 x 4 cells) or channels-last (4 x 4 x 4 cells)" in message
    assert "say which with layout='NCDHW' or layout='NDHWC'" in message


@pytest.mark.parametrize(
    ("images", "channels", "sides"),
    [
        ((2, 3, 20, 30), 1, (20, 30)),
        ((2, 3, 32, 1), 1, (32, 1)),
        ((2, 4, 3, 20, 30), 1, (3, 20, 30)),  # a volume (b, c, d, h, w)
        ((2, 16, 3, 20, 30), 2, (16, 20, 30)),  # a video (b, t, c, h, w)
    ],
)
def test_the_sides_of_images_are_what_is_left_beside_the_channels(images, channels, sides):
    assert spatial_size(images, channels) == sides


# What the user writes


SHAPES = [
    (Layout("NCHW", (6, 8)), (2, 5, 6, 8)),
    (Layout("NHWC", (6, 8)), (2, 6, 8, 5)),
    (Layout("NCDHW", (3, 6, 8)), (2, 5, 3, 6, 8)),
    (Layout("NDHWC", (3, 6, 8)), (2, 3, 6, 8, 5)),
    (Layout("tokens", (6, 8)), (2, 48, 5)),
    (Layout("tokens", (6, 8), 1), (2, 49, 5)),
    (Layout("tokens", (6, 8), 21), (2, 69, 5)),
    (Layout("tokens", (3, 6, 8), 2), (2, 146, 5)),
]


def test_every_kind_is_among_the_examples():
    assert {layout.kind for layout, _ in SHAPES} == set(get_args(LayoutKind))


@pytest.mark.parametrize(("layout", "shape"), SHAPES, ids=lambda x: str(x) if isinstance(x, Layout) else "")
def test_what_a_layout_prints_is_what_may_be_written(layout, shape):
    assert parse_layout(str(layout), shape, "norm") == layout
    assert parse_layout(layout, shape, "norm") == layout


@pytest.mark.parametrize(("layout", "shape"), SHAPES[:4], ids=lambda x: str(x) if isinstance(x, Layout) else "")
def test_the_grid_of_a_map_is_taken_from_its_shape(layout, shape):
    assert parse_layout(layout.kind, shape, "norm") == layout


@pytest.mark.parametrize(
    "text", ["tokens 6x8 after 1", "tokens 6 x 8 after 1 prefix", " tokens 6x8  after  1 ", "tokens 6x 8 after 1prefix"]
)
def test_spaces_do_not_matter(text):
    assert parse_layout(text, (2, 49, 5), "norm") == Layout("tokens", (6, 8), 1)


@pytest.mark.parametrize(
    "text", ["", "nchw", "NCWH", "tokens", "tokens 49", "tokens after 1", "tokens 6*8", "6x8", "tokens 6x8 after one"]
)
def test_a_layout_that_cannot_be_read_is_refused_with_what_may_be_written(text):
    with pytest.raises(LayerError) as refused:
        parse_layout(text, (2, 49, 5), "norm")
    assert str(refused.value) == (
        f"layout {text!r} cannot be read; write 'NCHW', 'NHWC', 'NCDHW', 'NDHWC', 'tokens 14x14', or "
        "'tokens 14x14 after 1' for 1 prefix token"
    )


@pytest.mark.parametrize(
    ("text", "shape", "read"),
    [
        ("tokens 6x8", (2, 49, 5), "tokens 6 x 8"),
        ("tokens 6x8 after 2", (2, 49, 5), "tokens 6 x 8 after 2 prefix"),
        ("tokens 6x8", (2, 5, 6, 8), "tokens 6 x 8"),
        ("NCHW 6x8", (2, 6, 8, 5), "NCHW 6 x 8"),
        ("NCHW 8x6", (2, 5, 6, 8), "NCHW 8 x 6"),
        ("NCHW after 1", (2, 5, 6, 8), "NCHW 6 x 8 after 1 prefix"),
        ("NCDHW", (2, 5, 6, 8), "NCDHW 6 x 8"),
        (Layout("tokens", (7, 7)), (2, 48, 5), "tokens 7 x 7"),
    ],
)
def test_a_layout_of_another_shape_is_refused_with_both(text, shape, read):
    with pytest.raises(LayerError) as refused:
        parse_layout(text, shape, "norm")
    assert str(refused.value).startswith(f"layer 'norm' returns shape {shape}, which is not {read!r}; write 'NCHW', ")


@pytest.mark.parametrize("layout", ["tokens 2x4x3", Layout("tokens", (2, 4, 3))])
def test_a_grid_with_depth_is_refused_for_images_without(layout):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.norm = nn.Conv2d(3, 4, 4, stride=4), nn.LayerNorm(4)

        def forward(self, x):
            return self.norm(self.patches(x).flatten(2).transpose(1, 2)).square().mean(1)

    with pytest.raises(LayerError, match="2 x 4 x 3"):
        Explainer(Tokens(), layer="norm", layout=layout).explain(torch.rand(1, 3, 24, 16), "hirescam", target=0)
