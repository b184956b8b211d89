"""The tree of nested groups of players, along which hierarchical (Owen) values divide the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.players import Players

Groups: TypeAlias = "Sequence[Tensor | np.ndarray | Sequence[int]] | None"
"""What a user may give as groups: levels from coarse to fine, each with the label of every player's group, (n,) or
(b, n); None for repeated halving of the image.
"""


@dataclass(frozen=True)
class GroupTree:
    """The groups of one image's players as nodes of a tree; players are its leaves, and a group has at least two parts.

    Attributes:
        children: the parts of each node; node 0 is the group of all players, and parts have larger indices than their
            group.
        members: (nodes, n), the players of each node.
        leaves: (n,), the leaf of each player.
        levels: for each level, the node of each player's group, (n,).
        groups: for each level, the node of each group, in the order of the groups' labels.
    """

    children: tuple[tuple[int, ...], ...]
    members: Bool[Tensor, "nodes n"]
    leaves: Int[Tensor, " n"]
    levels: tuple[Int[Tensor, " n"], ...]
    groups: tuple[Int[Tensor, " _"], ...]

    @property
    def sizes(self) -> Int[Tensor, " nodes"]:
        """Return the number of players of each node."""
        return self.members.sum(1)

    def opened_to(self, depth: int) -> frozenset[int]:
        """Return the groups at the levels 0 to `depth` - 1 of the tree, which are divided into their parts."""
        opened, layer = set[int](), [0]
        for _ in range(depth):
            layer = [node for node in layer if self.children[node]]
            opened.update(layer)
            layer = [child for node in layer for child in self.children[node]]
        return frozenset(opened)

    def around(self, node: int) -> list[int]:
        """Return the nodes that contain all players of a node, including itself."""
        contains: Tensor = (self.members >= self.members[node]).all(1)
        return contains.nonzero().flatten().tolist()

    @property
    def depth(self) -> int:
        """Return the number of divisions from the root to the players."""
        depth = 0
        while len(self.opened_to(depth + 1)) > len(self.opened_to(depth)):
            depth += 1
        return depth


def group_tree(levels: Sequence[Int[Tensor, " n"]], n: int) -> GroupTree:
    """Return the tree of nested groups of n players; a group that equals a coarser group is not a node of its own.

    Examples:
        >>> import torch
        >>> from shapleycam.values.group_tree import group_tree
        >>> tree = group_tree([torch.tensor([0, 0, 1])], 3)
        >>> tree.children, tree.depth
        (((1, 2), (3, 4), (), (), ()), 2)
    """
    children: list[list[int]] = [[]]
    members = [torch.ones(n, dtype=torch.bool, device="cpu")]
    current = torch.zeros(n, dtype=torch.long, device="cpu")  # the node that each player is in so far
    of_levels, of_groups = [], []
    for labels in (*levels, torch.arange(n, device="cpu")):
        divided = current.clone()
        for node in current.unique().tolist():
            names = labels[members[node]].unique()
            for name in names if len(names) > 1 else ():
                part = members[node] & (labels == name)
                divided[part] = len(members)
                children[node].append(len(members))
                children.append([])
                members.append(part)
        current = divided
        of_levels.append(current)
        names, group = labels.unique(return_inverse=True)
        of_groups.append(torch.zeros_like(names).scatter(0, group, current))
    nodes = tuple(map(tuple, children)), torch.stack(members), current
    return GroupTree(*nodes, tuple(of_levels[:-1]), tuple(of_groups[:-1]))


def trees_of_images(groups: Groups, players: Players) -> list[GroupTree]:
    """Return the tree of each image's players.

    Raises:
        OptionError: groups of another size or type, or groups that are not nested.
    """
    n, images = players.count, len(players.member)
    if groups is None:
        return [group_tree(halved_levels(players, image), n) for image in range(images)]
    levels = [_check_level(level, number, n, images) for number, level in enumerate(groups)]
    for number, (coarse, fine) in enumerate(pairwise(levels)):
        _check_nested(coarse, fine, number)
    return [group_tree([level[image] for level in levels], n) for image in range(images)]


def halved_levels(players: Players, image: int) -> list[Int[Tensor, " n"]]:
    """Return groups of one image's players by position: halves along each axis, halves of these, and so on.

    For example, 8 x 8 regions are grouped to 2 x 2, 4 x 4 and 8 x 8. Regions of any shape are grouped by the centre of
    their cells. All prefix tokens are one group.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values.group_tree import halved_levels
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 4, 4))
        >>> [level.tolist() for level in halved_levels(game.players, 0)]
        [[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]]
    """
    centres = _centres(players, image)
    placed = torch.arange(len(centres), device="cpu")
    groups, levels = [placed], list[Tensor]()
    while True:
        parts = [part for group in groups for part in _quarters(centres, group)]
        if len(parts) == len(groups) or all(len(part) == 1 for part in parts):
            return levels
        labels = torch.full((players.count,), len(parts), dtype=torch.long, device="cpu")  # prefix tokens: the last
        for number, part in enumerate(parts):
            labels[part] = number
        levels.append(labels)
        groups = parts


def _centres(players: Players, image: int) -> Float[Tensor, "placed axes"]:
    """Return the centre of each player's cells, rounded to hide differences by rounding; not for prefix tokens."""
    grid, prefix = players.layout.grid, players.layout.prefix
    axes = torch.meshgrid(*(torch.arange(side, device="cpu").double() for side in grid), indexing="ij")
    places = torch.stack([axis.flatten() for axis in axes], 1)
    member = players.member[image, prefix:].cpu()
    sums = places.new_zeros(players.count - (prefix > 0), len(grid)).index_add(0, member, places)
    # Players without cells, whose value is 0, are at the corner.
    sizes = member.bincount(minlength=len(sums)).clamp(min=1)
    return (sums / sizes[:, None]).round(decimals=6)


