"""The smooth and the efficient randomisation test, derived a second time with numpy, scipy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr

from helpers.metric_networks import random_images, small
from shapleycam import Explainer
from shapleycam.metrics import MetricOptions, measure
from shapleycam.metrics.removal import draw_smoothing_noise
from shapleycam.metrics.stability import histogram_entropy, randomise_layers

OPTIONS = MetricOptions(randomised_stages=2, smooth_draws=3, smooth_noise=0.3)
NAMES = ["smooth_randomisation_spearman", "randomisation_entropy"]


def gradient_map(model: torch.nn.Module, image: torch.Tensor, target: int) -> np.ndarray:
    """Return HiResCAM of the logit at the layer "4" of `small`, by autograd: the sum over channels of g · a."""
    activation = model[:5](image[None]).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model[5:](activation)[0, target], activation)
    return (gradient * activation).sum(1)[0].detach().numpy()


@pytest.fixture(scope="module")
def measured():
    explainer, images = Explainer(small(), layer="4", utility="logit"), random_images(2)
    explanations = explainer.compare(images, ["hirescam"])
    numbers = measure(explainer, images, explanations, NAMES, OPTIONS)
    return images, explanations["hirescam"].target.tolist(), {name: numbers[name]["hirescam"] for name in NAMES}


def random_models(image: torch.Tensor):
    """Yield the models that are drawn for an image."""
    from shapleycam.images import content_seeds

    yield from randomise_layers(small(), OPTIONS.randomised_stages, content_seeds(image[None], OPTIONS.seed)[0])


def test_means_of_noisy_images_are_compared(measured):
    images, targets, actual = measured
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        noises = list(draw_smoothing_noise(image[None], OPTIONS.smooth_noise, OPTIONS.smooth_draws, OPTIONS.seed))

        def smooth_map(model, image=image, target=target, noises=noises):
            return np.mean([gradient_map(model, image + noise[0], target) for noise in noises], 0)

        of_model = smooth_map(small())
        stages = [spearmanr(of_model.ravel(), smooth_map(model).ravel()).statistic for model in random_models(image)]
        assert float(actual["smooth_randomisation_spearman"][index]) == pytest.approx(np.mean(stages), abs=1e-4)


def histogram_of(values: np.ndarray) -> float:
    """Return the entropy of 100 equal bins of a map at input size, as Quantus has it."""
    wide = torch.nn.functional.interpolate(torch.from_numpy(values).double()[None, None], (24, 24), mode="bilinear")
    return float(entropy(np.histogram(wide.numpy(), bins=100)[0]))


def test_the_rise_of_entropy_is_that_of_numpys_histogram(measured):
    images, targets, actual = measured
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        *_, last = (histogram_of(gradient_map(model, image, target)) for model in random_models(image))
        first = histogram_of(gradient_map(small(), image, target))
        # A value at the border of two bins may fall into either: a hundredth of a bin's share.
        assert float(actual["randomisation_entropy"][index]) == pytest.approx((last - first) / first, abs=0.01)


def test_entropy_of_even_and_of_constant_maps():
    even = torch.arange(100.0).view(1, 10, 10)
    assert float(histogram_entropy(even)) == pytest.approx(np.log(100))
    assert float(histogram_entropy(torch.full((1, 4, 4), 2.5))) == 0


def test_the_noise_is_a_share_of_the_range_and_of_the_images_content():
    images = torch.stack([torch.rand(3, 40, 40), 10 * torch.rand(3, 40, 40)])
    draws = torch.stack(list(draw_smoothing_noise(images, 0.1, 4, seed=0)))
    assert draws.shape == (4, 2, 3, 40, 40)
    spread = draws.transpose(0, 1).flatten(1).std(1)
    span = images.flatten(1).amax(1) - images.flatten(1).amin(1)
    assert (spread / span).tolist() == pytest.approx([0.1, 0.1], rel=0.03)
    assert not torch.equal(draws[0], draws[1])
    alone = next(draw_smoothing_noise(images[1:], 0.1, 4, seed=0))
    assert torch.equal(alone[0], draws[0, 1])
