"""The imputation against a direct solver, pytorch-grad-cam's, pencil and paper, and the laws of harmonic functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve
from torch.nn.functional import interpolate
from torchvision.transforms.functional import to_tensor

from helpers.lazy_modules import LazyModule
from shapleycam.cams.heatmaps import resize
from shapleycam.errors import ImageError
from shapleycam.game.imputation import impute
from shapleycam.images import open_photograph

road = LazyModule("pytorch_grad_cam.metrics.road")

WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}
"""Of half the neighbours; the other half lies opposite."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def impute_exactly(image, removed):
    """The graph Laplacian of all pixels, put together edge by edge, and its rows and columns of the removed ones."""
    height, width = removed.shape
    number = np.arange(height * width).reshape(height, width)
    rows, columns, weights = [], [], []
    for (down, right), weight in WEIGHTS.items():
        starts = number[: height - down, max(0, -right) : width - max(0, right)].ravel()
        neighbours = number[down:, max(0, right) : width + min(0, right)].ravel()
        rows += [starts, neighbours]
        columns += [neighbours, starts]
        weights += [np.full(2 * len(starts), weight)]
    adjacency = coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(number.size,) * 2
    ).tocsr()
    laplacian = (
        coo_array((adjacency.sum(1), (number.ravel(),) * 2), shape=adjacency.shape).tocsr() - adjacency
    ).tocsc()
    gone, pixels = removed.numpy().ravel(), image.double().numpy().reshape(len(image), -1).T
    filled = pixels.copy()
    actual = spsolve(laplacian[gone][:, gone], -laplacian[gone][:, ~gone] @ pixels[~gone])
    filled[gone] = actual.reshape(gone.sum(), len(image))
    return torch.from_numpy(filled.T.reshape(image.shape).copy())


def smooth_masks(size, percentiles, seed=0):
    """The pixels of most heat, then those of least, as ROAD removes them: (2 x percentiles, size, size)."""
    heat = resize(torch.rand(1, 7, 7, generator=seeded(seed)), (size, size))[0]
    place = heat.flatten().argsort(stable=True).argsort().view(size, size)
    shares = [round(place.numel() * percent / 100) for percent in percentiles]
    return torch.stack([place < share for share in shares] + [place >= place.numel() - share for share in shares])


