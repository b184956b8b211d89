"""What metrics are made of: the one table of quantities, each a function of a batch's passes and a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from shapleycam.cams.compute import CamValues, player_values
from shapleycam.errors import OptionError
from shapleycam.fidelity.measure import true_values
from shapleycam.metrics.masking import blurred, hidden_content, masked, zero
from shapleycam.metrics.removal import disturbances, exchanged, imputations, noise_for
from shapleycam.metrics.stability import randomised

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation
    from shapleycam.metrics.passes import Passes


_ANEW = 2**32


@dataclass(frozen=True)
class Quantity:
    """`make(passes, method)` makes it, once for all `images`, for each distinct `map`, or for each `method`."""

    of: Literal["images", "map", "method"]
    make: Callable[[Passes, str], Any]


def _score(passes: Passes, _: str) -> Tensor:
    return passes.subject.scores(next(iter(passes.explanations.values())).output)


def _hidden(passes: Passes, _: str) -> Tensor | float:
    subject = passes.subject
    return hidden_content(subject.images, passes.options, subject.explainer.preprocess)


def _kept(passes: Passes, method: str) -> Tensor:
    """x·M, or with what the protocol shows where M hides."""
    return masked(passes.subject.images, passes.explanations[method].heatmap, passes.quantity("hidden", method))


def _kept_explanations(passes: Passes, method: str) -> dict[str, Explanation]:
    """Of x·M by all methods that have this map."""
    # Drawn from the image, not from x·M, whose last bits depend on the batch; and not what x itself was drawn.
    seeds = passes.subject.seeds(passes.subject.seed + _ANEW)
    return passes.subject.explain(_kept(passes, method), passes.group(method), seeds)


def _kept_of(passes: Passes, method: str) -> Explanation:
    found: dict[str, Explanation] = passes.quantity("kept_explanations", method)
    return found[method]


def _kept_score(passes: Passes, method: str) -> Tensor:
    if "kept_heatmap" in passes.needed:  # the pass that explains x·M has the score too
        return passes.subject.scores(_kept_of(passes, method).output)
    return passes.subject.score(_kept(passes, method))


def _removed_score(passes: Passes, method: str) -> Tensor:
    rest = 1 - passes.explanations[method].heatmap
    return passes.subject.score(masked(passes.subject.images, rest, passes.quantity("hidden", method)))


def _insertion(passes: Passes, method: str) -> Tensor:
    images, heatmap = passes.subject.images, passes.explanations[method].heatmap
    return _curve(passes, exchanged(blurred(images, passes.options), images, heatmap, passes.options.steps))


def _deletion(passes: Passes, method: str) -> Tensor:
    images, heatmap = passes.subject.images, passes.explanations[method].heatmap
    end = torch.zeros_like(images) + zero(images, passes.options, passes.subject.explainer.preprocess)
    return _curve(passes, exchanged(images, end, heatmap, passes.options.steps))


def _noise(passes: Passes, _: str) -> Tensor:
    return noise_for(passes.subject.images, float(passes.options.road_noise), passes.options.seed)


def _least_first(passes: Passes, method: str) -> Tensor:
    return _road(passes, method, most_first=False)


def _most_first(passes: Passes, method: str) -> Tensor:
    return _road(passes, method, most_first=True)


def _road(passes: Passes, method: str, *, most_first: bool) -> Tensor:
    images, heatmap = passes.subject.images, passes.explanations[method].heatmap
    noise, percentiles = passes.quantity("noise", method), passes.options.percentiles
    return _curve(passes, imputations(images, heatmap, percentiles, noise, most_first=most_first))


def _curve(passes: Passes, batches: Iterable[Tensor]) -> Tensor:
    """The score (b, points) of one batch of changed images after the other."""
    return torch.stack([passes.subject.score(images) for images in batches], 1)


def _disturbed(passes: Passes, _: str) -> dict[str, Tensor]:
    """By method the values (draws, b, h, w) for images within the radius."""
    subject, options = passes.subject, passes.options
    drawn = disturbances(subject.images, float(options.sensitivity_radius), options.sensitivity_draws, options.seed)
    found = [subject.explain(subject.images + noise, list(passes.explanations)) for noise in drawn]
    return {method: torch.stack([each[method].values for each in found]) for method in passes.explanations}


def _randomised(passes: Passes, _: str) -> dict[str, Tensor]:
    """By method the values (stages, b, h, w) of models that were re-initialised for each image."""
    images = [_of_random_models(passes, index) for index in range(len(passes.subject.images))]
    return {method: torch.cat([image[method] for image in images], 1) for method in passes.explanations}


@torch.inference_mode(mode=False)
def _of_random_models(passes: Passes, index: int) -> dict[str, Tensor]:
    subject, stages = passes.subject, []
    given = subject.explainer
    seed = subject.seeds(passes.options.seed)[index]
    for model in randomised(given.model, passes.options.randomised_stages, seed):
        one = subject.single(index, given.like(model))
        stages.append(one.explain(one.images, list(passes.explanations)))
    return {method: torch.stack([stage[method].values for stage in stages]) for method in passes.explanations}


def _true_values(passes: Passes, method: str) -> Tensor:
    # From another seed than sampledshapley's own, so that it too is measured against orders that it did not draw.
    game, options = passes.quantity("game", method), passes.options
    seed = 1 + max(options.seed, passes.subject.seed)
    return true_values(game, options.shapley_tolerance, seed).values.double()


def _player_values(passes: Passes, method: str) -> Tensor:
    explanation, game = passes.explanations[method], passes.quantity("game", method)
    if explanation.layer != game.layer:
        raise OptionError(f"the explanation is of layer {explanation.layer!r}, the game of {game.layer!r}; use one")
    return player_values(game, CamValues(explanation.values, explanation.prefix)).double()


QUANTITIES = {
    "score": Quantity("images", _score),
    "hidden": Quantity("images", _hidden),
    "heatmap": Quantity("method", lambda passes, method: passes.explanations[method].heatmap),
    "kept_explanations": Quantity("map", _kept_explanations),
    "kept_score": Quantity("map", _kept_score),
    "kept_heatmap": Quantity("method", lambda passes, method: _kept_of(passes, method).heatmap),
    "removed_score": Quantity("map", _removed_score),
    "insertion_curve": Quantity("map", _insertion),
    "deletion_curve": Quantity("map", _deletion),
    "noise": Quantity("images", _noise),
    "least_first": Quantity("map", _least_first),
    "most_first": Quantity("map", _most_first),
    "objects": Quantity("images", lambda passes, _: passes.objects),
    "pointing_tolerance": Quantity("images", lambda passes, _: torch.tensor(float(passes.options.pointing_tolerance))),
    "values": Quantity("method", lambda passes, method: passes.explanations[method].values),
    "disturbed": Quantity("images", _disturbed),
    "disturbed_values": Quantity("method", lambda passes, method: passes.quantity("disturbed", method)[method]),
    "randomised": Quantity("images", _randomised),
    "randomised_values": Quantity("method", lambda passes, method: passes.quantity("randomised", method)[method]),
    "game": Quantity("images", lambda passes, _: passes.make_game()),
    "true_values": Quantity("images", _true_values),
    "player_values": Quantity("method", _player_values),
    "grand": Quantity("images", lambda passes, method: passes.quantity("game", method).grand.double()),
}
