"""Games of channels behind a mean, one linear layer and a softmax: what each channel adds to a coalition, at once.

With z the class scores of a coalition and a_k what channel k adds to them, a channel that joins changes
log Σ_j exp z_j by log Σ_j softmax(z)_j exp a_kj. The exponentials do not depend on the coalition, so that what all
channels add to a coalition, or take from it, is one product of a matrix and a vector.
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
"""What one channel may add to a class score at most: with more, 1 + Σ_j p_j (exp(-a_kj) - 1) is lost in rounding."""
_CHECKED = 2
"""Random coalitions that are compared with the head itself, beside all channels, and all but the strongest one."""


@dataclass(frozen=True, eq=False)
class SoftmaxOfChannels:
    """The game of one image; `steps` are what each channel adds to the class scores, `full` the scores of all of them.

    The utility is a · z_c + b · log softmax(z)_c, with (a, b) the `terms`, and c the `target`.
    """

    steps: Float[Tensor, "n classes"]
    full: Float[Tensor, " classes"]
    target: int
    terms: tuple[float, float]

    def utilities(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        """Return the utility of coalitions."""
        z = self._scores(coalitions)
        of_logit, of_probability = self.terms
        return of_logit * z[:, self.target] + of_probability * z.log_softmax(1)[:, self.target]

    def contributions(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, "s n"]:
        """Return U(S with k) - U(S without k) of each coalition S and each channel k."""
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
    """Return the game of each image in this form; None where it has another, or where numbers would be lost.

    Raises:
        ReplayError: the model itself gives some coalitions another value.

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
    if matrix is None or len(matrix) != game.n_players or matrix.shape[1] < 2:  # of one score classes are no and yes
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
    """Refuse games that give some coalitions another value than the head itself."""
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
