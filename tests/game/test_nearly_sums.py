"""Heads that nearly have the form of a shortcut, in the ways that people write them: right by one, or run as they are.

Each is played on an image of noise and on one that wakes what sleeps for noise.
"""

from __future__ import annotations

import pytest
import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import by_hand, game_of, noise, random_coalitions, relative_difference
from helpers.networks import Toy
from helpers.toy_heads import Do, conv, square_images, to_last

COALITIONS = 260
"""Enough for a table of 512 contents."""


def places(*shape, like):
    """Noise of a fixed seed, of the kind of a tensor."""
    return noise(*shape, seed=4).to(like)


class Windowed(nn.Module):
    """A convolution with a shortcut of half the strength beside it."""

    def __init__(self):
        super().__init__()
        self.conv = conv(3, padding=1)

    def forward(self, a):
        return F.gelu(self.conv(a)) + 0.5 * a


class CachedPlaces(nn.Module):
    """Makes its position embedding when it is first called, and keeps it."""

    places = None

    def forward(self, a):
        if self.places is None or self.places.shape != a.shape[2:]:
            self.places = torch.arange(a.shape[2:].numel()).reshape(a.shape[2:]).to(a) / 7
        return (a + self.places).relu()


class KeepsTheLargest(nn.Module):
    """Reads back what it has written to an attribute of its own."""

    def forward(self, a):
        self.largest = a.amax((2, 3))
        return a.mean((2, 3)) + F.relu(self.largest - 50)


def merge_patches(a):
    return torch.cat([a[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)


def largest_of_two_channels(a):
    return a.unflatten(1, (2, 2)).amax(2, keepdim=True).expand(-1, -1, 2, -1, -1).flatten(1, 2)


def mean_and_corner(x):
    return torch.cat([x.mean(2), x[:, :, 0]], 1)[:, ::2]


def convnext(self, a):
    return a + 0.1 * self.mix(self.depthwise(a))


def channel_mixer():
    return to_last(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)))


def per_image_weights(self, a):
    """A convolution of size 1 whose weights are of the image: by groups, as dynamic convolutions are written."""
    weights = self.weights(a.mean((2, 3))).view(-1, 4, 1, 1)
    return F.conv2d(a.reshape(1, -1, *a.shape[2:]), weights, groups=len(a)).view(a.shape).relu().mean((2, 3))


def write_half(a):
    a = a.clone()
    a[..., :2].add_(a[..., 2:])
    return a.relu()


def write_twice(a):
    """What shares the memory of the second is another tensor after the call."""
    first, second = a.clone(), a.clone()
    view = second.view(second.shape)
    torch._foreach_mul_([first, second], [torch.ones_like(a), a.roll(1, 3)])
    return view.relu()


def write_to_an_output(a):
    with torch.no_grad():
        memory = torch.empty_like(a)
        torch.mul(a, 1.0, out=memory)
        view = memory.flatten(1)
        torch.cumsum(a, 3, out=memory)
    return 0 * a + view.view(a.shape).relu()


def mean(a):
    return a.mean((2, 3))


def by_window(before, pool=mean):
    return nn.Sequential(before, nn.GELU(), Do(pool))


