"""Sums of samples that belong to independent streams in turn: their mean, and its standard error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._orders import STREAMS
from shapleycam.values.shares import ShapleyValues


@dataclass
class StreamSums:
    """The samples so far: how many there are in each stream, and their sums.

    `error` are the sums of the control variate's errors; `square` of the squares of these over all players, and `cross`
    of their products with what samples differ from the control's `known` values. `trials` are evaluations that were
    spent otherwise.
    """

    count: Int[Tensor, "b streams"]
    total: Float[Tensor, "b streams n"]
    error: Float[Tensor, "b streams n"]
    square: Float[Tensor, "b streams"]
    cross: Float[Tensor, "b streams"]
    known: Float[Tensor, "b n"]
    trials: Int[Tensor, " b"]

    @classmethod
    def none(cls, game: Game) -> StreamSums:
        device = game.activation.device
        like = torch.zeros((), dtype=accurate(device), device=device)
        return cls.of(len(game.activation), game.n_players, like)

    @classmethod
    def of(cls, images: int, n: int, like: Tensor) -> StreamSums:
        total, square = like.new_zeros(images, STREAMS, n), like.new_zeros(images, STREAMS)
        count, known = torch.zeros_like(square, dtype=torch.long), like.new_zeros(images, n)
        return cls(count, total, total.clone(), square, square.clone(), known, count[:, 0].clone())

    def add(self, samples: Float[Tensor, "a m n"], errors: Float[Tensor, "a m n"], images: Int[Tensor, " a"]) -> None:
        images = images.to(self.total.device)
        first = int(self.count[images[0]].sum())  # images that go on have had as many samples
        for index, (sample, error) in enumerate(zip(samples.unbind(1), errors.unbind(1), strict=True)):
            stream = (first + index) % STREAMS
            self.count[images, stream] += 1
            self.total[images, stream] += sample
            self.error[images, stream] += error
            self.square[images, stream] += error.square().sum(1)
            self.cross[images, stream] += ((sample - self.known[images]) * error).sum(1)

    @property
    def corrected(self) -> Float[Tensor, "b streams n"]:
        """Return the sums less the control's errors times what these still explain of the samples in other streams.

        So the factor does not depend on what it is applied to, and the mean stays unbiased.
        """
        square = self.square.sum(1, keepdim=True) - self.square
        cross = self.cross.sum(1, keepdim=True) - self.cross
        factor = torch.where(square > 0, cross / square, 0.0)
        return self.total - factor[..., None] * self.error

    @property
    def mean(self) -> Float[Tensor, "b n"]:
        return self.corrected.sum(1) / self.count.sum(1)[:, None]

    @property
    def stderr(self) -> Float[Tensor, "b n"]:
        """Return the standard error of the mean, from how the streams differ; NaN of a single sample.

        Were samples independent, its square would be unbiased for streams of any lengths.
        """
        share = self._share
        return ((share * self.deviations).square().sum(1) / (1 - share.square().sum(1))).sqrt()

    @property
    def deviations(self) -> Float[Tensor, "b streams n"]:
        """Return how far the mean of each stream is from that of all; zero where a stream has no samples."""
        of_streams = self.corrected / self.count.clamp(min=1)[..., None]
        return torch.where(self._share > 0, of_streams - self.mean[:, None], 0.0)

    @property
    def _share(self) -> Float[Tensor, "b streams 1"]:
        return self.count.to(self.total.dtype)[..., None] / self.count.sum(1)[:, None, None]

    def shares(self, game: Game) -> ShapleyValues:
        """Return the estimates."""
        spent = 4 * self.count.sum(1) * (game.n_players - 1) + self.trials
        return ShapleyValues(self.mean, self.stderr, spent, samples=(self.count > 0).sum(1))


def error_of_samples(samples: Float[Tensor, "samples ..."]) -> Float[Tensor, "..."]:
    """Return the standard error of the mean of the first samples, or of a function of each, from their streams."""
    flat = samples.flatten(1)[None] if samples.dim() > 1 else samples[None, :, None]
    sums = StreamSums.of(1, flat.shape[2], flat)
    sums.add(flat, torch.zeros_like(flat), torch.zeros(1, dtype=torch.long, device="cpu"))
    return sums.stderr.reshape(samples.shape[1:])