def _quarters(centres: Float[Tensor, "placed axes"], group: Int[Tensor, " m"]) -> list[Int[Tensor, " _"]]:
    """Return a group halved along each axis in turn, if its centres differ along this axis."""
    parts = [group]
    for axis in range(centres.shape[1]):
        parts = [half for part in parts for half in _halves(centres[part, axis], part)]
    return parts


def _halves(along: Float[Tensor, " m"], part: Int[Tensor, " m"]) -> list[Int[Tensor, " _"]]:
    """Return the players on each side of the cut that halves them best; equal coordinates stay together."""
    lines, counts = along.unique(return_counts=True)
    if len(lines) == 1:
        return [part]
    cut = (counts.cumsum(0)[:-1] - len(part) / 2).abs().argmin()
    first = along <= lines[cut]
    return [part[first], part[~first]]


def _check_level(level: Any, number: int, n: int, images: int) -> Int[Tensor, "b n"]:
    """Return the user's groups of one level as whole numbers (b, n)."""
    try:
        labels = torch.as_tensor(level, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise OptionError(
            f"level {number} of the groups is a {type(level).__name__}; expected whole numbers, one for each of {n} "
            "players"
        ) from None
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise OptionError(f"level {number} of the groups has labels of {labels.dtype}; expected whole numbers")
    if labels.shape not in {(n,), (1, n), (images, n)}:
        raise OptionError(
            f"level {number} of the groups has labels of shape {tuple(labels.shape)}; expected ({n},) or "
            f"({images}, {n}), the number of each player's group"
        )
    return labels.long().reshape(-1, n).expand(images, n)


def _check_nested(coarse: Int[Tensor, "b n"], fine: Int[Tensor, "b n"], number: int) -> None:
    for image, (outer, inner) in enumerate(zip(coarse, fine, strict=True)):
        for name in inner.unique().tolist():
            around = outer[inner == name].unique().tolist()
            if len(around) > 1:
                raise OptionError(
                    f"groups are not nested: group {name} of level {number + 1} has players of groups {around[0]} and "
                    f"{around[1]} of level {number} (image {image}); expected levels from coarse to fine, each "
                    "dividing the groups before it"
                )
