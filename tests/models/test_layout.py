"""Which dimensions of an activation are places, and in which order."""

from __future__ import annotations

import pytest
import torch
from timm.layers import LayerNorm2d
from torch import nn

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout
from shapleycam.models.layout_guess import guess_layout
from shapleycam.models.token_declaration import TokenDeclaration

SQUARE = (224, 224)


@pytest.mark.parametrize(
    ("shape", "image", "expected"),
    [
        ((1, 512, 7, 7), SQUARE, Layout("NCHW", (7, 7))),
        ((1, 7, 7, 768), SQUARE, Layout("NHWC", (7, 7))),
        ((1, 64, 56, 56), SQUARE, Layout("NCHW", (56, 56))),
        ((1, 56, 56, 96), SQUARE, Layout("NHWC", (56, 56))),
        ((1, 1280, 5, 10), (160, 320), Layout("NCHW", (5, 10))),
        ((1, 10, 5, 384), (320, 160), Layout("NHWC", (10, 5))),
        ((1, 2048, 10, 10), (299, 299), Layout("NCHW", (10, 10))),
        ((1, 32, 149, 149), (299, 299), Layout("NCHW", (149, 149))),
        ((1, 32, 75, 100), (299, 400), Layout("NCHW", (75, 100))),
        ((1, 8, 1, 1), (24, 24), Layout("NCHW", (1, 1))),
        ((1, 192, 35, 72), (299, 598), Layout("NCHW", (35, 72))),
        ((1, 196, 192), SQUARE, Layout("tokens", (14, 14), 0)),
        ((1, 197, 192), SQUARE, Layout("tokens", (14, 14), 1)),
        ((1, 198, 192), SQUARE, Layout("tokens", (14, 14), 2)),
        ((1, 201, 192), SQUARE, Layout("tokens", (14, 14), 5)),
        ((1, 50, 768), SQUARE, Layout("tokens", (7, 7), 1)),
        ((1, 1 + 10 * 20, 192), (160, 320), Layout("tokens", (10, 20), 1)),
        ((1, 5 + 20 * 10, 192), (320, 160), Layout("tokens", (20, 10), 5)),
        ((1, 30 * 21, 192), (480, 336), Layout("tokens", (30, 21), 0)),
    ],
)
def test_the_layout_is_read_off_the_shape(shape, image, expected):
    assert guess_layout(shape, image) == expected


@pytest.mark.parametrize(
    "shape",
    [(1, 512), (1, 1000, 300, 300), (1, 3, 4, 5, 6), (1, 215, 192), (1, 512, 7, 3), (8,), (1, 0, 192)],
)
def test_what_has_no_grid_has_no_layout(shape):
    assert guess_layout(shape, SQUARE) is None


def test_the_number_of_prefix_tokens_that_a_model_declares_decides():
    assert guess_layout((1, 16 + 9, 64), SQUARE) == Layout("tokens", (5, 5), 0)
    assert guess_layout((1, 16 + 9, 64), SQUARE, declaration=TokenDeclaration(prefix=9)) == Layout("tokens", (4, 4), 9)


def test_a_declared_prefix_that_does_not_fit_here_is_not_forced():
    """Pooled or cut tokens inside a model that declares a class token."""
    assert guess_layout((1, 196, 64), SQUARE, declaration=TokenDeclaration(prefix=1)) == Layout("tokens", (14, 14), 0)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(14, 14, 1), "NCHW"),
        (nn.BatchNorm2d(14), "NCHW"),
        (nn.GroupNorm(1, 14), "NCHW"),
        (nn.MaxPool2d(2), "NCHW"),
        (nn.LayerNorm(14), "NHWC"),
    ],
)
def test_where_the_shape_is_ambiguous_the_module_decides(module, kind):
    assert guess_layout((1, 14, 14, 14), SQUARE, module) == Layout(kind, (14, 14))


@pytest.mark.parametrize("module", [None, nn.ReLU(), nn.Sequential(), LayerNorm2d(14)])
def test_an_ambiguous_shape_is_refused_with_both_readings(module):
    with pytest.raises(LayerError) as refused:
        guess_layout((1, 14, 14, 14), SQUARE, module)
    message = str(refused.value)
    assert "(1, 14, 14, 14) could be channels-first (14 x 14 cells) or channels-last (14 x 14 cells)" in message
    assert "choose a convolution or norm layer, whose layout is known" in message


def test_a_channels_first_layer_norm_is_read_off_its_shape():
    assert guess_layout((1, 768, 7, 7), SQUARE, LayerNorm2d(768)) == Layout("NCHW", (7, 7))


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout("NCHW", (2, 3)), (4, 5, 2, 3)),
        (Layout("NHWC", (2, 3)), (4, 2, 3, 5)),
        (Layout("tokens", (2, 3), 0), (4, 6, 5)),
        (Layout("tokens", (2, 3), 2), (4, 8, 5)),
    ],
)
def test_positions_run_along_rows_after_the_prefix(layout, shape):
    activation = torch.randn(shape)
    positions = layout.positions(activation)
    assert positions.shape == (4, layout.prefix + 6, 5)
    for row, column, channel in [(0, 0, 0), (0, 2, 4), (1, 0, 3), (1, 2, 1)]:
        place = {
            "NCHW": (..., channel, row, column),
            "NHWC": (..., row, column, channel),
            "tokens": (..., layout.prefix + 3 * row + column, channel),
        }[layout.kind]
        assert torch.equal(positions[:, layout.prefix + 3 * row + column, channel], activation[place])


def test_cells_put_positions_back_in_their_places_and_leave_the_prefix_out():
    layout = Layout("tokens", (2, 3), prefix=2)
    values = torch.tensor([[-1.0, -2, 0, 1, 2, 3, 4, 5]])
    assert layout.cells(values).tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_a_layout_says_what_it_is():
    assert str(Layout("NCHW", (7, 10))) == "NCHW 7 x 10"
    assert str(Layout("tokens", (14, 14), 5)) == "tokens 14 x 14 after 5 prefix"
