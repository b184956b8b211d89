"""Metrics against implementations by others, and against their definitions written down a second time in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from scipy.stats import pearsonr, spearmanr

from helpers.lazy_modules import LazyModule
from helpers.metric_networks import QUICK, boxes, random_images, replace_heatmap, small
from shapleycam import Explainer
from shapleycam.cams.heatmaps import min_max
from shapleycam.game.imputation import draw_noise
from shapleycam.metrics import METRICS, MetricOptions, measure
from shapleycam.metrics.maps import ssim
from shapleycam.metrics.removal import draw_disturbances

captum_metrics = LazyModule("captum.metrics")

METHODS_ASKED = ["gradcam", "shapleycam-e", "gradcam++", "layercam"]


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def images():
    return random_images(3)


@pytest.fixture(scope="module")
def explainer(model):
    return Explainer(model, layer="4")


@pytest.fixture(scope="module")
def explanations(explainer, images):
    return explainer.compare(images, METHODS_ASKED)


@torch.no_grad()
def score(model, images, target) -> np.ndarray:
    """Return the softmax probability of the class for numpy images."""
    return model(torch.as_tensor(np.asarray(images)).float()).softmax(1)[:, target].double().numpy()


def pixels_by_heat(heatmap: np.ndarray) -> np.ndarray:
    """Return pixel numbers, largest heat first, equal ones in reading order."""
    return np.argsort(-heatmap.ravel(), kind="stable")


def test_coherency_is_pearson_of_both_maps(explainer, explanations, images):
    actual = measure(explainer, images, explanations, ["coherency"])["coherency"]
    for method, explanation in explanations.items():
        second_explanation = explainer.explain(images * explanation.heatmap[:, None], method, target=explanation.target)
        expected = [
            (pearsonr(first_map.flatten(), second_map.flatten()).statistic + 1) / 2
            for first_map, second_map in zip(
                explanation.heatmap.double(), second_explanation.heatmap.double(), strict=True
            )
        ]
        assert actual[method].tolist() == pytest.approx(expected, abs=1e-5)


def test_confidence_metrics_from_plain_passes(explainer, explanations, images, model):
    names = ["average_drop", "average_drop_in_deletion", "increase_in_confidence"]
    actual = measure(explainer, images, explanations, names)
    for method, explanation in explanations.items():
        for i, image in enumerate(images.double().numpy()):
            m, target = explanation.heatmap[i].double().numpy(), int(explanation.target[i])
            full_score, kept_score, removed_score = score(model, [image, image * m, image * (1 - m)], target)
            expected = [
                max(0.0, full_score - kept_score) / full_score,
                max(0.0, full_score - removed_score) / full_score,
                float(kept_score > full_score),
            ]
            assert [float(actual[name][method][i]) for name in names] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("steps", [28, 7, 5])  # 576 pixels are not a multiple of 28 or 5
def test_deletion_curve_in_numpy(explainer, explanations, images, model, steps):
    actual = measure(explainer, images, explanations, ["deletion"], MetricOptions(steps=steps))["deletion"]
    for method, explanation in explanations.items():
        for i, image in enumerate(images.numpy()):
            places = pixels_by_heat(explanation.heatmap[i].numpy())
            changed = []
            for step in range(steps + 1):
                pixels = image.reshape(3, -1).copy()
                pixels[:, places[: int(np.ceil(576 * step / steps))]] = 0
                changed.append(pixels.reshape(image.shape))
            curve = score(model, np.stack(changed), int(explanation.target[i]))
            assert float(actual[method][i]) == pytest.approx(trapezoid(curve, np.linspace(0, 1, steps + 1)), abs=1e-5)


def blur(image: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """Return the weighted mean over size x size pixels, mirrored at the edges, by its definition."""
    reach = size // 2
    bell = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    wide = np.pad(image.astype(float), ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (size, size), axis=(1, 2))
    return np.einsum("chwij,ij->chw", windows, weight)


def test_insertion_curve_in_numpy(explainer, explanations, images, model):
    actual = measure(explainer, images, explanations, ["insertion"])["insertion"]
    for method, explanation in explanations.items():
        for i, image in enumerate(images.numpy()):
            places = pixels_by_heat(explanation.heatmap[i].numpy())
            start, changed = blur(image, 11, 5.0), []
            for step in range(29):
                pixels = start.reshape(3, -1).copy()
                shown = places[: int(np.ceil(576 * step / 28))]
                pixels[:, shown] = image.reshape(3, -1)[:, shown]
                changed.append(pixels.reshape(image.shape))
            curve = score(model, np.stack(changed), int(explanation.target[i]))
            assert float(actual[method][i]) == pytest.approx(trapezoid(curve, np.linspace(0, 1, 29)), abs=1e-5)


NEIGHBOURS = {(r, c): 1 / 12 if r and c else 1 / 6 for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c}


def fill_removed(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The exact solution of: each removed pixel is the weighted mean of those neighbours that there are."""
    height, width = removed.shape
    number = np.cumsum(removed.ravel()).reshape(removed.shape) - 1
    matrix, right = lil_matrix((removed.sum(), removed.sum())), np.zeros((removed.sum(), 3))
    for row, column in np.argwhere(removed):
        mine = number[row, column]
        for (down, along), weight in NEIGHBOURS.items():
            place = (row + down, column + along)
            if not (0 <= place[0] < height and 0 <= place[1] < width):
                continue
            matrix[mine, mine] += weight
            if removed[place]:
                matrix[mine, number[place]] -= weight
            else:
                right[mine] += weight * image[:, place[0], place[1]]
    actual = image.astype(float).copy()
    actual[:, removed] = spsolve(matrix.tocsc(), right).reshape(-1, 3).T
    return actual


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_road_with_the_system_solved_exactly(explainer, explanations, images, model, noise):
    options = MetricOptions(road_noise=noise)
    actual = measure(explainer, images, explanations, ["road"], options)["road"]
    drawn = draw_noise(images, noise, options.seed).numpy()
    for method in ("gradcam", "gradcam++"):
        explanation = explanations[method]
        for i, image in enumerate(images.numpy()):
            heat, scores = explanation.heatmap[i].numpy(), {}
            for first, places in {"most": pixels_by_heat(heat), "least": pixels_by_heat(-heat)}.items():
                changed = []
                for percentile in range(10, 100, 10):
                    removed = np.zeros(576, dtype=bool)
                    removed[places[: round(576 * percentile / 100)]] = True
                    removed = removed.reshape(24, 24)
                    changed.append(fill_removed(image, removed) + drawn[i] * removed)
                scores[first] = score(model, np.stack(changed), int(explanation.target[i]))
            expected = ((scores["least"] - scores["most"]) / 2).mean()
            assert float(actual[method][i]) == pytest.approx(expected, abs=2e-4)  # imputed to 1e-3 a pixel


