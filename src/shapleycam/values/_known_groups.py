"""The finest groups of an image's players whose Owen values have a standard error so far."""

from __future__ import annotations

from dataclasses import replace

import torch

from shapleycam.game.players import Players
from shapleycam.values._owen import OwenValues
from shapleycam.values.group_tree import trees_of_images
from shapleycam.values.shares import PlayerValues


def known_groups(players: Players, shares: OwenValues) -> tuple[Players, PlayerValues]:
    """Return groups of one image's players by place, and their values: the players, where all have a standard error.

    A group that was opened in fewer than two samples is one player, with its own value, which does have one. Values of
    players inside of it would say nothing, and would be no picture of the image.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import owen_refined
        >>> from shapleycam.values._known_groups import known_groups
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(4, 4))
        >>> first = next(owen_refined(game))
        >>> groups, values = known_groups(game.players, first)
        >>> groups.count, values.values.tolist() == first.levels[0].values.tolist()
        (4, True)
    """
    if shares.stderr is None or bool(shares.stderr.isfinite().all()):
        return players, shares
    (tree,) = trees_of_images(None, players)
    device = shares.values.device
    everyone = torch.zeros(1, 1, dtype=shares.values.dtype, device=device)
    values, stderr = [shares.values.sum(1, keepdim=True)], [everyone]
    # The number of each player's group among all groups, from coarse to fine: the last with a standard error stays.
    chosen = torch.zeros(players.count, dtype=torch.long, device=device)
    for nodes, level in [*zip(tree.levels, shares.levels, strict=True), (tree.leaves, shares)]:
        before = sum(part.shape[1] for part in values)
        inside = nodes.unique(return_inverse=True)[1].to(device)
        if level.stderr is None:
            raise TypeError("a level of Owen values has no standard errors")
        chosen = torch.where(level.stderr[0, inside].isfinite(), before + inside, chosen)
        values.append(level.values)
        stderr.append(level.stderr)
    numbers, group = chosen.unique(return_inverse=True)
    groups = replace(players, member=group[players.member], count=len(numbers), names=())
    of_groups = PlayerValues(
        torch.cat(values, 1)[:, numbers], torch.cat(stderr, 1)[:, numbers], shares.evaluations, shares.samples
    )
    return groups, of_groups
