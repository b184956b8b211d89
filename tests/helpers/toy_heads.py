"""Toy heads: some treat all positions alike and independently, some do not; units that are inactive at first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.masked_games import by_hand, game_of, noise, random_coalitions
from helpers.networks import Toy
from shapleycam.game.structure import Structure

BOTH, NEITHER = Structure(reads_mean=True, is_sum=True), Structure()
MEAN, SUM = Structure(reads_mean=True), Structure(is_sum=True)
AVERAGED = Structure(averages_positions=True)
ASLEEP = -100.0
"""A bias under which nothing in the images at hand wakes a ReLU."""


class Do(nn.Module):
    """A function of a tensor as a module; of the module first, where parts are given for it to use."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.bare = function, not parts
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, x):
        return self.function(x) if self.bare else self.function(self, x)


class Beside(nn.Module):
    """The mean of a, and beside it that of ReLU(f(a) - 100), which is nothing until an image wakes it."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.shift = nn.BatchNorm2d(4)
        nn.init.constant_(self.shift.bias, ASLEEP)

    def forward(self, a):
        return a.mean((2, 3)) + F.relu(self.shift(self.function(a))).mean((2, 3))


def beside(function):
    torch.manual_seed(0)
    return Toy(nn.Sequential(Beside(function), nn.Linear(4, 3)))


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return 3 * x**2 * gradient


def conv(size=1, **options):
    torch.manual_seed(1)
    return nn.Conv2d(4, 4, size, **options)


def inactive_relu():
    convolution = conv()
    nn.init.dirac_(convolution.weight)
    nn.init.constant_(convolution.bias, ASLEEP)
    return nn.Sequential(convolution, nn.ReLU())


def to_last(module):
    """Return a module for channels last that takes and returns channels first."""
    return nn.Sequential(Do(lambda x: x.permute(0, 2, 3, 1).contiguous()), module, Do(lambda x: x.permute(0, 3, 1, 2)))


def residual(module):
    return Do(lambda self, x: x + self.module(x), module=module)


def square_images(images=3, dtype=torch.float64):
    """4 x 4 cells of 4 channels: no shape gives away which axis is which."""
    return noise(images, 4, 4, 4, dtype=dtype)


def structure(model, images=None):
    return game_of(model.double(), square_images() if images is None else images, "rest", 0).structure


def assert_right(model, images, coalitions=None):
    """The values are the model's own, with regard to a fraction of the largest."""
    game = game_of(model.double(), images, "rest", 0)
    coalitions = random_coalitions(len(images), 40, game.n_players) if coalitions is None else coalitions
    expected = by_hand(game, coalitions)
    torch.testing.assert_close(game.value(coalitions), expected, rtol=0, atol=1e-9 * float(expected.abs().max()))
    return game


def _write_in_place(x):
    x = x.clone()
    x[..., 0, 0] = 0
    return x


