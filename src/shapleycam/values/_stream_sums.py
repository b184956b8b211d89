"""Sums of samples that are assigned to independent streams in turn: their mean, and its standard error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._control_variate import ControlVariate
from shapleycam.values._orders import STREAMS
from shapleycam.values.shares import ShapleyValues

_OF_SINGLE_ORDERS = 4
"""For streams of one order each, one in this number does not count as a sample: single orders have heavy tails."""


@dataclass
class StreamSums:
    """The sums over the samples so far, for each stream.

    Attributes:
        count: the number of orders.
        total: the sums of the players' marginal contributions.
        error: the sums of the control variate's errors.
        square: the sums of the squared errors, over all players.
        cross: the sums over players of the products of the errors with the samples' deviations from `centre`.
        centre: approximate Shapley values of the control variate.
        samples: the number of samples, which may be means over several orders.
        trials: evaluations that were not spent on samples.
        fitted: the corrections by surrogates, which are subtracted from `total`.
    """

    count: Int[Tensor, "b streams"]
    total: Float[Tensor, "b streams n"]
    error: Float[Tensor, "b streams n"]
    square: Float[Tensor, "b streams"]
    cross: Float[Tensor, "b streams"]
    centre: Float[Tensor, "b n"]
    samples: Int[Tensor, " b"]
    trials: Int[Tensor, " b"]
    fitted: Float[Tensor, "b streams n"]

    @classmethod
    def none(cls, game: Game) -> StreamSums:
        device = game.activation.device
        like = torch.zeros((), dtype=accurate(device), device=device)
        return cls.of(len(game.activation), game.n_players, like)

    @classmethod
    def of(cls, images: int, n: int, like: Tensor) -> StreamSums:
        total, square = like.new_zeros(images, STREAMS, n), like.new_zeros(images, STREAMS)
        count, centre = torch.zeros_like(square, dtype=torch.long), like.new_zeros(images, n)
        none = count[:, 0]
        error, fitted = total.clone(), total.clone()
        return cls(count, total, error, square, square.clone(), centre, none.clone(), none.clone(), fitted)

    def use(self, control: ControlVariate, images: Int[Tensor, " a"]) -> None:
        """Set the approximate values of a control variate of some images, and count the evaluations to make it."""
        images = images.to(self.centre.device)
        self.centre[images] = control.centre[images].to(self.centre)
        self.trials[images] += control.spent

    def add(
        self,
        samples: Float[Tensor, "a m n"],
        errors: Float[Tensor, "a m n"],
        images: Int[Tensor, " a"],
        orders: int = 1,
    ) -> None:
        """Add samples, each of which is the mean over this number of orders."""
        images = images.to(self.total.device)
        first = int(self.samples[images[0]])  # all images that are sampled further have the same number of samples
        self.samples[images] += samples.shape[1]
        weighted = (orders * samples, orders * errors)
        for index, (sample, error) in enumerate(zip(*(part.unbind(1) for part in weighted), strict=True)):
            stream = (first + index) % STREAMS
            self.count[images, stream] += orders
            self.total[images, stream] += sample
            self.error[images, stream] += error
            self.square[images, stream] += error.square().sum(1)
            self.cross[images, stream] += ((sample - orders * self.centre[images]) * error).sum(1)

    @property
    def corrected(self) -> Float[Tensor, "b streams n"]:
        """Return the sums less a factor times the control's errors, and less the corrections by surrogates.

        The factor of a stream is the regression of samples on errors in the other streams. So it is independent of the
        stream, and the mean stays unbiased.
        """
        square = self.square.sum(1, keepdim=True) - self.square
        cross = self.cross.sum(1, keepdim=True) - self.cross
        factor = torch.where(square > 0, cross / square, 0.0)
        return self.total - factor[..., None] * self.error - self.fitted

    @property
    def mean(self) -> Float[Tensor, "b n"]:
        return self.corrected.sum(1) / self.count.sum(1)[:, None]

    @property
    def stderr(self) -> Float[Tensor, "b n"]:
        """Return the standard error of the mean, from the deviations of the streams; NaN for a single stream.

        For independent samples its square is unbiased, whatever the lengths of the streams.
        """
        share = self._share
        return ((share * self.deviations).square().sum(1) / (1 - share.square().sum(1))).sqrt()

    @property
    def deviations(self) -> Float[Tensor, "b streams n"]:
        """Return the deviation of each stream's mean from the mean over all samples; zero for empty streams."""
        of_streams = self.corrected / self.count.clamp(min=1)[..., None]
        return torch.where(self._share > 0, of_streams - self.mean[:, None], 0.0)

    @property
    def _share(self) -> Float[Tensor, "b streams 1"]:
        return self.count.to(self.total.dtype)[..., None] / self.count.sum(1)[:, None, None]

    def shares(self, game: Game) -> ShapleyValues:
        """Return the estimates of the values, with standard errors."""
        spent = self.count.sum(1) * (game.n_players - 1) + self.trials
        streams = (self.count > 0).sum(1)
        streams = torch.where(self.count.amax(1) == 1, streams - streams // _OF_SINGLE_ORDERS, streams)
        return ShapleyValues(self.mean, self.stderr, spent, samples=streams)


def error_of_samples(samples: Float[Tensor, "samples ..."]) -> Float[Tensor, "..."]:
    """Return the standard error of the mean of these samples (or of functions of them), computed from their streams."""
    flat = samples.flatten(1)[None] if samples.dim() > 1 else samples[None, :, None]
    sums = StreamSums.of(1, flat.shape[2], flat)
    sums.add(flat, torch.zeros_like(flat), torch.zeros(1, dtype=torch.long, device="cpu"))
    return sums.stderr.reshape(samples.shape[1:])
