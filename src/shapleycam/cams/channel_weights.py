"""Maps map_j = Σ_k w_k C_jk whose weights w_k are values of the channels, in the game whose players are the channels.

C is A - R, the content that is removed with a channel; where R is zero it is A, as in the papers. Sources: Desai &
Ramaswamy 2020, Ablation-CAM (WACV); Jung & Oh 2021, arXiv:2102.05228 (LIFT-CAM). Ablation-CAM's division by U(A) is
left out: see "Ablation-CAM's weights are not divided by the score" in docs/decisions.md.
"""

from __future__ import annotations

import torch

from shapleycam.cams.bases import Basis, ChannelWeights, Cost, sampled_values
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.game.channels import CHANNELS
from shapleycam.game.softmax_of_channels import softmax_of_channels
from shapleycam.game.variants import is_linear_in_mean
from shapleycam.precision import widened
from shapleycam.values._closed_form import closed_form
from shapleycam.values._exact import exact
from shapleycam.values._path import mean_gradient
from shapleycam.values._single import leave_one_out
from shapleycam.values._softmax_sampling import softmax_sampling
from shapleycam.values._taylor import first_order
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.values.shares import ShapleyValues
from shapleycam.wording import percent

_MOST_EXACT = 10
"""Maximum number of channels for which all coalitions are evaluated."""
_TYPICAL_EVALUATIONS = 2048
"""Runs per channel that sampling takes for a standard error of 1%: two measurements gave 1,498 and 5,674."""
_GROUP, _ROSE = "channels as players", "#CC6677"
_NOT_LINEAR = (
    "the utility is not proven linear in the channels' means: their values are the path's estimate, which may differ "
    "from DeepLIFT's"
)


def _ablated(game: Game, options: EstimatorOptions) -> ChannelWeights:
    """Return the weights U(A) - U(A without channel k).

    Raises:
        OptionError: there are more channels than runs that the user allows.
    """
    channels = game.with_players(CHANNELS)
    additive = closed_form(channels)  # in an additive game, leave-one-out values are the Shapley values
    of_softmax = None if additive is not None else softmax_of_channels(channels)
    if of_softmax is not None:
        grand_coalition = torch.ones(1, channels.n_players, dtype=torch.bool, device=game.activation.device)
        return ChannelWeights(torch.cat([each.contributions(grand_coalition) for each in of_softmax]))
    limit = run_limit(channels, options)
    if additive is None and limit is not None and channels.n_players > limit:
        raise OptionError(
            f"ablationcam takes a run of what comes after layer {game.layer!r} for each of {channels.n_players:,} "
            f"channels; expected at most {limit:,}: allow more with runs=, or choose another method"
        )
    return ChannelWeights((leave_one_out(channels) if additive is None else additive).values)


def _along_the_path(game: Game, options: EstimatorOptions) -> ChannelWeights:
    """Return the path's estimates of the channels' Shapley values.

    They equal DeepLIFT's values if the head is linear, or has a single nonlinear layer.
    """
    is_linear = is_linear_in_mean(game)
    derivative = first_order(game) if is_linear else mean_gradient(game, options.nodes)[0]
    weights = widened(game.layout.positions(game.contents.difference * derivative)).sum(1)
    return ChannelWeights(weights, () if is_linear else ((_NOT_LINEAR,),) * len(weights))


def _shapley(game: Game, options: EstimatorOptions) -> ChannelWeights:
    """Return Shapley values: exact over all coalitions of a few channels, in closed form, or sampled."""
    channels = game.with_players(CHANNELS)
    limit = run_limit(channels, options)
    if channels.n_players <= _MOST_EXACT and (limit is None or 2**channels.n_players <= limit):
        return ChannelWeights(exact(channels).values)
    shares = closed_form(channels)
    if shares is not None:
        return ChannelWeights(shares.values)
    if limit is None:
        shares = softmax_sampling(channels, options.tolerance, options.seed, progress=options.progress)
    if shares is None:
        shares = sampled_values(channels, options)
    return ChannelWeights(shares.values, _notes_of_sampling(shares))


def _notes_of_sampling(shares: ShapleyValues) -> tuple[tuple[str, ...], ...]:
    """Return notes for each image: the standard error of its weights, and the notes of the sampling."""
    noted = shares.notes or ((),) * len(shares.values)
    uncertainty = shares.uncertainty.tolist()
    return tuple(
        (f"the channels' values are sampled: their standard error is {percent(each, 2)} of them", *notes)
        for each, notes in zip(uncertainty, noted, strict=True)
    )


CHANNEL_LEFT_OUT = Basis(
    "channel left out",
    _ablated,
    lambda _players, _nodes: Cost(head_evaluations=1),
    _GROUP,
    _ROSE,
    needs_replay=True,
    is_of_channels=True,
    is_per_channel=True,
)
CHANNEL_PATH = Basis(
    "channel path",
    _along_the_path,
    lambda _players, nodes: Cost(head_gradients=nodes),
    _GROUP,
    _ROSE,
    takes_derivatives=True,
    needs_replay=True,
    is_of_channels=True,
    options=("nodes",),
)
CHANNEL_VALUES = Basis(
    "channel values",
    _shapley,
    lambda _players, _nodes: Cost(head_evaluations=_TYPICAL_EVALUATIONS),
    _GROUP,
    _ROSE,
    needs_replay=True,
    is_of_channels=True,
    options=("tolerance",),
    is_per_channel=True,
)
