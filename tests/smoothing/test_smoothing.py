"""Smoothing of maps: by pencil, by numpy's singular vectors, by noisy images; what it refuses, and carries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from helpers.networks import Toy, linear
from helpers.table_rows import OF_EVERY_MODEL
from shapleycam import METHODS, Explainer, utilities
from shapleycam.cams.heatmaps import heatmap
from shapleycam.cams.spreads import SPREADS
from shapleycam.errors import BlankHeatmapWarning, OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import gap_of_values, summarise_image
from shapleycam.metrics import measure
from shapleycam.smoothing import SMOOTHINGS, parse_smoothing
from shapleycam.smoothing.eigen import COMPONENTS, smooth_rows
from shapleycam.smoothing.noise import DEVIATION, SAMPLES, noisy_images

WEIGHT = torch.tensor([[[[1.0, 2.0, 4.0], [0.0, -1.0, 3.0]]]])


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def small():
    """A network with curvature, at a layer of 4 x 4 cells."""
    torch.manual_seed(0)
    head = [nn.Softplus(), nn.Conv2d(5, 6, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Explainer(nn.Sequential(nn.Conv2d(3, 5, 2, stride=2), *head, nn.Linear(6, 4)), layer="0")


@pytest.fixture(scope="module")
def batch():
    return drawn(2, 3, 8, 8)


def test_augment_with_a_pencil():
    """At factor f HiResCAM's values are f·x·w of the image and f·x·mirrored(w) of its mirror image, mirrored back."""
    images = torch.tensor([[[[1.0, 2.0, 3.0], [1.0, 1.0, -2.0]]]])
    explanation = Explainer(linear(WEIGHT), layer="features", utility="logit").explain(
        images, "hirescam", target=0, smooth="augment"
    )
    plain, mirrored = torch.tensor([[[1.0, 4.0, 12.0], [0.0, -1.0, -6.0]]]), torch.tensor([[[4.0, 4, 3], [3, -1, 0]]])
    torch.testing.assert_close(explanation.values, (plain + mirrored) / 2)
    # A factor changes no heatmap here, as both are scaled to 1; their mean is not scaled again.
    expected = torch.tensor([[[1 / 12, 4 / 12, 1], [0, 0, 0]]]), torch.tensor([[[1.0, 1.0, 3 / 4], [3 / 4, 0, 0]]])
    torch.testing.assert_close(explanation.heatmap, sum(expected) / 2, rtol=0, atol=1e-6)
    assert float(explanation.heatmap.max()) < 0.9


@pytest.mark.parametrize("target", [None, 1])
def test_the_class_of_the_image_is_explained_of_its_mirror_image_too(target):
    """The classes are the left and the right half, so that the mirror image is of the other class."""
    model = Toy(lambda a: torch.stack([a[..., 0].sum((1, 2)), a[..., 1].sum((1, 2))], 1))
    image = torch.tensor([[[[1.0, 5.0], [2.0, 3.0]]]])
    e = Explainer(model, layer="features", utility="logit").explain(image, "hirescam", target, smooth="augment")
    assert e.target.tolist() == [1]
    torch.testing.assert_close(e.values, torch.tensor([[[0.5, 2.5], [1.0, 1.5]]]))


def test_noise_is_the_mean_over_noisy_images(small, batch):
    smooth = small.explain(batch, "shapleycam", target=[1, 2], smooth="noise")
    by_hand = [small.explain(noisy, "shapleycam", target=[1, 2]).values for noisy in noisy_images(batch, 0)]
    assert len(by_hand) == SAMPLES
    torch.testing.assert_close(smooth.values, torch.stack(by_hand).mean(0))
    torch.testing.assert_close(smooth.heatmap, heatmap(smooth.values, (8, 8)))
    clean = small.explain(batch, "shapleycam", target=[1, 2])
    assert torch.equal(smooth.utility, clean.utility)
    assert torch.equal(smooth.images, batch)


def test_the_noise_is_normal_of_the_images_own_range_seed_and_content():
    images = torch.stack([torch.rand(3, 64, 64), 5 * torch.rand(3, 64, 64) - 2])
    noise = torch.stack(list(noisy_images(images, 0))) - images
    ranges = images.flatten(1).amax(1) - images.flatten(1).amin(1)
    torch.testing.assert_close(noise.std((0, 2, 3, 4)), DEVIATION * ranges, rtol=0.01, atol=0)
    assert bool((noise.mean((0, 2, 3, 4)).abs() < 0.01 * ranges).all())
    again, other = next(noisy_images(images[1:], 0)), next(noisy_images(images[1:], 1))
    torch.testing.assert_close(again, images[1:] + noise[0, 1:], rtol=0, atol=1e-6)
    assert not torch.allclose(again, other)


@pytest.mark.slow
def test_the_standard_error_of_a_mean(small, batch):
    options = {"method": "sampledshapley", "target": [1, 2], "tolerance": 0.05}
    smooth = small.explain(batch, smooth="noise", **options)
    errors = [small.explain(noisy, **options).stderr for noisy in noisy_images(batch, 0)]
    torch.testing.assert_close(smooth.stderr, torch.stack(errors).square().sum(0).sqrt() / SAMPLES)


