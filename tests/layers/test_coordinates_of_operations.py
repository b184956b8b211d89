"""Where each element of a result lies in the image, by operation.

Moving and averaging act on coordinates as they act on colours: of an image whose colours are its own coordinates a
network without colour weights returns the coordinates of what it returns. So each function is its own oracle.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shapleycam.layers.coordinates import CoordinateTracker

HEIGHT, WIDTH = 8, 12


def coordinate_images() -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.arange(HEIGHT, dtype=torch.float32).reshape(-1, 1).expand(HEIGHT, WIDTH)
    columns = torch.arange(WIDTH, dtype=torch.float32).expand(HEIGHT, WIDTH)
    return rows.expand(1, 3, -1, -1).clone(), columns.expand(1, 3, -1, -1).clone()


def coordinates_of(function, channels: int = 3) -> torch.Tensor:
    """Return row, column and spread of each element of what a function of an image returns."""
    image = torch.rand(1, channels, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tracker = CoordinateTracker(image)
        with tracker:
            result = function(image)
        coordinates = tracker.coordinates(result)
    assert not tracker.lost
    assert coordinates is not None
    return coordinates


def windows(x: torch.Tensor, side: int = 4) -> torch.Tensor:
    """Cut windows as Swin does: (windows, side · side, channels)."""
    x = x.permute(0, 2, 3, 1).unflatten(1, (-1, side)).unflatten(3, (-1, side)).permute(0, 1, 3, 2, 4, 5)
    return x.flatten(0, 2).flatten(1, 2)


def unroll_tokens(x: torch.Tensor) -> torch.Tensor:
    """Return tokens in the order of Hiera."""
    x = x.permute(0, 2, 3, 1).reshape(1, 2, HEIGHT // 2, 2, WIDTH // 2, -1).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(1, HEIGHT * WIDTH, -1)


def write_quarters(x: torch.Tensor) -> torch.Tensor:
    """Write quarters of the image one by one into an empty tensor, columns first."""
    result = x.new_zeros(1, 3, WIDTH, HEIGHT)
    for row in (0, 1):
        result[:, :, :, row::2] = x[:, :, row::2].transpose(2, 3)
    result[:, :, 0] += 1
    return result


def averaging_layer(kind: type[nn.Module], size: tuple[int, ...], **options: int) -> nn.Module:
    layer = kind(3, 3, size, bias=False, groups=3, **options)
    nn.init.constant_(layer.weight, 1 / math.prod(size))
    return layer.requires_grad_(requires_grad=False)


PERMUTATION = torch.randperm(HEIGHT * WIDTH, generator=torch.Generator().manual_seed(0))

MOVING = {
    "flatten and transpose": lambda x: x.flatten(2).transpose(1, 2),
    "turned": lambda x: x.rot90(1, (2, 3)),
    "columns first": lambda x: x.transpose(2, 3).flatten(2).transpose(1, 2),
    "mirrored": lambda x: x.flip(-1),
    "rolled": lambda x: x.roll((-3, 2), (2, 3)),
    "windows": windows,
    "unrolled": unroll_tokens,
    "an index": lambda x: x.flatten(2)[:, :, PERMUTATION],
    "index_select": lambda x: x.index_select(3, torch.tensor([5, 0, 7])),
    "gather": lambda x: x.gather(2, torch.arange(2).reshape(1, 1, 2, 1).expand(1, 3, 2, WIDTH) * 3),
    "strided": lambda x: x[:, :, 1::2, ::3],
    "pieces on the channels": lambda x: torch.cat([x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], 1),
    "stacked": lambda x: torch.stack(x.chunk(2, 3), 1),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 4), 2),
    "channel shuffle": lambda x: F.channel_shuffle(torch.cat([x, x.flip(2)], 1), 2),
    "unfold": lambda x: F.unfold(x, 2, stride=2),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2), (HEIGHT, WIDTH), 2, stride=2),
    "a view that unfolds": lambda x: x.unfold(2, 4, 2).contiguous(),
    "reflected": lambda x: F.pad(x, (2, 1, 1, 2), mode="reflect"),
    "replicated": lambda x: F.pad(x, (2, 1, 0, 0), mode="replicate"),
    "circular": lambda x: F.pad(x, (2, 1, 1, 0), mode="circular"),
    "repeated": lambda x: x.repeat(1, 1, 2, 1).repeat_interleave(2, 3),
    "written in place": write_quarters,
    "another dtype": lambda x: x.double().to(torch.bfloat16),
    "channels last": lambda x: x.to(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(1, -1, 3),
}
AVERAGING = {
    "a mean over rows": lambda x: x.mean(2),
    "a mean over patches": lambda x: x.unflatten(2, (-1, 4)).unflatten(4, (-1, 4)).mean((3, 5)),
    "an average pooling": lambda x: F.avg_pool2d(x, 3, 2),
    "an adaptive pooling": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "a convolution": averaging_layer(nn.Conv2d, (3, 5)),
    "an even kernel": averaging_layer(nn.Conv2d, (4, 2), stride=2),
    "a dilated convolution": averaging_layer(nn.Conv2d, (3, 2), dilation=2),
    "of rows": lambda x: averaging_layer(nn.Conv1d, (3,))(x[:, :, 2]),
    "bilinear, smaller": lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear"),
    "corners aligned": lambda x: F.interpolate(x, (15, 5), mode="bilinear", align_corners=True),
    "of columns, by a matrix": lambda x: x.transpose(2, 3) @ torch.full((HEIGHT, 2), 1 / HEIGHT),
}


def assert_centred(coordinates: torch.Tensor, function) -> None:
    expected = [function(colours).float() for colours in coordinate_images()]
    torch.testing.assert_close(coordinates[:2], torch.stack(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", MOVING)
def test_what_is_moved_takes_its_place_along(name):
    if name == "written in place":  # adds 1 to one row, which moves nothing
        with torch.no_grad():
            expected = [colours.transpose(2, 3) for colours in coordinate_images()]
        assert torch.equal(coordinates_of(write_quarters)[:2], torch.stack(expected))
        return
    coordinates = coordinates_of(MOVING[name])
    assert_centred(coordinates, MOVING[name])
    assert not coordinates[2].any()


@pytest.mark.parametrize("name", AVERAGING)
def test_what_is_averaged_lies_in_the_middle(name):
    coordinates = coordinates_of(AVERAGING[name])
    assert_centred(coordinates, AVERAGING[name])
    assert bool((coordinates[2] > 0).all())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(3, 4, 5, padding=4, dilation=2),
        nn.MaxPool2d(3, 1, 1),
        nn.AvgPool2d(5, 1, 2),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3)),
        nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)) for _ in range(20)]),
        nn.Sequential(nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.Hardswish(inplace=True), nn.PReLU()).eval(),
    ],
    ids=str,
)
def test_padding_moves_nothing_at_the_border(layer):
    """However deep the network: the middle of a window at the border is the border."""
    rows, columns = (colours[:, :1] for colours in coordinate_images())
    coordinates = coordinates_of(layer.requires_grad_(requires_grad=False))
    torch.testing.assert_close(coordinates[0], rows.expand_as(coordinates[0]))
    torch.testing.assert_close(coordinates[1], columns.expand_as(coordinates[1]))


OPTIONS_IN_PLACE = (
    "hardtanh",
    "relu6",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
)
IN_PLACE = {
    "abs": lambda x: x.abs_(),
    "copysign": lambda x: x.copysign_(1.0),
    "comparison": lambda x: x.lt_(0.5),
    "masked_fill": lambda x: x.masked_fill_(torch.tensor([[True], [False], [True]]).unsqueeze(-1), 0),
    "gelu": torch.ops.aten.gelu_,
    "threshold": lambda x: F.threshold(x, 0.5, 0, inplace=True),
    **{name: partial(getattr(F, name), inplace=True) for name in OPTIONS_IN_PLACE},
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_elementwise_function_in_place_keeps_coordinates(name):
    """PyTorch marks only some in-place forms as elementwise, and 2.6 fewer than later versions."""

    def function(x: torch.Tensor) -> torch.Tensor:
        copied = x.clone()
        IN_PLACE[name](copied)
        return copied

    assert torch.equal(coordinates_of(function)[:2], torch.stack(coordinate_images()))


def test_padding_of_patches_that_are_cut_out_has_no_place():
    coordinates = coordinates_of(lambda x: F.unfold(x, 3, padding=1, stride=2).unflatten(1, (3, 9)))
    assert bool(coordinates[:, 0, :, 0, 0].isnan().all())  # above and to the left of the first
    assert coordinates[0, 0, 0, 4, :6].tolist() == [0] * 6
    assert coordinates[1, 0, 0, 4, :6].tolist() == [0, 2, 4, 6, 8, 10]


def test_a_transposed_convolution_lies_between_what_it_reads():
    """Stride 2 and a kernel of 2: outputs 2i and 2i + 1 come from i, a quarter of a cell to either side of it."""
    coordinates = coordinates_of(nn.ConvTranspose2d(3, 4, 2, 2).requires_grad_(requires_grad=False))
    expected = (torch.arange(2 * HEIGHT) + 0.5) / 2 - 0.5
    torch.testing.assert_close(coordinates[0, 0, 0, :, 0], expected)


# Of two operands


def test_a_residual_connection_keeps_the_place_that_mixing_loses():
    mix = nn.Linear(HEIGHT * WIDTH, HEIGHT * WIDTH).requires_grad_(requires_grad=False)
    flat = lambda x: x.flatten(2)  # noqa: E731
    mixed = coordinates_of(lambda x: mix(flat(x)))
    assert bool((mixed[0] == (HEIGHT - 1) / 2).all())  # all rows alike: the middle
    assert_centred(coordinates_of(lambda x: flat(x) + mix(flat(x))), flat)
    assert_centred(coordinates_of(lambda x: mix(flat(x)).sigmoid() * flat(x)), flat)


def test_tokens_looked_up_in_a_table_lie_where_their_numbers_do():
    table = torch.rand(4, 5)
    assert_centred(
        coordinates_of(lambda x: F.embedding((x * 4).long(), table)), lambda x: x.unsqueeze(-1).expand(*x.shape, 5)
    )


def test_of_two_equally_local_operands_the_place_lies_between():
    coordinates = coordinates_of(lambda x: x[..., :-2] + x[..., 2:])
    assert torch.equal(coordinates[1, 0, 0, 0], torch.arange(WIDTH - 2) + 1.0)
    assert bool((coordinates[2] == 1).all())


def attention(query, key, value):
    return (query @ key.transpose(-1, -2)).softmax(-1) @ value


@pytest.mark.parametrize("function", [attention, F.scaled_dot_product_attention], ids=["by hand", "fused"])
def test_attention_lies_where_its_queries_do(function):
    tokens = lambda x: x.flatten(2).transpose(1, 2)  # noqa: E731
    every = slice(None, None, 5)
    assert_centred(
        coordinates_of(lambda x: function(tokens(x)[:, every], tokens(x), tokens(x))), lambda x: tokens(x)[:, every]
    )
    learned = torch.rand(1, 7, 3, generator=torch.Generator().manual_seed(1))
    coordinates = coordinates_of(lambda x: function(learned, tokens(x), tokens(x)))
    assert bool((coordinates[0] == (HEIGHT - 1) / 2).all())  # learned queries have no place
    assert bool((coordinates[2] >= (HEIGHT + WIDTH - 2) / 2).all())


def test_cross_covariance_attention_lies_where_its_values_do():
    def attend(x):
        x = x.flatten(2)  # (1, channels, positions)
        return (x @ x.transpose(1, 2)).softmax(-1) @ x

    assert_centred(coordinates_of(attend), lambda x: x.flatten(2))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_steps_of_a_recurrent_layer_lie_where_its_inputs_do(bidirectional):
    layer = nn.LSTM(3, 5, batch_first=True, bidirectional=bidirectional).requires_grad_(requires_grad=False)
    steps = lambda x: x[:, :, 0].transpose(1, 2)  # noqa: E731
    coordinates = coordinates_of(lambda x: layer(steps(x))[0])
    expected = torch.arange(WIDTH, dtype=torch.float32).reshape(-1, 1).expand(WIDTH, coordinates.shape[-1])
    torch.testing.assert_close(coordinates[1, 0], expected)


# Without a place


def test_a_constant_has_no_place_and_keeps_none_of_others():
    token = torch.zeros(1, 2, 3)
    coordinates = coordinates_of(lambda x: torch.cat([token, x.flatten(2).transpose(1, 2)], 1))
    assert bool(coordinates[:, 0, :2].isnan().all())
    assert not bool(coordinates[:, 0, 2:].isnan().any())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sort(-1).values,
        lambda x: x.flatten(2).topk(7, -1).values,
        lambda x: x.flatten(2)[:, :, x.flatten(2).sum(1)[0].argsort()],
        lambda x: x.gather(3, x.argsort(3)),
        lambda x: torch.fft.fft2(x).real,
        lambda x: torch.view_as_complex(x.unflatten(3, (-1, 2))).abs(),
    ],
    ids=["sort", "topk", "index by content", "gather by content", "fft", "seen as complex"],
)
def test_what_the_content_decides_or_nobody_knows_has_lost_its_place(function):
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    tracker = CoordinateTracker(image)
    with torch.no_grad(), tracker:
        result = function(image)
    coordinates = tracker.coordinates(result)
    assert bool(coordinates[0].isnan().all())
    assert bool(coordinates[-1].isinf().all())


def test_a_freed_tensors_places_are_not_those_of_the_next_at_its_address():
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    tracker = CoordinateTracker(image)
    with torch.no_grad(), tracker:
        for _ in range(50):
            _ = image.flip(2)
            fresh = torch.rand(1, 3, HEIGHT, WIDTH)
            assert tracker.coordinates(fresh) is None