def hard_masks(size):
    """Masks whose known pixels no coarse grid can show, or that make narrow or very large regions."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    scattered = torch.rand(size, size, generator=seeded(1))
    return {
        "one known": (rows != 20) | (columns != 33),
        "two known": ((rows != 20) | (columns != 33)) & ((rows != size - 4) | (columns != 5)),
        "first row known": rows > 0,
        "last column known": columns < size - 1,
        "every 16th row known": rows % 16 > 0,
        "odd lines known but for a gap": (rows % 33 != 1) | (columns == 5),
        "chessboard": (rows + columns) % 2 == 0,
        "large chessboard": (rows // 8 + columns // 8) % 2 == 0,
        **{f"{share} at random": scattered < share for share in (0.5, 0.9, 0.99, 0.999)},
    }


HARD = hard_masks(96)


def photograph(path):
    """(1, 3, height, width), normalised nearly as for ImageNet."""
    return (to_tensor(open_photograph(path))[None] - 0.45) / 0.225


@pytest.mark.parametrize(
    ("height", "width"), [(1, 2), (2, 1), (1, 9), (3, 3), (5, 7), (8, 4), (17, 30), (64, 33), (1, 99), (99, 2)]
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_small_images_as_the_direct_solver(height, width, share):
    images = torch.randn(6, 3, height, width, generator=seeded(), dtype=torch.float64)
    removed = torch.rand(6, height, width, generator=seeded(1)) < share
    removed[:, 0, 0] = False
    filled = impute(images, removed, 1e-9)
    for image, gone, actual in zip(images, removed, filled, strict=True):
        if gone.any():
            torch.testing.assert_close(actual, impute_exactly(image, gone), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", HARD)
def test_hard_masks_as_the_direct_solver(name):
    image = torch.randn(3, 96, 96, generator=seeded())
    actual = impute(image[None], HARD[name][None])[0]
    assert (actual - impute_exactly(image, HARD[name])).abs().max() < 1e-3


@pytest.mark.slow
def test_a_photograph_as_the_direct_solver(hopper):
    image = interpolate(photograph(hopper), (224, 224), mode="bilinear")[0]
    removed = smooth_masks(224, [10, 50, 90])
    filled = impute(image.expand(6, -1, -1, -1), removed)
    for gone, actual in zip(removed, filled, strict=True):
        assert (actual - impute_exactly(image, gone)).abs().max() < 1e-3


@pytest.mark.parametrize("tolerance", [1e-1, 1e-2, 1e-3, 1e-4])
def test_the_tolerance_is_kept(tolerance):
    image = torch.randn(3, 96, 96, generator=seeded())
    removed = smooth_masks(96, [30, 90])
    for gone, actual in zip(removed, impute(image.expand(4, -1, -1, -1), removed, tolerance), strict=True):
        assert (actual - impute_exactly(image, gone)).abs().max() < tolerance


def test_as_pytorch_grad_cam():
    """Within the edges of a square image: elsewhere it takes rows for columns as it looks for what lies outside."""
    image = torch.randn(3, 40, 40, generator=seeded())
    removed = torch.rand(40, 40, generator=seeded(1)) < 0.9
    removed[[0, -1]] = removed[:, [0, -1]] = False
    theirs = road.NoisyLinearImputer(noise=0)(image, (~removed).float())
    torch.testing.assert_close(impute(image[None], removed[None], 1e-5)[0], theirs, rtol=0, atol=2e-5)


BY_PENCIL = {
    # The image is 1, 2, 3 / 4, 5, 6 / 7, 8, 9 and squared, so that no mean is an accident.
    "middle": ((1, 1), (4 + 16 + 36 + 64) / 6 + (1 + 9 + 49 + 81) / 12),
    "corner": ((0, 0), (4 / 6 + 16 / 6 + 25 / 12) / (5 / 12)),
    "edge": ((0, 1), (1 / 6 + 9 / 6 + 25 / 6 + 16 / 12 + 36 / 12) / (8 / 12)),
}


@pytest.mark.parametrize("name", BY_PENCIL)
def test_one_pixel_by_pencil(name):
    at, expected = BY_PENCIL[name]
    image = torch.arange(1.0, 10).square().view(1, 1, 3, 3)
    removed = torch.zeros(1, 3, 3, dtype=torch.bool)
    removed[0][at] = True
    assert impute(image, removed)[0, 0][at].item() == pytest.approx(expected, abs=1e-5)


def test_two_pixels_by_pencil():
    """In 0, a, b, 12 each is the mean of those beside it: 4 and 8."""
    images = torch.tensor([0.0, 99, 99, 12]).view(1, 1, 1, 4)
    removed = torch.tensor([False, True, True, False]).view(1, 1, 4)
    torch.testing.assert_close(impute(images, removed).flatten(), torch.tensor([0.0, 4, 8, 12]), rtol=0, atol=1e-3)


def test_a_ramp_is_restored_in_the_interior():
    rows, columns = torch.meshgrid(torch.linspace(-2, 2, 60), torch.linspace(0, 1, 50), indexing="ij")
    images = torch.stack((rows, columns, rows - 3 * columns))[None]
    removed = torch.zeros(1, 60, 50, dtype=torch.bool)
    removed[:, 1:-1, 1:-1] = True
    torch.testing.assert_close(impute(images * ~removed, removed), images, rtol=0, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.integers(0, 99))
def test_no_value_beyond_those_kept(height, width, share, seed):
    images = torch.rand(2, 2, height, width, generator=seeded(seed))
    removed = torch.rand(2, height, width, generator=seeded(seed + 1)) < share
    filled = impute(images, removed)
    assert torch.equal(filled.masked_select(~removed[:, None]), images.masked_select(~removed[:, None]))
    for image, gone, actual in zip(images, removed, filled, strict=True):
        known = (image if gone.all() else image[:, ~gone]).flatten(1)
        assert (actual.flatten(1).amax(1) <= known.amax(1) + 1e-3).all()
        assert (actual.flatten(1).amin(1) >= known.amin(1) - 1e-3).all()


def test_a_batch_is_as_its_images():
    """Easy, hard and impossible ones together: to the last bit."""
    images = torch.randn(8, 3, 96, 96, generator=seeded())
    nothing = torch.zeros(1, 96, 96, dtype=torch.bool)
    hard = torch.stack([HARD["one known"], HARD["0.99 at random"]])
    removed = torch.cat([smooth_masks(96, [10, 90]), hard, nothing, ~nothing])
    together = impute(images, removed)
    alone = torch.cat([impute(image, gone) for image, gone in zip(images.split(1), removed.split(1), strict=True)])
    assert torch.equal(together, alone)
    order = torch.randperm(8, generator=seeded())
    assert torch.equal(impute(images[order], removed[order]), together[order])


def test_nothing_removed():
    images = torch.randn(2, 3, 9, 5, generator=seeded())
    assert torch.equal(impute(images, torch.zeros(2, 9, 5, dtype=torch.bool)), images)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (5, 7)])
def test_everything_removed_leaves_the_mean_colour(height, width):
    images = torch.randn(2, 3, height, width, generator=seeded())
    filled = impute(images, torch.ones(2, height, width, dtype=torch.bool))
    torch.testing.assert_close(filled, images.mean((2, 3), keepdim=True).expand_as(filled))


def test_one_known_pixel_colours_all():
    image = torch.randn(1, 3, 96, 96, generator=seeded())
    filled = impute(image, HARD["one known"][None])
    torch.testing.assert_close(filled, image[:, :, 20:21, 33:34].expand_as(filled), rtol=0, atol=1e-3)


def test_what_was_removed_does_not_matter():
    images = torch.randn(2, 3, 40, 40, generator=seeded())
    removed = smooth_masks(40, [90])
    assert torch.equal(impute(images, removed), impute(images.where(~removed[:, None], math.inf), removed))


def test_the_images_stay_as_they_were():
    images = torch.randn(2, 3, 40, 40, generator=seeded(), requires_grad=True)
    before = images.detach().clone()
    filled = impute(images, smooth_masks(40, [90]))
    assert torch.equal(images, before)
    assert not filled.requires_grad


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_known_pixel_that_is_not_finite(value):
    images = torch.ones(1, 3, 8, 8)
    images[0, 0, 4, 4] = value
    removed = torch.zeros(1, 8, 8, dtype=torch.bool)
    removed[0, 3, 3] = True
    with pytest.raises(
        ImageError, match=r"after 50 steps, and 0\.001 was expected; give images whose other pixels are finite"
    ):
        impute(images, removed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    images = torch.randn(2, 3, 96, 96, generator=seeded())
    removed = smooth_masks(96, [90])
    actual = impute(images.cuda(), removed.cuda()).cpu()
    torch.testing.assert_close(actual, impute(images, removed), rtol=0, atol=2e-3)
