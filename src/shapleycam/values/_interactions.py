"""Interactions of pairs of players: from the second-order game, or sampled.

Sources: the second-order game is that of arXiv:2501.06261; the Shapley interaction index is from Grabisch & Roubens
1999. It is sampled from neighbours in random orders, following its definition. In ⌈n/2⌉ orders all pairs are neighbours
once, by Walecki's decomposition of the complete graph into paths (Lucas 1892).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.precision import accurate
from shapleycam.values._taylor import values_from_derivative
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.wording import counted

_MOST_PLAYERS = 4096
"""Maximum number of players for a table of all pairs."""


@dataclass(frozen=True)
class Interactions:
    """Interactions of pairs of players, in units of the utility.

    Attributes:
        pairs: (b, n, n), symmetric with zeros on its diagonal: the contribution of two players together beyond the
            contributions of each without the other.
        own: (b, n), each player's own effect; None for sampled pairs.
        stderr: (b, n, n), the standard errors of `pairs`, or None.
        evaluations: (b,), the number of coalitions, or Hessian-vector products, for each image; a coalition takes
            `Game.runs_per_coalition` runs of the head.

    Examples:
        >>> import torch
        >>> from shapleycam.values import Interactions
        >>> pairs = torch.tensor([[[0.0, 0.5, -2.0], [0.5, 0.0, 1.0], [-2.0, 1.0, 0.0]]])
        >>> Interactions(pairs, own=None, stderr=None, evaluations=torch.tensor([8])).strongest(count=2)
        [(0, 2, -2.0), (1, 2, 1.0)]
    """

    pairs: Float[Tensor, "b n n"]
    own: Float[Tensor, "b n"] | None
    stderr: Float[Tensor, "b n n"] | None
    evaluations: Int[Tensor, " b"]

    def strongest(self, index: int = 0, count: int = 10) -> list[tuple[int, int, float]]:
        """Return the pairs with the largest absolute interactions in one image: (player, player, interaction)."""
        n = self.pairs.shape[1]
        first, second = torch.triu_indices(n, n, 1, device="cpu")
        effects = self.pairs[index][first, second]
        largest = effects.abs().topk(min(count, len(effects))).indices.tolist()
        return [(int(first[pair]), int(second[pair]), float(effects[pair])) for pair in largest]


def interactions(game: Game) -> Interactions:
    """Compute the interactions of the second-order game.

    With C = A - R they are C_i·H_ij·C_j for pairs; own effects are C_i·(g - H·C)_i + ½ C_i·H_ii·C_i. The sum of all own
    effects, and of each pair once, is v(N) at second order. It takes one Hessian-vector product for each player.

    Args:
        game: the game of b images with n players.

    Raises:
        DerivativeError: an operation in the head has no second derivative.
        OptionError: more than 4,096 players.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import interactions
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> effects = interactions(game)
        >>> effects.pairs.shape, effects.own.shape
        (torch.Size([1, 4, 4]), torch.Size([1, 4]))
    """
    n = game.n_players
    _check_players(n)
    products = torch.stack(
        [values_from_derivative(game, game.hvp(_difference_of_player(game, player))) for player in range(n)], 1
    )
    effects = (products + products.mT) / 2
    diagonal = effects.diagonal(dim1=1, dim2=2)
    own = values_from_derivative(game, game.gradient()) - effects.sum(2) + diagonal / 2
    return Interactions(effects - diagonal.diag_embed(), own, None, torch.full_like(game.target, n + 1))


def sampled_interactions(game: Game, rounds: int = 16, seed: int = 0, *, runs: int | None = None) -> Interactions:
    """Sample the Shapley interaction index, the mean of v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S), with standard errors.

    It needs no derivative.

    Args:
        game: the game of b images with n players.
        rounds: the number of independent estimates of each pair; each takes about n² evaluations.
        seed: the rounds are drawn from this seed and the image's content.
        runs: the maximum number of runs of the head for each image. None means no limit, but 1,000 at layer "input",
            where the head is the whole model.

    Raises:
        OptionError: fewer than two rounds or players, more than 4,096 players, or more runs than the limit.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import sampled_interactions
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> effects = sampled_interactions(game, rounds=4)
        >>> effects.pairs.shape, effects.stderr.shape
        (torch.Size([1, 4, 4]), torch.Size([1, 4, 4]))
    """
    n = game.n_players
    if rounds < 2 or n < 2:
        raise OptionError(f"{rounds} rounds for {n} players; expected 2 or more of each")
    _check_players(n)
    _check_runs(game, rounds, run_limit(game, EstimatorOptions(runs=runs)))
    generators = [torch.Generator().manual_seed(image_seed) for image_seed in game.seeds(seed)]
    drawn = torch.stack([_round(game, generators) for _ in range(rounds)])
    spent = torch.full_like(game.target, rounds * _runs_of_round(n))
    return Interactions(drawn.mean(0), None, drawn.std(0) / rounds**0.5, spent)


def _runs_of_round(n: int) -> int:
    """Return the number of coalitions of n players that a round evaluates: about n²."""
    orders, m = _paths(n).shape
    return 2 * orders * m


def _check_runs(game: Game, rounds: int, limit: int | None) -> None:
    """Refuse rounds that take more runs of the head than the limit.

    Raises:
        OptionError: they take more runs.
    """
    n, runs = game.n_players, rounds * _runs_of_round(game.n_players)
    if limit is not None and runs > limit:
        raise OptionError(
            f"{counted(rounds, 'round')} for the pairs of {n:,} players take {runs:,} runs of what comes after layer "
            f"{game.layer!r}; expected at most {limit:,}: allow runs={runs}, take fewer rounds, or group cells with "
            "players=(rows, columns)"
        )


def _check_players(n: int) -> None:
    """Refuse a game with too many players for a table of all pairs.

    Raises:
        OptionError: there are too many players.
    """
    if n > _MOST_PLAYERS:
        raise OptionError(
            f"the game has {n:,} players, which have {n * (n - 1) // 2:,} pairs; expected at most {_MOST_PLAYERS:,} "
            "players: group cells with players=(rows, columns)"
        )


def _difference_of_player(game: Game, player: int) -> Float[Tensor, "b *shape"]:
    """Return A - R at the positions of one player, and 0 elsewhere."""
    single = torch.zeros(len(game.activation), 1, game.n_players, dtype=torch.float32, device=game.activation.device)
    single[..., player] = 1
    presence = game.players.presence(single)[:, 0].to(game.activation.dtype)
    return game.contents.difference * game.layout.broadcast(presence)


def _paths(n: int) -> Int[Tensor, "orders m"]:
    """Return orders of n players in which any two are neighbours once; for an odd n with a dummy player added."""
    m = n + n % 2
    zigzag = torch.tensor([(step + 1) // 2 * (1 if step % 2 else -1) for step in range(m)], device="cpu")
    return (zigzag + torch.arange(m // 2, device="cpu")[:, None]) % m


def _round(game: Game, generators: list[torch.Generator]) -> Float[Tensor, "b n n"]:
    """Return one estimate for each pair of players and each image."""
    n, paths = game.n_players, _paths(game.n_players)
    orders, m = paths.shape
    order = torch.stack([torch.randperm(m, generator=generator, device="cpu")[paths] for generator in generators])
    ranks = order.argsort(2)[:, :, None]  # of each player in each order
    first = ranks < torch.arange(m + 1, device="cpu")[:, None]
    skipping = first[:, :, : m - 1] | (ranks == torch.arange(1, m, device="cpu")[:, None])
    inside = torch.cat([first, skipping], 2)[..., :n]
    worth = game.value(inside.flatten(1, 2)).unflatten(1, (orders, 2 * m)).to(accurate(game.activation.device))
    first_worth, skipping_worth = worth.split([m + 1, m - 1], 2)
    together = first_worth[..., 2:] - first_worth[..., 1:-1] - skipping_worth + first_worth[..., :-2]
    pairs = torch.zeros(len(order), m, m, dtype=together.dtype, device=together.device)
    image = torch.arange(len(order), device="cpu")[:, None, None]
    pairs[image, order[..., :-1], order[..., 1:]] = together
    return (pairs + pairs.mT)[:, :n, :n]
