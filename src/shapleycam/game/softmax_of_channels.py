"""Games of channels before a mean, one linear layer and a softmax: all contributions to a coalition in one product.

Let z be the class scores of a coalition, and a_k the difference that channel k makes to them. If channel k joins,
log Σ_j exp z_j changes by log Σ_j softmax(z)_j exp a_kj. The exponentials do not depend on the coalition. So one
product of a matrix and a vector gives the changes for all channels that join or leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.game.channels import ChannelLayout
from shapleycam.game.game import Game
from shapleycam.game.linear_of_mean import matrix_of_means
from shapleycam.precision import widened

_LARGEST_STEP = 8.0
"""Maximum change of a class score by one channel; with larger changes, 1 + Σ_j p_j (exp(-a_kj) - 1) loses precision."""
_CHECKED = 2
"""Number of random coalitions that are compared with the head, besides all channels and all but the strongest one."""


@dataclass(frozen=True, eq=False)
class SoftmaxOfChannels:
    """The game of one image, whose players are channels.

    The utility of a coalition with the class scores z is a · z_c + b · log softmax(z)_c.

    Attributes:
        steps: the difference that each channel makes to the class scores.
        full: the class scores with all channels.
        target: the class c.
        terms: the factors (a, b).
    """

    steps: Float[Tensor, "n classes"]
    full: Float[Tensor, " classes"]
    target: int
    terms: tuple[float, float]

    def utilities(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        """Return the utility of each coalition."""
        z = self._scores(coalitions)
        of_logit, of_probability = self.terms
        return of_logit * z[:, self.target] + of_probability * z.log_softmax(1)[:, self.target]

    def contributions(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        """Return U(S with k) - U(S without k) for each coalition S and each channel k."""
        p = self._scores(coalitions).softmax(1)
        change = -torch.log1p(p @ self._shrinking.mT)
        if not bool(coalitions.all()):
            change = torch.where(coalitions, change, torch.log1p(p @ self._growing.mT))
        of_logit, of_probability = self.terms
        return (of_logit + of_probability) * self.steps[:, self.target] - of_probability * change

    @cached_property
    def _growing(self) -> Float[Tensor, "n classes"]:
        return torch.expm1(self.steps)

    @cached_property
    def _shrinking(self) -> Float[Tensor, "n classes"]:
        return torch.expm1(-self.steps)

    def _scores(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, "s classes"]:
        return self.full - (~coalitions).to(self.steps) @ self.steps


def softmax_of_channels(game: Game) -> list[SoftmaxOfChannels] | None:
    """Return the game of each image in this form; None if it has another form, or precision or memory do not suffice.

    Raises:
        ReplayError: the head itself has another value for some coalition.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.game.softmax_of_channels import softmax_of_channels
        >>> head = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *head)
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8), players="channels")
        >>> [of_image] = softmax_of_channels(game)
        >>> of_image.contributions(torch.ones(2, 4, dtype=torch.bool)).shape
        torch.Size([2, 4])
    """
    terms = game.utility.log_softmax_terms
    is_of_channels = isinstance(game.contents.layout, ChannelLayout)
    if terms is None or not is_of_channels or not game.structure.reads_channel_means:
        return None
    matrix = matrix_of_means(game.trace)
    if matrix is None or len(matrix) != game.n_players or matrix.shape[1] < 2:  # one score is for classes no and yes
        return None
    if 3 * matrix.numel() * widened(matrix).element_size() > game.memory:
        return None
    present, absent = (each.mean(2) for each in (game.contents.positions, game.contents.absent_positions))
    difference, output = widened(present - absent), widened(game.trace.output.detach())
    if float(difference.abs().amax() * matrix.abs().amax()) > _LARGEST_STEP:
        return None
    games = [
        SoftmaxOfChannels(of_image[:, None] * widened(matrix), scores, target, terms)
        for of_image, scores, target in zip(difference, output, game.target.tolist(), strict=True)
    ]
    _check(game, games, difference)
    return games


def _check(game: Game, games: list[SoftmaxOfChannels], difference: Float[Tensor, "b n"]) -> None:
    """Refuse games whose values of some coalitions differ from those of the head itself."""
    generator = torch.Generator().manual_seed(0)
    some = torch.rand(_CHECKED + 2, game.n_players, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    strongest = int(difference.abs().amax(0).argmax())
    some[-2:] = True
    some[-1, strongest] = False
    some = some.to(difference.device)
    by_head = game.value_by_head(some)
    utilities = torch.stack([each.utilities(some) for each in games])
    game.check_closed_form(utilities - game.empty[:, None], by_head)
    steps = torch.stack([each.contributions(some[-2:-1])[0, strongest] for each in games])
    game.check_closed_form(steps, by_head[:, -2] - by_head[:, -1])