def test_road_noise_has_its_scale():
    drawn = draw_noise(random_images(2, side=96), 0.01, seed=3)
    assert drawn.std().item() == pytest.approx(0.01, rel=0.02)
    assert drawn.mean().item() == pytest.approx(0, abs=2e-4)
    assert not torch.equal(drawn[0], drawn[1])


def test_max_sensitivity_is_captums(explainer, explanations, images):
    requested = MetricOptions(sensitivity_draws=5)
    actual = measure(explainer, images, explanations, ["max_sensitivity"], requested)["max_sensitivity"]
    drawn = torch.stack(list(draw_disturbances(images, requested.sensitivity_radius, 5, requested.seed)))
    for method in ("gradcam", "shapleycam-e", "gradcam++"):

        def values(inputs, method=method):
            """Raw values of the class that was explained of each image, in a tuple as captum wants them."""
            around = inputs[0] if isinstance(inputs, tuple) else inputs
            target = explanations[method].target.repeat_interleave(len(around) // len(images))
            return (explainer.explain(around, method, target=target).values,)

        expected = captum_metrics.sensitivity_max(
            values,
            images,
            perturb_func=lambda inputs: inputs + drawn.transpose(0, 1).flatten(0, 1),
            n_perturb_samples=5,
            max_examples_per_batch=5 * len(images),
        )
        assert actual[method].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_randomisation_spearman_is_scipys():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 7, 7, generator=generator).relu()  # half of them tied at zero
    stages = torch.randn(4, 3, 7, 7, generator=generator).relu()
    expected = [
        np.mean([spearmanr(values[i].flatten(), stage[i].flatten()).statistic for stage in stages]) for i in range(3)
    ]
    assert METRICS["randomisation_spearman"].function(values, stages).tolist() == pytest.approx(expected, abs=1e-6)


