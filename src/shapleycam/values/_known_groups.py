"""The finest groups of an image's players whose Owen values have a standard error so far."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from shapleycam.values._owen import OwenValues
from shapleycam.values.group_tree import GroupTree
from shapleycam.values.shares import PlayerValues


def known_groups(tree: GroupTree, shares: OwenValues) -> tuple[Int[Tensor, " n"], PlayerValues]:
    """Return the group (n,) of each of one image's players, and the values of these groups, in the groups' order.

    A group that was opened in fewer than two samples stays a group: its own value has a standard error, but the values
    of its players have none and would be misleading. All other players are groups of one player.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import owen_refined
        >>> from shapleycam.values._known_groups import known_groups
        >>> from shapleycam.values.group_tree import trees_of_images
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(2, 4))
        >>> tree, first = trees_of_images(None, game.players)[0], next(owen_refined(game))
        >>> groups, values = known_groups(tree, first)
        >>> groups.tolist(), values.values.tolist() == first.levels[0].values.tolist()
        ([0, 0, 1, 1, 2, 2, 3, 3], True)
    """
    single_players = torch.arange(len(tree.leaves), device="cpu")
    if shares.stderr is None or bool(shares.stderr.isfinite().all()):
        return single_players, shares
    all_players = PlayerValues(
        shares.values.sum(1, keepdim=True), torch.zeros_like(shares.stderr[:, :1]), shares.evaluations
    )
    of_levels = [
        (nodes[:, None] == groups).long().argmax(1) for nodes, groups in zip(tree.levels, tree.groups, strict=True)
    ]
    levels = [
        (torch.zeros_like(single_players), all_players),
        *zip(of_levels, shares.levels, strict=True),
        (single_players, shares),
    ]
    # Number the groups of all levels, from coarse to fine, and choose each player's finest group with a standard error.
    chosen, values, stderr = torch.zeros_like(single_players), shares.values[:, :0], shares.stderr[:, :0]
    for group, level in levels:
        if level.stderr is None:
            raise TypeError("a level of Owen values has no standard errors")
        is_known = level.stderr[0].cpu()[group].isfinite()
        chosen = torch.where(is_known, values.shape[1] + group, chosen)
        values, stderr = torch.cat([values, level.values], 1), torch.cat([stderr, level.stderr], 1)
    numbers, groups = chosen.unique(return_inverse=True)
    return groups, PlayerValues(values[:, numbers], stderr[:, numbers], shares.evaluations, shares.samples)
