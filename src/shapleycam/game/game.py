"""The CRG game of a batch of images: the values of coalitions, and the utility's derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.affine_utility import is_affine
from shapleycam.game.attended_utility import AttendedUtility
from shapleycam.game.channels import layout_of_positions, players_of
from shapleycam.game.coalition_batches import BatchProgress, check_finite_without
from shapleycam.game.contents import Contents
from shapleycam.game.derivatives import UtilityDerivatives
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.path_gradients import PathGradients
from shapleycam.game.players import Players, Regions
from shapleycam.game.removal import ZERO, Removal
from shapleycam.game.shortcuts.class_token import ClassTokenRunner
from shapleycam.game.shortcuts.window_sums import WindowSumRunner
from shapleycam.game.structure import Structure
from shapleycam.game.varying_removal import coalition_evaluator
from shapleycam.game.window_table import WindowedUtility
from shapleycam.images import Seed, content_seeds
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.utilities import Utility

MEMORY = 64 * 2**20
"""Default number of bytes that a batch of coalitions may take."""

ROUNDINGS = 100
"""A difference of two utilities counts as zero up to this multiple of the machine epsilon."""


class Game:
    """The content reserved game (CRG, arXiv:2501.06261) of each image of a traced batch.

    The players are the positions of the layer, regions of positions, or channels. The activation A_S of a coalition S
    is A at the players in S and R at all others; R is zero in the paper. The value of S is
    v(S) = U(head(A_S)) - U(head(R)), in units of the utility.

    `Explainer.game` makes the game of photographs.

    Args:
        trace: a traced pass over the images.
        layout: the layout of the activation.
        utility: the utility U.
        target: (b,), the classes.
        players: None for one player per position; (rows, columns) of a grid of regions; integers (h, w) or (b, h, w)
            that label each cell's region; "channels" (a channel holds its numbers at all positions and prefix tokens);
            or the players of another game of the same images.
        memory: about how many bytes a batch of coalitions may take.
        removal: what replaces the content of absent players; `resolve_removal` returns it for a user's choice.
        image_channels: the axis of the images that holds their channels.

    Attributes:
        activation: A (b, ...), detached.
        removal: how R is made.
        layout: which dimensions of A are positions; if channels are the players, a `ChannelLayout`.
        utility: the utility U.
        target: (b,), the classes.
        players: the assignment of positions to players.
        memory: about how many bytes a batch of coalitions, or of changed images, may take.
        image_channels: the axis of the images that holds their channels; the other axes are spatial.

    Raises:
        OptionError: the utility is not finite, or not a differentiable function of the output; or players do not fit.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        ... )
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> game.n_players
        4
        >>> all_players_and_first_player = torch.tensor([[True, True, True, True], [True, False, False, False]])
        >>> values = game.value(all_players_and_first_player)
        >>> values.shape, torch.allclose(values[:, 0], game.grand)
        (torch.Size([1, 2]), True)
    """

    def __init__(
        self,
        trace: Trace,
        layout: Layout,
        utility: Utility,
        target: Int[Tensor, " b"],
        players: Regions | Players = None,
        memory: int = MEMORY,
        removal: Removal = ZERO,
        image_channels: int = 1,
    ) -> None:
        if memory < 1:
            raise OptionError(f"memory is {memory}; expected the number of bytes that a batch of coalitions may take")
        self.activation = trace.activation.detach()
        removal.check_layer(trace.layer, is_image=trace.is_at_input)
        self.removal = removal
        self.players = players_of(players, layout, self.activation)
        self.layout = self.players.layout
        replacement = removal.replacement(self.activation, layout_of_positions(layout), trace.layer)
        self._contents = Contents(self.activation, replacement, self.layout)
        self.utility = utility
        self.target = target
        self._trace, self.memory, self.image_channels = trace, memory, image_channels
        self._coalitions = coalition_evaluator(trace, self._contents, self.players, utility, target, memory, removal)
        self._derivatives = UtilityDerivatives(trace, self._contents, utility, target)
        self._path_gradients = PathGradients(trace, self._contents, utility, target, self._coalitions, memory)

    @property
    def contents(self) -> Contents:
        """Return A and R.

        Raises:
            DerivativeError: the removal has no single R.
        """
        self.removal.check_fixed("this value")
        return self._contents

    @property
    def trace(self) -> Trace:
        """Return the game's traced pass."""
        return self._trace

    def variant(self, trace: Trace, utility: Utility) -> Game:
        """Return a copy of the game with another traced pass and utility, and the same players and options."""
        return self._like(trace, utility, self.players)

    def with_players(self, players: Regions) -> Game:
        """Return a copy of the game with other players."""
        return self._like(self._trace, self.utility, players)

    def _like(self, trace: Trace, utility: Utility, players: Regions | Players) -> Game:
        return Game(trace, self.layout, utility, self.target, players, self.memory, self.removal, self.image_channels)

    @property
    def layer(self) -> str:
        """Return the layer's dotted name."""
        return self._trace.layer

    @property
    def is_at_input(self) -> bool:
        """Return whether the layer is the model's input, so that the head is the whole model."""
        return self._trace.is_at_input

    @property
    def n_players(self) -> int:
        """Return the number of players; all prefix tokens together are one player, the last."""
        return self.players.count

    @property
    def n_channels(self) -> int:
        """Return the number of channels of the layer."""
        layout = layout_of_positions(self.layout)
        return int(self.activation.shape[1 if layout.channels_first else -1])

    @property
    def full(self) -> Float[Tensor, " b"]:
        """Return U(head(A)) (b,), the utility with all positions present."""
        return self._derivatives.at_activation.detach()

    @cached_property
    @restore_when_interrupted
    def empty(self) -> Float[Tensor, " b"]:
        """Return U(head(R)) (b,), the utility with all positions removed."""
        with without_gradients():
            if self.removal.is_fixed:
                utilities = self.utility_at(self._contents.empty).detach()
            else:
                empty_coalition = torch.zeros(1, self.n_players, dtype=torch.bool, device=self.activation.device)
                images = torch.arange(len(self.activation), device=self.activation.device)
                utilities = self._coalitions.utilities(empty_coalition.expand(len(images), 1, -1), images)[:, 0]
            check_finite_without(utilities, self.utility, "all")
            return utilities

    @property
    def grand(self) -> Float[Tensor, " b"]:
        """Return v(N) = U(head(A)) - U(head(R)) (b,), the value of the grand coalition, which the players divide."""
        return self.full - self.empty

    @property
    def rounding(self) -> Float[Tensor, " b"]:
        """Return the absolute value of v(N) (b,) up to which it may be nothing but rounding."""
        largest = torch.maximum(self.full.abs(), self.empty.abs()).clamp(min=1)
        return ROUNDINGS * torch.finfo(self.full.dtype).eps * largest

    @property
    def images(self) -> Float[Tensor, "b *image"]:
        """Return the network's inputs (b, ...)."""
        return self._trace.images

    @restore_when_interrupted
    def score_images(self, images: Float[Tensor, "s *image"], samples: Int[Tensor, " s"]) -> Float[Tensor, " s"]:
        """Return the utilities (s,) of changed images, from one pass of a private copy of the whole model.

        `samples` (s,) are the indices of the images of the batch that `images` were made from. A changed image has the
        class, the utility's data and the further inputs of its original. The images run in one batch.

        Examples:
            >>> import matplotlib, torch, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> game = shapleycam.Explainer("efficientnet_lite0", device="cpu").game(photo)
            >>> torch.allclose(game.score_images(game.images, torch.tensor([0])), game.full, rtol=1e-4)
            True
        """
        target = self.target[samples.to(self.target.device)]
        with without_gradients():
            return self.utility(self._trace.output_of(images, samples), target, samples).to(self.activation.device)

    def seeds(self, seed: Seed) -> list[int]:
        """Return one seed for each image, from its content and the user's seed."""
        return content_seeds(self._trace.images, seed)

    @restore_when_interrupted
    def value(
        self,
        coalitions: Bool[Tensor, "s n"] | Bool[Tensor, "a s n"],
        images: Int[Tensor, " a"] | Sequence[int] | None = None,
        progress: BatchProgress | None = None,
    ) -> Float[Tensor, "a s"]:
        """Return v(S) = U(head(A_S)) - U(head(R)) of coalitions S, where A_S is A on S and R elsewhere.

        Args:
            coalitions: (s, n), the same for all images, or (a, s, n), one set for each; True for players in S.
            images: the indices of a images; None for all images.
            progress: called after each batch that fits into memory, with the number of coalitions in it.

        Raises:
            OptionError: coalitions of another size or type, or a utility that is not finite.
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
        """
        device = self.activation.device
        indices = (
            torch.arange(len(self.activation), device="cpu")
            if images is None
            else torch.as_tensor(images, dtype=torch.long, device="cpu")
        )
        indices = indices.to(device)
        checked = self.players.expand(coalitions, len(indices)).to(device)
        with without_gradients():
            return self._coalitions.utilities(checked, indices, progress) - self.empty[indices, None]

    @restore_when_interrupted
    def value_by_head(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, "b s"]:
        """Return v(S) of a few coalitions by running the head, to check shortcuts and closed forms.

        Raises:
            OptionError: as `value`.
            ReplayError: the pass was not recorded for replay.
        """
        images = torch.arange(len(self.activation), device=self.activation.device)
        expanded = self.players.expand(coalitions, len(images)).to(images.device)
        return self._coalitions.utilities_by_head(expanded, images) - self.empty[:, None]

    @restore_when_interrupted
    def utility_at(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """Return U(head(activation)); it is differentiable if the activation requires a gradient.

        Raises:
            ReplayError: the pass was not recorded for replay.
        """
        return self._derivatives.utility_at(activation)

    @restore_when_interrupted
    def gradient(self, activation: Float[Tensor, "b *shape"] | None = None) -> Float[Tensor, "b *shape"]:
        """Return ∂U/∂A at an activation; None for the images' own activation, which needs no further run of the head.

        Raises:
            DerivativeError: an operation in the head has no derivative, or a wrong one.
            ReplayError: an activation was given, and the pass was not recorded for replay.
        """
        return self._derivatives.gradient(activation)

    @restore_when_interrupted
    def gradient_along(self, scales: Sequence[float], weights: Sequence[float]) -> Float[Tensor, "b *shape"]:
        """Return Σ_i w_i ∂U/∂A at R + t_i·(A - R); a run of the head takes as many scales t_i as fit into memory.

        Raises:
            DerivativeError: the removal has no single R.
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
        """
        self.removal.check_fixed("a path")
        return self._path_gradients.weighted_sum(scales, weights)

    @restore_when_interrupted
    def hvp(self, vector: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """Return H·vector for each image, with H = ∂²U/∂A² at the image's own activation.

        Raises:
            ReplayError: the pass was not made twice differentiable.
            DerivativeError: an operation in the head has no second derivative, or a wrong one.
        """
        return self._derivatives.hvp(vector)

    @property
    def structure(self) -> Structure:
        """Return the head's structure, which allows shortcuts: operations prove it, random coalitions confirm it."""
        return self._coalitions.structure

    @property
    def runs_per_coalition(self) -> int:
        """Return how many runs of the head a coalition takes without a shortcut."""
        return self._coalitions.runs

    @property
    def coalition_cost(self) -> str:
        """Return a phrase that says what a coalition costs, and why."""
        return self._coalitions.cost

    @property
    def shortcut(self) -> str | None:
        """Return the name of the shortcut that evaluates coalitions; None if the head runs for each coalition.

        The name is "summed", "pooled", "averaged", "windowed" (only after its table was made) or "class_token"; for
        channels as players it is "channel_means".
        """
        cheapest = self._coalitions.cheapest
        return None if cheapest is None else cheapest.name

    @restore_when_interrupted
    def image_groups(self, coalitions: int) -> list[list[int]]:
        """Return the indices of the images in groups; finish all coalitions of one group before the next.

        Shortcuts look coalitions up in a table, which is stored for the images of one group at a time. `coalitions` is
        the number of coalitions of each image that one call of `value` evaluates.
        """
        return self._coalitions.image_groups(coalitions)

    @property
    def coalition_bytes(self) -> int:
        """Return about how many bytes a coalition takes if the head runs for it; its time is about proportional."""
        with without_gradients():
            return self._coalitions.general.bytes_per_coalition

    @cached_property
    @restore_when_interrupted
    def is_affine(self) -> bool:
        """Return whether the utility is proven to be an affine function of the output, such as a logit."""
        output, first = self._trace.output, torch.zeros(1, dtype=torch.long, device=self.target.device)
        if not isinstance(output, torch.Tensor):
            return False
        return is_affine(lambda row: self.utility(row, self.target[:1], first), output[:1].detach())

    @restore_when_interrupted
    def windows(self, coalitions: int) -> WindowedUtility | None:
        """Return the utility as a function of the head's windows; None if the head has no windows.

        It is also None if the runs of the head for the table of windows do not pay for this number of coalitions.
        """
        with without_gradients():
            runner = self._coalitions.runner_for(coalitions)
        if not isinstance(runner, WindowSumRunner):
            return None
        return WindowedUtility(runner, self.players, self.utility, self.target)

    @restore_when_interrupted
    def attended(self, coalitions: int) -> AttendedUtility | None:
        """Return the utility as a function of the results of a few attention queries; None for other heads."""
        with without_gradients():
            runner = self._coalitions.runner_for(coalitions)
        if not isinstance(runner, ClassTokenRunner):
            return None
        return AttendedUtility(runner, self.players, self.utility, self.target)

    def check_closed_form(self, values: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> None:
        """Refuse values from a closed form that differ from the model's own values, `expected`.

        Raises:
            ReplayError: they differ by more than rounding.
        """
        self._coalitions.check_shortcut(values, expected)
