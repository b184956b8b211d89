"""How raw values change where the image, or the model, is changed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.heatmaps import min_max, resized
from shapleycam.metrics.maps import constant, ssim
from shapleycam.values.distance import rank_correlation

Values = Float[Tensor, "b h w"]


def max_sensitivity(values: Values, disturbed_values: Float[Tensor, "draws b h w"]) -> Float[Tensor, " b"]:
    """The largest ‖φ(x + δ) - φ(x)‖ / ‖φ(x)‖ among the draws; NaN where the values are all zero."""
    changes: Tensor = (disturbed_values - values).flatten(2).norm(dim=2)
    largest: Tensor = (changes / values.flatten(1).norm(dim=1)).amax(0)
    return largest


def randomisation_spearman(values: Values, randomised_values: Float[Tensor, "stages b h w"]) -> Float[Tensor, " b"]:
    """Spearman's ρ between the raw values and those of the re-initialised models, the mean over stages.

    A model that gives the same value everywhere counts as 0; NaN where the values themselves are constant.
    """
    alike = torch.stack([rank_correlation(values.flatten(1), stage.flatten(1)) for stage in randomised_values])
    return torch.where(constant(values), torch.nan, alike.nan_to_num(0.0).mean(0)).to(values)


def randomisation_ssim(
    values: Values, randomised_values: Float[Tensor, "stages b h w"], heatmap: Float[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """SSIM between the same maps, signed, at the size of the input and scaled to [0, 1], the mean over stages."""
    size = tuple(heatmap.shape[1:])

    def shown(raw: Values) -> Float[Tensor, "b H W"]:
        return min_max(resized(raw, size))

    return torch.stack([ssim(shown(values), shown(stage)) for stage in randomised_values]).mean(0)


def randomised(model: nn.Module, stages: int, seed: int) -> Iterator[nn.Module]:
    """The model with the last 1/stages of its layers re-initialised, then 2/stages, and so on to all of them.

    Layers count in the order in which the model defines them. Those that know how draw their weights anew; of others
    the numbers of each parameter are shuffled, which keeps their scale. The model itself stays as it is: a copy is
    changed, and is the same object at each stage. The caller's random numbers stay too.
    """
    copied = deepcopy(model)
    layers = [layer for layer in copied.modules() if any(True for _ in layer.parameters(recurse=False))][::-1]
    done = 0
    for stage in range(1, stages + 1):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed + stage)
            upto = -(-len(layers) * stage // stages)
            for layer in layers[done:upto]:
                _reinitialise(layer)
            done = upto
        yield copied


def _reinitialise(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in layer.parameters(recurse=False):
        flat = parameter.flatten()
        parameter.copy_(flat[torch.randperm(len(flat), device=flat.device)].view_as(parameter))