def test_structural_similarity_is_skimages():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    generator = torch.Generator().manual_seed(0)
    # Even margins, wider than the windows reach: there it does not matter how the two continue a map beyond its edge.
    first_maps, second_maps = torch.full((2, 2, 64, 48), 0.3).unbind()
    for maps in (first_maps, second_maps):
        maps[:, 16:-16, 16:-16] = torch.rand(2, 32, 16, generator=generator)
    for i in range(2):
        _, everywhere = structural_similarity(
            first_maps[i].double().numpy(),
            second_maps[i].double().numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            full=True,
        )
        assert float(ssim(first_maps, second_maps)[i]) == pytest.approx(everywhere.mean(), abs=1e-4)


def test_structural_similarity_is_skimages_nearly_everywhere_on_any_map():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    maps = min_max(torch.randn(2, 224, 224, generator=torch.Generator().manual_seed(0)))
    expected = structural_similarity(
        maps[0].numpy(), maps[1].numpy(), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert float(ssim(maps[:1], maps[1:])) == pytest.approx(float(expected), abs=5e-3)  # 5 of 112 pixels are edge


def test_randomisation_starts_from_the_top(images):
    """Of two layers and two stages, the first re-initialises the last layer alone, the second both; by image."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 7, 4, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(7, 4),
    ).eval()  # fmt: skip
    explainer = Explainer(model, layer="0", utility="logit")
    explanations = explainer.compare(images, ["gradcam"])
    seen = []

    def remember(module, inputs, _):
        seen.append((inputs[0].clone(), module.weight.detach().clone()))

    handle = model[0].register_forward_hook(remember)  # a copy of the model has the hook too
    top = model[4].register_forward_hook(lambda module, *_: seen.append((None, module.weight.detach().clone())))
    measure(explainer, images, explanations, ["randomisation_spearman"], MetricOptions(randomised_stages=2))
    handle.remove()
    top.remove()
    lower = [weight for image, weight in seen if image is not None]
    upper = [weight for image, weight in seen if image is None]
    assert len(lower) == len(upper) == 2 * len(images)
    for first, second in zip(lower[::2], lower[1::2], strict=True):
        assert torch.equal(first, model[0].weight)
        assert not torch.equal(second, model[0].weight)
    for first, second in zip(upper[::2], upper[1::2], strict=True):
        assert not torch.equal(first, model[4].weight)
        assert torch.equal(first, second)
    assert len({weight.sum().item() for weight in upper}) == len(images)  # each image has its own


@pytest.mark.slow
def test_all_of_these_are_given_by_one_call(explainer, explanations, images):
    together = measure(explainer, images, explanations, ["all"], QUICK, boxes(3))
    assert list(together) == list(METRICS)
    for name in METRICS:
        alone = measure(explainer, images, explanations, [name], QUICK, boxes(3))
        assert list(alone) == [name]
        for method in explanations:
            torch.testing.assert_close(alone[name][method], together[name][method], equal_nan=True, atol=1e-6, rtol=0)


# One pass for each part that is removed


def patch_sums(values, grid):
    """Return the sums over grid x grid patches of a map whose sides are multiples of `grid`, in reading order."""
    height, width = values.shape
    return values.reshape(grid, height // grid, grid, width // grid).sum((1, 3)).ravel()


def without_patches(image, grid):
    """Return the image (c, h, w) with each patch set to zero, (grid · grid, c, h, w)."""
    height, width = (side // grid for side in image.shape[1:])
    changed = np.repeat(image[None], grid * grid, axis=0)
    for row in range(grid):
        for column in range(grid):
            rows, columns = (
                slice(place * size, (place + 1) * size) for place, size in ((row, height), (column, width))
            )
            changed[row * grid + column, :, rows, columns] = 0
    return changed


def test_single_deletion_is_scipys_rank_correlation(explainer, explanations, images, model):
    requested = MetricOptions(deletion_grid=4)
    actual = measure(explainer, images, explanations, ["single_deletion"], requested)["single_deletion"]
    for method, explanation in explanations.items():
        resized = torch.nn.functional.interpolate(
            explanation.values[:, None].double(), images.shape[2:], mode="bilinear", align_corners=False
        )[:, 0].numpy()
        for index, image in enumerate(images.numpy()):
            target = int(explanation.target[index])
            drops = score(model, image[None], target) - score(model, without_patches(image, 4), target)
            expected = spearmanr(patch_sums(resized[index], 4), drops).statistic
            assert float(actual[method][index]) == pytest.approx(expected, abs=1e-6), method


def test_infidelity_is_captums_over_all_patches(explainer, explanations, images, model):
    """captum divides by nothing: its figure is over the mean square of what is lost."""
    grid = 4
    actual = measure(explainer, images, explanations, ["infidelity"], MetricOptions(deletion_grid=grid))["infidelity"]
    for method, explanation in explanations.items():
        resized = torch.nn.functional.interpolate(
            explanation.values[:, None], images.shape[2:], mode="bilinear", align_corners=False
        )
        for index, image in enumerate(images):
            target = int(explanation.target[index])
            changed = torch.from_numpy(without_patches(image.numpy(), grid))
            removed = (changed != image).any(1, keepdim=True).float()

            def perturb(_, changed=changed, removed=removed):
                return removed.expand_as(changed), changed

            def forward(inputs, target=target):
                return model(inputs).softmax(1)[:, target]

            attribution = (resized[index] / image.shape[0]).expand_as(image)[None]
            with torch.no_grad():
                error = captum_metrics.infidelity(
                    forward, perturb, image[None], attribution, n_perturb_samples=grid**2, normalize=True
                )
                drops = forward(image[None]) - forward(changed)
            expected = float(error) / float(drops.square().mean())
            assert float(actual[method][index]) == pytest.approx(expected, abs=2e-4), method


def test_saco_from_its_definition(explainer, explanations, images, model):
    """Pair by pair, as its source has it: groups from the most heat to the least."""
    groups = 5
    actual = measure(explainer, images, explanations, ["saco"], MetricOptions(saco_groups=groups))["saco"]
    for method, explanation in explanations.items():
        for index, image in enumerate(images.numpy()):
            heat, target = explanation.heatmap[index].numpy(), int(explanation.target[index])
            heats, drops = [], []
            for pixels in np.array_split(pixels_by_heat(heat), groups):
                changed = image.copy().reshape(len(image), -1)
                changed[:, pixels] = image.mean((1, 2))[:, None]
                heats.append(float(heat.ravel()[pixels].mean()))  # groups differ by a pixel
                drops.append(
                    float(
                        score(model, image[None], target)[0] - score(model, changed.reshape(1, *image.shape), target)[0]
                    )
                )
            total = faithful = 0.0
            for first in range(groups):
                for second in range(first + 1, groups):
                    weight = heats[first] - heats[second]
                    faithful += weight if drops[first] >= drops[second] else -weight
                    total += abs(weight)
            assert float(actual[method][index]) == pytest.approx(faithful / total, abs=1e-5), method


def test_the_quality_gap_of_deletion_is_the_symmetric_relevance_gain(explainer, images):
    """The inverse map, 1 - M, removes the least heat first: where no two pixels are equal, the curves are exchanged."""
    heat = torch.rand(images.shape[0], *images.shape[2:], generator=torch.Generator().manual_seed(3))
    explanation = explainer.explain(images, "gradcam")
    map_, inverse = (replace_heatmap(explanation, maps) for maps in (heat, 1 - heat))
    metrics = ["deletion", "srg", "insertion", "qge_insertion"]
    ours, theirs = (measure(explainer, images, {"gradcam": one}, metrics) for one in (map_, inverse))
    gap = theirs["deletion"]["gradcam"] - ours["deletion"]["gradcam"]
    assert ours["srg"]["gradcam"].tolist() == pytest.approx(gap.tolist(), abs=1e-6)
    gap = ours["insertion"]["gradcam"] - theirs["insertion"]["gradcam"]
    assert ours["qge_insertion"]["gradcam"].tolist() == pytest.approx(gap.tolist(), abs=1e-6)


def test_what_an_even_map_cannot_say_is_undefined(explainer, images):
    explanation = replace_heatmap(explainer.explain(images, "gradcam"), torch.zeros(len(images), *images.shape[2:]))
    metrics = ["gini", "sparsity", "saco", "deletion_correlation", "insertion_correlation"]
    actual = measure(explainer, images, {"gradcam": explanation}, metrics)
    assert all(bool(values["gradcam"].isnan().all()) for values in actual.values())