PLAYED_AS_THEY_ARE = {
    "mean and maximum side by side": Do(lambda a: torch.cat([mean(a), a.amax((2, 3))], 1)[:, ::2]),
    "half mean, half maximum": Do(lambda a: (mean(a) + a.amax((2, 3))) / 2),
    "softmax over positions": Do(lambda a: (a.flatten(2) * a.flatten(2).softmax(2)).sum(2)),
    "weights that sum to one": Do(lambda a: (a * a.sigmoid()).sum((2, 3)) / a.sigmoid().sum((2, 3))),
    "the largest three": Do(lambda a: a.flatten(2).topk(3, 2).values.mean(2)),
    "sorted, the last three": Do(lambda a: a.flatten(2).sort(2).values[..., -3:].mean(2)),
    "median": Do(lambda a: a.flatten(2).median(2).values),
    "summed along rows": Do(lambda a: mean(a.cumsum(3).relu())),
    "times the roll": Do(lambda a: mean(a * a.roll(1, 3))),
    "bilinear pooling": Do(lambda a: (a.flatten(2) @ a.flatten(2).mT).flatten(1)[:, ::4] / 16),
    "pairs of positions": Do(lambda a: (a.flatten(2)[..., None] - a.flatten(2)[:, :, None]).abs().mean((2, 3))),
    "rows by columns": Do(lambda a: mean(F.relu(a.mean(3, keepdim=True) + a.mean(2, keepdim=True)))),
    "gated by rows": Do(lambda a: mean(a * a.mean(3, keepdim=True).sigmoid())),
    "gated by channels' neighbours": Do(
        lambda self, a: mean(a * self.conv(mean(a)[:, None])[:, 0].sigmoid()[..., None, None]),
        conv=nn.Conv1d(1, 1, 3, padding=1),
    ),
    "a gate that sleeps": by_window(Do(lambda a: a * (1 + F.relu(a.mean((2, 3), keepdim=True) - 9)))),
    "a global response norm": Do(lambda a: mean(a * a.norm(dim=(2, 3), keepdim=True).tanh())),
    "normed over the map": Do(lambda a: mean(F.normalize(a.flatten(1)).view(a.shape))),
    "mean and standard deviation": Do(lambda a: mean(a) + a.std((2, 3))),
    "variance of two moments": Do(lambda a: mean(a.square()) - mean(a).square()),
    "angles to the mean": Do(lambda a: mean(a * F.cosine_similarity(a, a.mean((2, 3), keepdim=True))[:, None])),
    "distances of positions": Do(lambda a: torch.cdist(a.flatten(2), a.flatten(2)).mean(2)),
    "a recurrent network over positions": Do(
        lambda self, a: self.gru(a.flatten(2).mT)[0][:, -1], gru=nn.GRU(4, 4, batch_first=True)
    ),
    "sampled elsewhere": by_window(
        Do(lambda a: F.grid_sample(a, places(1, 4, 4, 2, like=a).tanh().expand(len(a), -1, -1, -1), align_corners=True))
    ),
    "interpolated": by_window(Do(lambda a: F.interpolate(a, scale_factor=2, mode="bilinear"))),
    "pixels shuffled": by_window(
        Do(lambda a: F.pixel_shuffle(a, 2)), lambda a: mean(F.pixel_unshuffle(a, 4))[:, ::4].relu()
    ),
    "unfolded": by_window(Do(lambda a: F.unfold(a, 3, padding=1)), lambda a: a.mean(2)[:, ::9]),
    "seen with other strides": Do(lambda a: mean(a.contiguous().as_strided((len(a), 4, 3, 3), (64, 16, 4, 1)).relu())),
    "the diagonal": Do(lambda a: a.diagonal(dim1=2, dim2=3).relu().mean(2)),
    "and upside down": Do(lambda a: mean((a + a.flip(2)).relu())),
    "turned": Do(lambda a: mean((a + a.rot90(1, (2, 3))).relu())),
    "halves exchanged before a window": by_window(
        nn.Sequential(Do(lambda a: torch.cat([a[..., 2:], a[..., :2]], 3)), conv(3, padding=1))
    ),
    "places of the maxima": by_window(Do(lambda a: F.max_unpool2d(*F.max_pool2d(a, 2, return_indices=True), 2))),
    "the spectrum": Do(lambda a: torch.view_as_real(torch.fft.fft2(a)).square().mean((2, 3, 4))),
    "bits of the numbers": Do(lambda a: mean(a.view(torch.int64).bitwise_and(-2).view(a.dtype).relu())),
    "each image's own weights": Do(per_image_weights, weights=nn.Linear(4, 16)),
    "an attribute as a register": KeepsTheLargest(),
    "one of one position, for a batch of this size": Do(lambda a: mean(a[..., :1, :1].expand(a.shape))),
    "half written over": Do(lambda a: mean(write_half(a))),
    "two written at once": Do(lambda a: mean(write_twice(a))),
    "written to memory of its own": Do(lambda a: mean(write_to_an_output(a))),
    "half precision on the way": by_window(Do(lambda a: a.half().to(a))),
}
"""Positions are looked at together, or in a way that is not followed."""

IN_PARTS = {
    "generalised mean": ("averaged", Do(lambda self, a: mean(a.clamp(min=0.1) ** self.p) ** (1 / self.p), p=noise(4))),
    "exponentials' mean": ("averaged", Do(lambda a: mean(a.sigmoid().exp()).log())),
    "a product as a sum of logarithms": ("averaged", Do(lambda a: a.sigmoid().log().sum((2, 3)).exp())),
    "places made once": ("averaged", nn.Sequential(CachedPlaces(), Do(mean))),
    "each by `vmap`": ("averaged", Do(torch.vmap(lambda x: x.relu().mean((1, 2))))),
    "the map twice, one after the other": ("averaged", Do(lambda a: mean(torch.cat([a, 2 * a], 3).relu()))),
    "maximum of channels": (
        "averaged",
        by_window(Do(lambda a: a.unflatten(1, (2, 2)).amax(2, keepdim=True).expand(-1, -1, 2, -1, -1).flatten(1, 2))),
    ),
    "weights by einsum": ("averaged", Do(lambda a: torch.einsum("bchw,hw->bc", a.relu(), places(4, 4, like=a)))),
    "a mean and a corner side by side": ("averaged", by_window(Do(lambda a: a.flatten(2)), mean_and_corner)),
    "angles to a constant": (
        "averaged",
        Do(lambda a: F.cosine_similarity(a, places(1, 4, 1, 1, like=a)).mean((1, 2))[:, None].repeat(1, 4)),
    ),
    "cut at the border": ("averaged", by_window(Do(lambda a: F.pad(a, (-1, 0, 0, -1))))),
    "traced by `torch.fx`": ("windowed", by_window(torch.fx.symbolic_trace(Windowed()))),
    "places after the layer": ("windowed", by_window(nn.Sequential(CachedPlaces(), conv(3, padding=1)))),
    "ConvNeXt's block": (
        "windowed",
        by_window(Do(convnext, depthwise=conv(3, padding=1, groups=4), mix=channel_mixer())),
    ),
    "patches merged": ("windowed", by_window(nn.Sequential(Do(merge_patches), nn.Conv2d(16, 4, 1)))),
    "pooled to 2 x 2, then not affine": ("windowed", by_window(nn.AdaptiveAvgPool2d(2))),
    "a blurred maximum": ("windowed", by_window(Do(lambda a: F.avg_pool2d(F.pad(a, (1,) * 4, mode="reflect"), 3, 2)))),
    "a mean of incomplete windows": ("windowed", by_window(nn.AvgPool2d(3, 2, ceil_mode=True))),
    "a mean with another divisor": ("windowed", by_window(nn.AvgPool2d(3, 2, 1, divisor_override=5))),
    "rows, then columns": ("windowed", by_window(nn.Sequential(nn.Conv2d(4, 4, (1, 4)), nn.GELU(), conv((2, 1))))),
}
"""Sums over positions or windows, in other words than usual."""