@pytest.mark.parametrize("name", [name for name, spread in SPREADS.items() if spread not in COMPONENTS])
def test_eigen_is_the_first_singular_vector_of_the_terms_of_the_sum(name):
    """The terms are written out for each spread; the sign is that of the agreement with their sum."""
    A, D = drawn(2, 12, 5) + 0.3, drawn(2, 12, 5).flip(1)
    (row,) = smooth_rows([row for row in METHODS.values() if row.spread == SPREADS[name]][:1])
    terms = TERMS[name](A.double().numpy(), D.double().numpy())
    for image in range(2):
        centred = terms[image] - terms[image].mean(0)
        expected = centred @ np.linalg.svd(centred)[2][0]
        expected *= np.sign(expected @ terms[image].sum(1))
        np.testing.assert_allclose(row.spread(A, D)[image], expected, rtol=1e-4, atol=1e-4)


def _plus_plus(A, D):
    a = D**2 / (2 * D**2 + D**3 * A.sum(1, keepdims=True) + 1e-6)
    return A * (np.maximum(D, 0) * a).sum(1, keepdims=True)


TERMS = {
    "mean": lambda A, D: A * D.mean(1, keepdims=True),
    "elementwise": lambda A, D: A * D,
    "elementwise + ReLU": lambda A, D: np.maximum(A * D, 0),
    "activation-weighted": lambda A, D: A * (A * D).sum(1, keepdims=True) / (A.sum(1, keepdims=True) + 1e-7),
    "positive gradient": lambda A, D: A * np.maximum(D, 0),
    "plus plus": _plus_plus,
    "large activations": lambda A, D: (
        A * D * ((A * D).mean(1, keepdims=True) + 2 * (A * D).std(1, keepdims=True) < (A * D)).mean(1, keepdims=True)
    ),
}


def test_what_is_a_component_stays_as_it_is(small, batch):
    names = ["eigencam", "eigengradcam", "segeigencam", "kpcacam"]
    smooth, plain = (small.compare(batch, names, target=0, smooth=choice) for choice in ("eigen", None))
    for name in names:
        torch.testing.assert_close(smooth[name].values, plain[name].values)


def test_eigen_refuses_methods_without_channels(small, batch):
    with pytest.raises(OptionError, match=r"^smooth='eigen' takes .* are sampledshapley, reciprocam: leave"):
        small.compare(batch, ["gradcam", "sampledshapley", "reciprocam"], smooth=["noise", "eigen"])


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("smooth", ["augment", "eigen", ("augment", "eigen"), tuple(SMOOTHINGS)])
def test_every_method_image_by_image(small, smooth, monkeypatch):
    """Of 3 x 3 cells, where exactshapley has 512 coalitions and not 65,536, and two noisy images in place of ten."""
    monkeypatch.setattr("shapleycam.smoothing.noise.SAMPLES", 2)
    batch = drawn(2, 3, 6, 6)
    names = [name for name in OF_EVERY_MODEL if "eigen" not in smooth or METHODS[name].spread is not None]
    together = small.compare(batch, names, target=1, smooth=smooth, tolerance=0.1)
    alone = small.compare(batch[1:], names, target=1, smooth=smooth, tolerance=0.1)
    for name, e in together.items():
        assert e.smooth == parse_smoothing(smooth), name
        assert bool(((e.heatmap >= 0) & (e.heatmap <= 1)).all()), name
        torch.testing.assert_close(e.heatmap[1:], alone[name].heatmap, rtol=1e-3, atol=1e-3, msg=name)
        assert not torch.equal(e.values, torch.zeros_like(e.values)), name


