"""Metrics of how raw values change if the image or the model is changed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.heatmaps import min_max, resize
from shapleycam.metrics.maps import is_constant, ssim
from shapleycam.tracing.random_numbers import restore_torch_generators, seed_torch
from shapleycam.values.distance import rank_correlation

Values = Float[Tensor, "b h w"]
_BINS = 100


def max_sensitivity(values: Values, disturbed_values: Float[Tensor, "draws b h w"]) -> Float[Tensor, " b"]:
    """Return the largest ‖φ(x + δ) - φ(x)‖ / ‖φ(x)‖ among the draws; NaN if all values are zero."""
    changes: Tensor = (disturbed_values - values).flatten(2).norm(dim=2)
    size = values.flatten(1).norm(dim=1)
    return torch.where(size == 0, torch.nan, (changes / size).amax(0))


def randomisation_spearman(values: Values, randomised_values: Float[Tensor, "stages b h w"]) -> Float[Tensor, " b"]:
    """Return Spearman's ρ between the raw values and those of the re-initialised models, averaged over the stages.

    A stage with constant values counts as 0. The result is NaN if the model's own values are constant.
    """
    correlations = torch.stack([rank_correlation(values.flatten(1), stage.flatten(1)) for stage in randomised_values])
    return torch.where(is_constant(values), torch.nan, correlations.nan_to_num(0.0).mean(0)).to(values)


def randomisation_ssim(
    values: Values, randomised_values: Float[Tensor, "stages b h w"], heatmap: Float[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """Return the SSIM between the values' map and those of the re-initialised models, averaged over the stages.

    The signed maps are resized to the input size and scaled to [0, 1]. The result is NaN if the model's own values are
    constant, because similarity to a constant map has no meaning.
    """
    size = tuple(heatmap.shape[1:])

    def scaled(raw: Values) -> Float[Tensor, "b H W"]:
        return min_max(resize(raw, size))

    similarity = torch.stack([ssim(scaled(values), scaled(stage)) for stage in randomised_values]).mean(0)
    return torch.where(is_constant(values), torch.nan, similarity)


def entropy_rise(
    values: Values, randomised_values: Float[Tensor, "stages b h w"], heatmap: Float[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """Return (H' - H) / H, with the entropy H of the values' histogram, and H' after all layers are re-initialised.

    The values are resized to the input size, and the histogram has 100 equal bins from the smallest to the largest. The
    result is NaN if one of the maps is constant, because it has no such bins. Maps of a random model are often
    constant, since the differences between its coalitions are smaller than rounding errors.
    """
    entropy, random_entropy = (
        histogram_entropy(resize(raw.double(), tuple(heatmap.shape[1:]))) for raw in (values, randomised_values[-1])
    )
    has_no_bins = is_constant(values) | is_constant(randomised_values[-1])
    return torch.where(has_no_bins, torch.nan, (random_entropy - entropy) / entropy)


def histogram_entropy(maps: Values) -> Float[Tensor, " b"]:
    """Return the entropy in nats of each map's histogram with 100 equal bins from its minimum to its maximum.

    0 for a constant map.
    """
    pixels = maps.flatten(1)
    low, high = pixels.amin(1, keepdim=True), pixels.amax(1, keepdim=True)
    place = ((pixels - low) / torch.where(high > low, high - low, 1.0) * _BINS).long().clamp(max=_BINS - 1)
    counts = pixels.new_zeros(len(maps), _BINS).scatter_add_(1, place, torch.ones_like(pixels))
    entropy: Tensor = torch.special.entr(counts / pixels.shape[1]).sum(1)
    return entropy


def randomise_layers(model: nn.Module, stages: int, seed: int) -> Iterator[nn.Module]:
    """Yield the model with the last 1/stages of its layers re-initialised, then 2/stages, and so on to all of them.

    Layers have the order in which the model defines them. A layer with `reset_parameters` is initialised by it. If a
    parameter is then still the same, its numbers are shuffled, which keeps their scale. This applies to layers without
    `reset_parameters`, and to those whose weight is computed from other parameters, as by weight norm or pruning. The
    model and the caller's random state are not changed: the model that is yielded is a copy, the same object at each
    stage.
    """
    copied = deepcopy(model)
    layers = [layer for layer in copied.modules() if any(True for _ in layer.parameters(recurse=False))][::-1]
    n_done = 0
    for stage in range(1, stages + 1):
        with restore_torch_generators(), torch.no_grad():
            seed_torch(seed + stage)
            end = -(-len(layers) * stage // stages)
            for layer in layers[n_done:end]:
                _reinitialise(layer)
            n_done = end
        yield copied


def _reinitialise(layer: nn.Module) -> None:
    """Draw new parameters for a layer, on the CPU, so that they are the same for each device."""
    device = next(layer.parameters(recurse=False)).device
    layer.to("cpu")
    before = [parameter.clone() for parameter in layer.parameters(recurse=False)]
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
    for parameter, trained in zip(layer.parameters(recurse=False), before, strict=True):
        if torch.equal(parameter, trained):
            flat = trained.flatten()
            parameter.copy_(flat[torch.randperm(len(flat), device="cpu")].view_as(parameter))
    layer.to(device)