def _quarters(x):
    h, w = (max(1, side // 2) for side in x.shape[2:])
    quarters = x.unflatten(3, (-1, w)).unflatten(2, (-1, h))
    return (quarters + quarters.permute(0, 1, 4, 5, 2, 3)).flatten(4).flatten(2, 3)


APART = {
    "3 x 3 convolution": conv(3, padding=1),
    "depthwise convolution": conv(3, padding=1, groups=4),
    "convolution of size 1 with stride": Do(lambda self, x: self.conv(x).repeat(1, 1, 2, 2), conv=conv(stride=2)),
    "transposed convolution": nn.ConvTranspose2d(4, 4, 1),
    "maximum pooling": nn.MaxPool2d(3, 1, 1),
    "average pooling": nn.AvgPool2d(3, 1, 1),
    "weights of the map": Do(lambda self, x: x * self.weight, weight=torch.ones(4, 4)),
    "weights of the map, on the left": Do(lambda self, x: self.weight * x, weight=torch.ones(1, 4, 4, 4)),
    "divided by weights of rows": Do(lambda self, x: x / self.weight, weight=torch.ones(4, 1)),
    "position bias": Do(lambda self, x: x + self.bias, bias=torch.zeros(4, 4)),
    "softmax over positions": Do(lambda x: x.flatten(2).softmax(2).view(x.shape)),
    "softmax over a row": nn.Softmax(3),
    "group norm": nn.GroupNorm(2, 4),
    "instance norm": nn.InstanceNorm2d(4),
    "layer norm of the image": nn.LayerNorm((4, 4, 4)),
    "layer norm of a row": Do(lambda x: F.layer_norm(x, x.shape[3:])),
    "statistics of the batch": Do(lambda x: F.batch_norm(x, None, None, training=True)),
    "linear over positions": Do(lambda self, x: self.fc(x.flatten(2)).view(x.shape), fc=nn.Linear(16, 16)),
    "linear over a row": nn.Linear(4, 4),
    "linear over a row of any length": Do(lambda x: F.linear(x, x.new_ones(x.shape[3], x.shape[3]))),
    "one number a row": Do(lambda x: F.linear(x, x.new_ones(1, x.shape[3]))),
    "convolution over a column of any length": Do(
        lambda x: F.conv2d(x.transpose(1, 2), x.new_ones(x.shape[2], x.shape[2], 1, 1)).transpose(1, 2)
    ),
    "channels and rows change places": Do(lambda self, x: self.conv(x.transpose(1, 2)).transpose(1, 2), conv=conv()),
    "reshaped across channels": Do(lambda self, x: self.conv(x.permute(0, 2, 3, 1).reshape(x.shape)), conv=conv()),
    "squeeze and excitation": Do(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()),
    "attention": Do(lambda x: F.scaled_dot_product_attention(*[x.flatten(2).mT] * 3).mT.reshape(x.shape)),
    "upside down": Do(lambda x: x.flip(2)),
    "rolled": Do(lambda x: x.roll(1, 3)),
    "another order": Do(lambda x: x[..., [2, 0, 3, 1]]),
    "and the transposed": Do(lambda x: x + x.transpose(2, 3)),
    "by the transposed": Do(lambda x: x * x.transpose(2, 3)),
    "and its quarters transposed": Do(_quarters),
    "seen with other strides": Do(lambda x: x.as_strided(x.shape, (*x.stride()[:2], 0, 0))),
    "the first position": Do(lambda x: x[..., :1, :1].expand(x.shape)),
    "largest anywhere": Do(lambda x: x.amax((2, 3), keepdim=True).expand(x.shape)),
    "summed along a row": Do(lambda x: x.cumsum(3)),
    "sorted": Do(lambda x: x.flatten(2).sort(2).values.view(x.shape)),
    "mean of a row": Do(lambda x: x.mean(3, keepdim=True).expand(x.shape)),
    "custom function": Do(Cube.apply),
    "padded": Do(lambda x: F.pad(x, (1, 0, 0, 0))[..., :-1]),
    "written into": Do(_write_in_place),
}
"""Functions of the whole map; some look at each position alone in truth, in a way that is not known to."""


POOLINGS = {
    "sum": lambda a: a.sum((2, 3)),
    "maximum": lambda a: a.amax((2, 3)),
    "mean of half": lambda a: a[..., :2].mean((2, 3)),
    "mean of rows, maximum of these": lambda a: a.mean(3).amax(2),
    "mean of rows, then ReLU": lambda a: a.mean(3).relu().mean(2),
    "mean and channels with it": lambda a: a.mean((1, 3)),
    "mean of channels and rows": lambda a: a.mean((1, 2)),
    "four quarters": lambda a: F.adaptive_avg_pool2d(a, 2).flatten(1)[:, ::4],
    "mean and a sleeping corner": lambda a: a.mean((2, 3)) + F.relu(a[..., 0, 0] + ASLEEP),
    "mean and a sleeping maximum": lambda a: a.mean((2, 3)) + F.relu(a.amax((2, 3)) + ASLEEP),
    "mean times a sleeping gate": lambda a: a.mean((2, 3)) * (1 + F.relu(a.flatten(1).norm(dim=1, keepdim=True) - 1e3)),
    "norm": lambda a: a.norm(dim=(2, 3)),
    "standard deviation": lambda a: a.flatten(2).std(2),
    "mean over the transposed square": lambda a: (a * a.transpose(2, 3)).mean((2, 3)),
    "log sum of exponentials": lambda a: a.flatten(2).logsumexp(2),
}