def test_several_layers_are_fused_before_augment_averages(small, batch):
    """As pytorch-grad-cam: each changed image has its map of all layers."""
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 2, stride=2), nn.AdaptiveAvgPool2d(1)]
    explainer = Explainer(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2)), layer=["0", "2"], utility="logit")
    smooth = explainer.explain(batch, "gradcam", target=1, smooth="augment")
    maps = [explainer.explain(factor * batch, "gradcam", target=1).heatmap for factor in (0.9, 1, 1.1)]
    maps += [explainer.explain(factor * batch.flip(3), "gradcam", target=1).heatmap.flip(2) for factor in (0.9, 1, 1.1)]
    torch.testing.assert_close(smooth.heatmap, torch.stack(maps).mean(0), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_several_targets(small, batch):
    both = small.explain_each(batch, 2, "gradcam", smooth="augment,noise")
    for e in both:
        torch.testing.assert_close(
            small.explain(batch, "gradcam", e.target, smooth="augment,noise").heatmap, e.heatmap, rtol=0, atol=1e-4
        )
    assert not torch.equal(both[0].target, both[1].target)


def test_a_map_that_is_blank_after_smoothing_is_told_once():
    explainer = Explainer(linear(-WEIGHT.abs()), layer="features", utility="logit")
    with pytest.warns(BlankHeatmapWarning) as caught:
        explainer.explain(torch.ones(1, 1, 2, 3), "hirescam", target=0, smooth="augment")
    assert len(caught) == 1


MIRRORED = {
    "a removal of places": ({"removal": torch.ones(5, 4, 4)}, r"removal 'tensor .*' may differ from place to place"),
    "regions": ({"players": (2, 2)}, "the players are regions of the image"),
    "images beside the images": ({"inputs": {"depth": torch.ones(2, 1, 8, 8)}}, "inputs= may hold images"),
}


@pytest.mark.parametrize("case", MIRRORED)
def test_augment_refuses_what_would_have_to_be_mirrored(small, batch, case):
    options, reason = MIRRORED[case]
    with pytest.raises(OptionError, match=f"^smooth='augment' explains the mirror image too, and {reason}"):
        small.explain(batch, "gradcam", smooth="augment", **options)


def test_augment_refuses_an_output_with_places(batch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    inside = utilities.inside(torch.ones(8, 8))
    explainer = Explainer(model, layer="0", utility=inside)
    with pytest.raises(OptionError, match=r"an output with places of its own \(shape \(2, 2, 8, 8\); expected"):
        explainer.explain(batch, "gradcam", target=1, smooth="augment")
    assert explainer.explain(batch, "gradcam", target=1, smooth="noise").smooth == ("noise",)


def test_noise_asks_of_the_pixels_that_the_model_saw_in_the_image_itself():
    """`inside()` without a mask takes the pixels of the predicted class; noise would change them."""
    model = Toy(lambda a: torch.cat([a, 0.5 - a], 1))
    image = torch.tensor([[[[1.0, 0.2], [0.9, 0.1]]]])
    explainer = Explainer(model, layer="features", utility=utilities.inside(utility="logit"))
    noisy = torch.stack(list(noisy_images(image, 0))).mean(0)
    values = explainer.explain(image, "hirescam", target=0, smooth="noise").values
    torch.testing.assert_close(values, noisy[:, 0] * torch.tensor([[0.5, 0.0], [0.5, 0.0]]))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("agument", "smooth='agument' is unknown; did you mean 'augment'"),
        ("", "smooth='' names no smoothing; expected some of augment, eigen, noise"),
        ("augment,", "smooth='' is unknown"),
        (["noise", 3], "smooth=3 is unknown"),
        (True, "smooth=True is a bool; expected one or several of augment, eigen, noise"),
    ],
)
def test_names_that_are_none(choice, message):
    with pytest.raises(OptionError) as caught:
        parse_smoothing(choice)
    assert str(caught.value).startswith(message)


def test_spellings_and_order():
    assert parse_smoothing("Noise, AUGMENT,noise") == ("augment", "noise")
    assert parse_smoothing(()) == ()


def test_it_is_said_wherever_the_choices_are(small, batch, tmp_path):
    e = small.explain(batch, "hirescam", target=1, smooth="augment,noise")
    assert repr(e).count(", smoothed by augment, noise") == 1
    assert "smoothed by augment, noise" in e._repr_html_()
    summary = summarise_image([{"hirescam": e}], 0, "toy")
    assert summary.lines()["smoothed"] == "by augment, noise: the values divide no score"
    assert summary.as_data()["smooth"] == ["augment", "noise"]
    loaded = Explanation.load(e.save(tmp_path / "e.npz"))
    assert (loaded.smooth, loaded[1].smooth) == (e.smooth, e.smooth)
    assert "smoothed" not in summarise_image([{"hirescam": small.explain(batch, "hirescam")}], 0, "toy").lines()


def test_smoothed_values_divide_no_score(small, batch):
    """Neither an efficiency gap nor metrics of values in units are given for them."""
    smooth, plain = (small.explain(batch, "hirescam", 1, smooth=choice) for choice in ("noise", None))
    assert (smooth.divides_score, plain.divides_score) == (False, True)
    grand = float(small.game(batch, 1).grand[0])
    assert gap_of_values(smooth, grand) is None
    assert gap_of_values(plain, grand) is not None
    numbers = measure(small, batch, {"hirescam": smooth}, ["efficiency_gap"])
    assert bool(numbers["efficiency_gap"]["hirescam"].isnan().all())


def test_metrics_smooth_the_maps_of_changed_images_too(small, batch):
    """Coherency compares the map with that of x·M; a map that is smoothed with one that is not would be another."""
    plain, smooth = (small.compare(batch, ["gradcam"], 1, smooth=choice) for choice in (None, "augment"))
    coherency = measure(small, batch, smooth, ["coherency"])["coherency"]["gradcam"]
    e = smooth["gradcam"]
    second = small.explain(batch * e.heatmap[:, None], "gradcam", 1, smooth="augment")
    pairs = zip(e.heatmap.double().flatten(1), second.heatmap.double().flatten(1), strict=True)
    expected = torch.stack([(1 + torch.corrcoef(torch.stack(pair))[0, 1]) / 2 for pair in pairs])
    torch.testing.assert_close(coherency.double(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="smooth differ"):
        measure(small, batch, {"a": plain["gradcam"], "b": e}, ["coherency"])
