"""Values of an image's regions by captum and shap, from the game that ours are of: same masks, same score.

shap need not be installed: its row is then left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from captum.attr import FeatureAblation, KernelShap, Lime, ShapleyValueSampling
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values.group_tree import GroupTree

BATCH = 16
BATCH_ON_A_GPU = 128


@dataclass(frozen=True)
class Peer:
    """An estimator of another library.

    `estimate` takes a game of one image, about how many runs of the model it may take, and a seed, and returns a value
    for each player; `divides` says whether its values are to be Shapley or Owen values, and not only to be ranked.
    """

    name: str
    estimate: Callable[[Game, int, int], Tensor]
    divides: bool = True


def peers() -> list[Peer]:
    """All whose libraries are installed."""
    of_captum = [
        Peer("captum KernelShap", _kernel_shap),
        Peer("captum ShapleyValueSampling", _value_sampling),
        Peer("captum Lime", _lime, divides=False),
        Peer("captum FeatureAblation (occlusion)", _ablation, divides=False),
    ]
    return [*([Peer("shap PartitionExplainer", _partition)] if find_spec("shap") else []), *of_captum]


def binary_levels(tree: GroupTree) -> list[Tensor]:
    """The groups of a tree in which each division of four is two of two: those of PartitionExplainer."""
    linkage, n = linkage_of(tree), tree.members.shape[1]
    inside: list[set[int]] = [{player} for player in range(n)]
    for first, second, *_ in linkage.tolist():
        inside.append(inside[int(first)] | inside[int(second)])
    levels, groups = [], [2 * n - 2]
    while any(group >= n for group in groups):
        groups = [part for group in groups for part in (_parts(linkage, group, n) if group >= n else [group])]
        labels = torch.zeros(n, dtype=torch.long)
        for number, group in enumerate(groups):
            labels[list(inside[group])] = number
        levels.append(labels)
    return levels[:-1]


def linkage_of(tree: GroupTree) -> np.ndarray:
    """The tree in the form of SciPy's hierarchical clustering, of two parts at a time: (n - 1, 4)."""
    rows: list[list[float]] = []
    n = tree.members.shape[1]

    def join(parts: list[tuple[int, int]]) -> tuple[int, int]:
        if len(parts) == 1:
            return parts[0]
        half = (len(parts) + 1) // 2  # quarters come in the order of rows, so that halves are above each other
        (first, size), (second, more) = join(parts[:half]), join(parts[half:])
        rows.append([first, second, len(rows) + 1, size + more])
        return n + len(rows) - 1, size + more

    def of_node(node: int) -> tuple[int, int]:
        if not tree.children[node]:
            return int(tree.members[node].nonzero()), 1
        return join([of_node(part) for part in tree.children[node]])

    of_node(0)
    return np.array(rows, dtype=float)


def _parts(linkage: np.ndarray, group: int, n: int) -> list[int]:
    return [int(part) for part in linkage[group - n, :2]]


def _score(game: Game) -> Callable[[Tensor], Tensor]:
    return lambda images: game.score_images(images, torch.zeros(len(images), dtype=torch.long, device=images.device))


def _of_regions(game: Game, attribution: Tensor) -> Tensor:
    """The value of each region: captum gives it to each of its pixels and colours."""
    labels = game.players.labels[0].flatten()
    first = torch.stack([(labels == player).nonzero()[0, 0] for player in range(game.n_players)])
    return attribution[0, 0].flatten()[first].double().cpu()


def _captum(game: Game) -> dict:
    return {
        "perturbations_per_eval": BATCH_ON_A_GPU if game.images.is_cuda else BATCH,
        "baselines": game.contents.empty,
        "feature_mask": game.players.labels[:, None].to(game.images.device),
    }


def _kernel_shap(game: Game, runs: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = KernelShap(_score(game)).attribute(game.images, n_samples=runs, **_captum(game))
    return _of_regions(game, found)


def _lime(game: Game, runs: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Lime(_score(game)).attribute(game.images, n_samples=runs, **_captum(game))
    return _of_regions(game, found)


def _value_sampling(game: Game, runs: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    orders = max(1, (runs - 2) // game.n_players)
    found = ShapleyValueSampling(_score(game)).attribute(game.images, n_samples=orders, **_captum(game))
    return _of_regions(game, found)


def _ablation(game: Game, runs: int, seed: int) -> Tensor:
    del runs, seed  # it takes a run for each region, and one for the image
    found = FeatureAblation(_score(game)).attribute(game.images, **_captum(game))
    return _of_regions(game, found)


def _partition(game: Game, runs: int, seed: int) -> Tensor:
    import shap

    from shapleycam.values.group_tree import trees_of_images

    n = game.n_players
    (tree,) = trees_of_images(None, game.players)

    class Coalitions(shap.maskers.Masker):
        """The masked input is the coalition itself, which the model plays: so masks are the game's own."""

        clustering = linkage_of(tree)
        shape = (1, n)

        def __call__(self, mask: np.ndarray, x: np.ndarray) -> np.ndarray:
            return mask[None].astype(bool) & x[None].astype(bool)

    def play(coalitions: np.ndarray) -> np.ndarray:
        return game.value(torch.from_numpy(np.ascontiguousarray(coalitions.astype(bool))))[0].double().cpu().numpy()

    explainer = shap.PartitionExplainer(play, Coalitions(), seed=seed)
    found = explainer(np.ones((1, n), dtype=bool), max_evals=runs, batch_size=BATCH, silent=True)
    return torch.from_numpy(np.asarray(found.values[0], dtype=float))
