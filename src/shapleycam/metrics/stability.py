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


def max_sensitivity(values: Values, disturbed_values: Float[Tensor, "draws b h w"]) -> Float[Tensor, " b"]:
    """Return the largest ‖φ(x + δ) - φ(x)‖ / ‖φ(x)‖ over the draws; NaN where all values are zero."""
    changes: Tensor = (disturbed_values - values).flatten(2).norm(dim=2)
    size = values.flatten(1).norm(dim=1)
    return torch.where(size == 0, torch.nan, (changes / size).amax(0))


def randomisation_spearman(values: Values, randomised_values: Float[Tensor, "stages b h w"]) -> Float[Tensor, " b"]:
    """Return Spearman's ρ between the raw values and those of the re-initialised models, averaged over stages.

    ρ is 0 for a stage whose values are constant. NaN where the values of the original model are constant.
    """
    correlations = torch.stack([rank_correlation(values.flatten(1), stage.flatten(1)) for stage in randomised_values])
    return torch.where(is_constant(values), torch.nan, correlations.nan_to_num(0.0).mean(0)).to(values)


def randomisation_ssim(
    values: Values, randomised_values: Float[Tensor, "stages b h w"], heatmap: Float[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """Return the SSIM between the values and those of the re-initialised models, averaged over stages.

    Signed values are resized to the input, and scaled to [0, 1], first. NaN where the values of the original model are
    constant, because then similarity has no meaning.
    """
    size = tuple(heatmap.shape[1:])

    def scaled(raw: Values) -> Float[Tensor, "b H W"]:
        return min_max(resize(raw, size))

    similarity = torch.stack([ssim(scaled(values), scaled(stage)) for stage in randomised_values]).mean(0)
    return torch.where(is_constant(values), torch.nan, similarity)


def entropy_rise(
    values: Values, randomised_values: Float[Tensor, "stages b h w"], heatmap: Float[Tensor, "b H W"]
) -> Float[Tensor, " b"]:
    """Return (H' - H) / H, where H is the entropy of the values' histogram for the model, and H' for a random model.

    All layers of the random model are re-initialised. Values are resized to the input, and the histogram has 100 equal
    bins from the smallest to the largest value. NaN where the values of the original model are constant.
    """
    entropy, random_entropy = (
        histogram_entropy(resize(raw.double(), tuple(heatmap.shape[1:]))) for raw in (values, randomised_values[-1])
    )
    return torch.where(is_constant(values), torch.nan, (random_entropy - entropy) / entropy)


def histogram_entropy(maps: Values, bins: int = 100) -> Float[Tensor, " b"]:
    """Return the entropy, in nats, of each map's histogram with equal bins from its minimum to its maximum.

    It is 0 for a constant map.
    """
    pixels = maps.flatten(1)
    low, high = pixels.amin(1, keepdim=True), pixels.amax(1, keepdim=True)
    index = ((pixels - low) / torch.where(high > low, high - low, 1.0) * bins).long().clamp(max=bins - 1)
    counts = pixels.new_zeros(len(maps), bins).scatter_add_(1, index, torch.ones_like(pixels))
    entropy: Tensor = torch.special.entr(counts / pixels.shape[1]).sum(1)
    return entropy


def randomise_layers(model: nn.Module, stages: int, seed: int) -> Iterator[nn.Module]:
    """Yield the model with the last 1/stages of its layers re-initialised, then 2/stages, and so on to all of them.

    The order of layers is that of `model.modules()`. A layer with a method `reset_parameters` is initialised by it; in
    other layers the numbers of each parameter are shuffled, which keeps their scale. The model itself and the caller's
    random state are not changed. The same copy of the model is yielded, and changed further, at each stage.
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
    """Draw new parameters of a layer on the CPU, so that they are the same for all devices."""
    device = next(layer.parameters(recurse=False)).device
    layer.to("cpu")
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
    else:
        for parameter in layer.parameters(recurse=False):
            flat = parameter.flatten()
            parameter.copy_(flat[torch.randperm(len(flat), device="cpu")].view_as(parameter))
    layer.to(device)
