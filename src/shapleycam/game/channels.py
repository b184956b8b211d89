"""Channels as players: a layout whose "positions" are the channels of a layer, and proofs for games of channels.

A channel consists of its numbers at all cells and prefix tokens; a removed channel is removed at all of them. With this
layout a game of channels works like any other game.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.kept_proofs import prove_head
from shapleycam.game.players import Players, Regions, make_players
from shapleycam.game.removal import Removal
from shapleycam.game.structure import Proof, Structure
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace

CHANNELS = "channels"
"""The choice of players that means channels."""


@dataclass(frozen=True)
class ChannelLayout(Layout):
    """A layout with the channels of an activation as positions: `grid` is (channels,), `base` is the real layout.

    Examples:
        >>> import torch
        >>> from shapleycam.game.channels import channel_layout
        >>> from shapleycam.models.layout import Layout
        >>> activation = torch.zeros(2, 8, 7, 5)
        >>> channels = channel_layout(Layout("NCHW", (7, 5)), activation)
        >>> channels.count, channels.positions(activation).shape, str(channels)
        (8, torch.Size([2, 8, 35]), '8 channels of NCHW 7 x 5')
    """

    base: Layout = field(kw_only=True)

    def positions(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, "b k n"]:
        """Return the activation with one vector for each channel: its numbers at all positions, prefix tokens first."""
        return self.base.positions(activation).transpose(1, 2)

    def from_positions(self, positions: Float[Tensor, "b k n"], shape: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
        """Return an activation of this shape (b, ...) from one vector for each channel: the inverse of `positions`."""
        return self.base.from_positions(positions.transpose(1, 2), shape)

    def broadcast(self, numbers: Float[Tensor, "*rows k"]) -> Float[Tensor, "*rows _ _ *_more"]:
        """Return one number for each channel, in a shape that broadcasts with an activation."""
        axes = 1 if self.kind == "tokens" else len(self.base.grid)
        count = numbers.shape[-1]
        shape = (count, *[1] * axes) if self.channels_first else (*[1] * axes, count)
        return numbers.reshape(*numbers.shape[:-1], *shape)

    def single_position(self, _: Tensor) -> Tensor:
        """Raise TypeError: a single channel is not an activation that a head takes."""
        raise TypeError(f"a channel alone is no activation of layout {self.base}")

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether an activation of `shape` (b, ...) can have this layout."""
        return self.base.fits(shape) and self.grid == (shape[1] if self.channels_first else shape[-1],)

    def __str__(self) -> str:
        return f"{self.count} channels of {self.base}"


def channel_layout(layout: Layout, activation: Float[Tensor, "b *shape"]) -> ChannelLayout:
    """Return the layout in which the channels of an activation of this layout are the positions."""
    count = activation.shape[1 if layout.channels_first else -1]
    return ChannelLayout(layout.kind, (count,), base=layout)


def channel_players(layout: Layout, activation: Float[Tensor, "b *shape"]) -> Players:
    """Return the players of a game of channels: one player for each channel, in the order of the layer."""
    channels = channel_layout(layout, activation)
    member = torch.arange(channels.count, device=activation.device).expand(len(activation), -1)
    return Players(member, channels.count, channels)


def layout_of_positions(layout: Layout) -> Layout:
    """Return the layout of an activation's positions, for its own layout or for a `ChannelLayout`."""
    return layout.base if isinstance(layout, ChannelLayout) else layout


def players_of(players: Regions | Players, layout: Layout, activation: Float[Tensor, "b *shape"]) -> Players:
    """Return the players for a user's choice: channels, positions or regions; players of another game are unchanged.

    Raises:
        OptionError: they do not fit.
    """
    if isinstance(players, Players):
        return players
    positions = layout_of_positions(layout)
    if isinstance(players, str) and players == CHANNELS:
        return channel_players(positions, activation)
    return make_players(players, positions, len(activation), activation.device)


def prove_for_players(trace: Trace, contents: Contents, removal: Removal) -> Proof:
    """Return what the operations of a head prove for the players of these contents, positions or channels.

    Proofs for channels follow from proofs for positions: a head that reads the mean over positions reads one number for
    each channel. If it is affine in this mean, it is a sum over channels.
    """
    layout = contents.layout
    if not isinstance(layout, ChannelLayout):
        return prove_head(trace, contents, removal)
    proof = prove_head(trace, replace(contents, layout=layout.base), removal)
    reads_mean = proof.structure.reads_mean
    structure = Structure(reads_channel_means=reads_mean, is_sum_of_channels=reads_mean and proof.structure.is_sum)
    return Proof(structure, key=None if proof.key is None else ("channels", proof.key))