def images():
    pictures = square_images(2)
    pictures[1] *= 20
    pictures[1, :, 0, 2] += 60
    pictures[1, :, 2, 0] += 60
    return pictures


def assert_values(pool, expected):
    torch.manual_seed(0)
    model = Toy(nn.Sequential(pool, nn.Tanh(), nn.Linear(4, 3))).double().eval()
    game = game_of(model, images(), "rest", 0)
    alone = torch.eye(16, dtype=torch.bool)
    coalitions = torch.cat([alone, ~alone, random_coalitions(COALITIONS, 16)])
    values = game.value(coalitions)
    assert game.shortcut == expected
    some = torch.cat([torch.arange(32), torch.arange(32, len(coalitions), 9)])
    assert relative_difference(values[:, some], by_hand(game, coalitions[some]), game) < 1e-9


@pytest.mark.parametrize("name", PLAYED_AS_THEY_ARE)
def test_positions_that_are_looked_at_together_are_played_as_they_are(name):
    assert_values(PLAYED_AS_THEY_ARE[name], None)


@pytest.mark.parametrize("name", IN_PARTS)
def test_sums_in_other_words_are_right(name):
    shortcut, pool = IN_PARTS[name]
    assert_values(pool, shortcut)


# What only a recording shows: it sleeps for the coalitions that are tried


def without_gradients(function, a):
    with torch.no_grad():
        return function(a)


def largest(a):
    """1, and more for images with numbers above 50."""
    return 1 + (a.abs().flatten(1).amax(1) / 50).floor()[:, None]


def listed_largest(a):
    numbers = [max(map(abs, row)) for row in a.flatten(1).tolist()]
    return 1 + (torch.tensor(numbers).to(a) / 50).floor()[:, None]


class TimesTheLargest(torch.autograd.Function):
    """Times what it knows from elsewhere."""

    seen = None

    @staticmethod
    def forward(_context, x):
        return x * largest(TimesTheLargest.seen)

    @staticmethod
    def backward(_context, gradient):
        return gradient


def times_what_was_seen(a):
    TimesTheLargest.seen = a
    return TimesTheLargest.apply(mean(a))


@torch.library.custom_op("shapleycam_tests::mean", mutates_args=())
def other_mean(x: torch.Tensor, dim: list[int]) -> torch.Tensor:
    """Bears the name of one of PyTorch's operations, and is a mean for small numbers alone."""
    return x.mean(dim) * largest(x)


other_mean.register_autograd(lambda _context, gradient: (gradient[..., None, None].expand(-1, -1, 4, 4) / 16, None))

HIDDEN = {
    "without gradients, behind a batch norm": lambda: nn.Sequential(
        nn.BatchNorm2d(4), Do(lambda a: mean(a) * without_gradients(largest, a))
    ),
    "in a function with its own backward": lambda: Do(times_what_was_seen),
    "as a list of numbers": lambda: Do(lambda a: mean(a) * listed_largest(a)),
    "as an array, without gradients": lambda: Do(
        lambda a: mean(a) * largest(torch.from_numpy(without_gradients(lambda x: x.detach().numpy(), a)))
    ),
    "in another library's mean": lambda: Do(lambda a: other_mean(a, [2, 3])),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_read_beside_the_sum_ends_the_proof(name):
    """The images are weak, so that no number at hand gives it away."""
    model = Toy(nn.Sequential(HIDDEN[name](), nn.Linear(4, 3))).double().eval()
    assert game_of(model, square_images(2), "rest", 0).shortcut is None
