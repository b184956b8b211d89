"""Regions of the image as players at the layer "input", removal at the input, and the limit of runs there."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import timm
import torch
from skimage.data import astronaut
from skimage.measure import label as connected_regions
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import METHODS, Explainer, Preprocess, values
from shapleycam.errors import OptionError, ToleranceWarning
from shapleycam.explanations import Explanation
from shapleycam.explanations.summary import summarise_image
from shapleycam.fidelity import fidelity
from shapleycam.values._limited_runs import runs_to_aim
from shapleycam.wording import percent

captum_attr = LazyModule("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
HALF = Preprocess(resize=32, crop=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, stride=2), nn.Tanh(), nn.Conv2d(6, 5, 3, stride=2), nn.Tanh()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()


def pictures(count=2, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(4))


def photographs(side=64):
    """Two crops of a photograph, in [-1, 1]."""
    picture = torch.from_numpy(astronaut()).movedim(-1, 0).float() / 127.5 - 1
    return torch.stack([picture[:, :256, :256], picture[:, 200:456, 200:456]])[..., :: 256 // side, :: 256 // side]


def explainer_of(model=None, **options):
    options = {"utility": "logit", "device": "cpu", **options}
    return Explainer(network() if model is None else model, layer="input", **options)


def shapley_by_definition(worth, n):
    """Shapley values from the worth of each coalition, given as a function of a tuple of booleans."""
    shares = torch.zeros(n, dtype=torch.float64)
    for number in range(2**n):
        inside = [bool(number >> player & 1) for player in range(n)]
        size = sum(inside)
        for player in range(n):
            if inside[player]:
                without = [each and other != player for other, each in enumerate(inside)]
                weight = math.factorial(size - 1) * math.factorial(n - size) / math.factorial(n)
                shares[player] += weight * (worth(inside) - worth(without))
    return shares


class TestExactValues:
    @pytest.mark.slow
    def test_of_two_by_three_regions_are_captums(self):
        """All 720 orders."""
        model, image = network(), pictures(1)
        mask = (torch.arange(32)[:, None] // 16 * 3 + torch.arange(32) * 3 // 32)[None, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            of_pixels = captum_attr.ShapleyValues(model).attribute(image, 0, target=2, feature_mask=mask)
        expected = torch.stack([of_pixels[0, 0][mask[0, 0] == region][0] for region in range(6)])
        explanation = explainer_of(model).explain(image, "exactshapley", 2, players=(2, 3))
        ours = sorted(explanation.region_values(), key=lambda each: each.region)
        torch.testing.assert_close(torch.tensor([each.value for each in ours]), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("removal", ["mean", "blur", "tensor", "function"])
    def test_are_those_of_the_definition_whatever_is_removed(self, removal):
        model, images = network(), pictures(1)
        removed = {
            "mean": images.mean((2, 3), keepdim=True).expand_as(images),
            "blur": explainer_of(model).game(images, 0, removal="blur").contents.empty,
            "tensor": images.flip(2),
            "function": images.clamp(max=0),
        }[removal]
        given = {"tensor": removed[0], "function": lambda image: image.clamp(max=0)}.get(removal, removal)
        labels = torch.arange(32)[:, None] // 16 * 2 + torch.arange(32) // 16

        def worth(inside):
            present = torch.tensor(inside)[labels]
            return float(model(torch.where(present, images, removed))[0, 1].detach().double())

        found = explainer_of(model).explain(images, "exactshapley", 1, players=labels.numpy(), removal=given)
        sums = [found.values[0][labels == region].sum().double() for region in range(4)]
        torch.testing.assert_close(torch.stack(sums), shapley_by_definition(worth, 4), rtol=1e-4, atol=1e-5)
        assert float(found.utility_removed) == pytest.approx(worth([False] * 4), abs=1e-5)


def test_blur_is_a_gaussian_of_a_sixteenth_of_the_shorter_side():
    """A point becomes the density of the normal distribution, and a constant image stays as it is."""
    point = torch.zeros(1, 3, 64, 96)
    point[..., 32, 48] = 1
    blurred = explainer_of().game(point, 0, removal="blur").contents.empty
    offsets = torch.arange(-6, 7).double()
    density = torch.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 4**2)) / (2 * math.pi * 4**2)
    torch.testing.assert_close(blurred[0, 1, 26:39, 42:55].double(), density, rtol=2e-3, atol=1e-6)
    constant = torch.full((1, 3, 32, 32), 1.5)
    torch.testing.assert_close(explainer_of().game(constant, 0, removal="blur").contents.empty, constant)


def test_blur_inside_the_model_is_refused():
    with pytest.raises(OptionError, match=r"removal 'blur' is of images, and layer '0' is inside the model; expected"):
        Explainer(network(), layer="0", removal="blur").explain(pictures(1), "hirescam")


class TestSuperpixels:
    def test_are_as_many_connected_regions_as_asked_for(self):
        explainer = explainer_of()
        for players, count in (("superpixels", 50), ("superpixels:17", 17)):
            regions = explainer.game(photographs(), 0, players=players).players.member.unflatten(1, (64, 64))
            for labels in regions:
                assert labels.unique().tolist() == list(range(count))
                pieces = sum(
                    connected_regions(labels.numpy() == region, connectivity=2).max() for region in range(count)
                )
                assert pieces == count

    def test_follow_the_colours(self):
        """Of an image of two halves, each is made of whole superpixels."""
        image = torch.full((1, 3, 64, 64), -1.0)
        image[..., 24:] = 1
        labels = (
            explainer_of(preprocess=HALF)
            .game(image, 0, players="superpixels:9")
            .players.member[0]
            .unflatten(0, (64, 64))
        )
        assert not set(labels[:, :24].unique().tolist()) & set(labels[:, 24:].unique().tolist())

    def test_of_an_image_do_not_depend_on_others_nor_on_the_call(self):
        explainer, images = explainer_of(), photographs()
        options = {"players": "superpixels:12", "runs": 300, "tolerance": 1.0}
        both = explainer.explain(images, "sampledshapley", 1, **options)
        alone = explainer.explain(images[1:], "sampledshapley", 1, **options)
        assert torch.equal(both.regions[1:], alone.regions)
        torch.testing.assert_close(both.values[1:], alone.values, rtol=1e-4, atol=1e-6)

    def test_of_an_image_of_one_colour(self):
        labels = explainer_of().game(torch.zeros(1, 3, 32, 32), 0, players="superpixels:20").players
        assert labels.count == 20

    def test_too_many_for_the_image(self):
        with pytest.raises(OptionError, match=r"an image of 8 x 8 pixels cannot be divided into so many regions"):
            explainer_of().game(pictures(1, 8), 0, players="superpixels:65")

    def test_noise_smoothing_keeps_those_of_the_image(self):
        explainer = explainer_of()
        options = {"players": "superpixels:6", "runs": 64}
        smooth = explainer.explain(photographs(32), "exactshapley", 1, smooth="noise", **options)
        assert torch.equal(smooth.regions, explainer.explain(photographs(32), "exactshapley", 1, **options).regions)
        for image in range(2):
            for region in range(6):
                assert len(smooth.values[image][smooth.regions[image] == region].unique()) == 1


class TestPatches:
    def test_are_the_models_own(self):
        model = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=3)
        for wrapped in (model, nn.Sequential(model, nn.Identity())):
            member = explainer_of(wrapped).game(torch.rand(1, 3, 64, 64), 0, players="patches").players.member
            expected = torch.arange(64)[:, None] // 16 * 4 + torch.arange(64) // 16
            assert torch.equal(member[0].unflatten(0, (64, 64)), expected)

    def test_where_the_model_declares_none(self):
        with pytest.raises(OptionError, match=r"players 'patches': the model declares none; expected one size"):
            explainer_of().game(pictures(1), 0, players="patches")


class TestRefusedPlayers:
    def test_labels_of_another_size(self):
        with pytest.raises(OptionError, match=r"labels of shape \(7, 7\); expected the layer's cells, \(32, 32\)"):
            explainer_of().explain(pictures(1), "exactshapley", players=torch.zeros(7, 7, dtype=torch.long))

    def test_a_grid_finer_than_the_pixels(self):
        with pytest.raises(OptionError, match=r"a grid of 33 x 2 regions; expected 1 x 1 to 32 x 32"):
            explainer_of().explain(pictures(1), "exactshapley", players=(33, 2))

    @pytest.mark.parametrize("players", ["superpixel", "superpixels:", "superpixels:1", "superpixels:x", "patches:3"])
    def test_unknown_names(self, players):
        with pytest.raises(OptionError, match=r"players '.*'"):
            explainer_of().explain(pictures(1), "exactshapley", players=players)

    @pytest.mark.parametrize("players", ["superpixels", "patches"])
    def test_regions_of_the_image_inside_the_model(self, players):
        with pytest.raises(
            OptionError, match=rf"players '{players}' are regions of the image, and layer '0' is inside"
        ):
            Explainer(network(), layer="0").explain(pictures(1), "exactshapley", players=players)


class TestRuns:
    def test_more_players_than_the_runs_can_resolve(self):
        with pytest.raises(OptionError) as refused:
            explainer_of().explain(pictures(1), "sampledshapley")
        assert str(refused.value) == (
            "method 'sampledshapley' takes 12,276 coalitions at least, and to a standard error of 10% about 261,888, "
            "with 1,024 players at layer 'input', each a run of the whole model; expected at most 1,000: make regions "
            "the players, players=(7, 7) say, or allow more with runs="
        )

    @pytest.mark.parametrize(
        ("method", "needed"),
        [
            ("exactshapley", r"2\^1024"),
            ("leaveoneout", "1,024"),
            ("reciprocam", "1,024"),
            ("occlusion", "1,024"),
            ("banzhaf", "32,768"),
            ("owen", "12,276"),
        ],
    )
    def test_every_method_that_plays_the_game(self, method, needed):
        with pytest.raises(OptionError, match=f"method '{method}' takes {needed} coalitions"):
            explainer_of().explain(pictures(1), method)

    def test_sets_leave_out_what_cannot_be_had(self):
        explained = explainer_of().compare(pictures(1), ["all"])
        assert not {"sampledshapley", "exactshapley"} & set(explained)
        assert {"hirescam", "pathcam-h", "eigencam"} <= set(explained)
        assert "sampledshapley" in explainer_of().compare(pictures(1), ["all"], players=(2, 2), tolerance=5.0)

    def test_end_the_sampling_which_says_what_it_reached(self):
        explainer = explainer_of()
        game = explainer.game(pictures(1), 1, players=(3, 3))
        with pytest.warns(ToleranceWarning, match=r"after 96 runs the standard error is .* of the values"):
            sampled = explainer.explain(pictures(1), "sampledshapley", 1, players=(3, 3), runs=100, tolerance=1e-6)
        exact = values.exact(game)
        error = torch.tensor([each.stderr for each in sampled.region_values()]).norm()
        size = torch.tensor([each.value for each in sampled.region_values()]).norm()
        assert sampled.notes[0][0].startswith(f"after 96 runs the standard error is {100 * error / size:.1f}% of the")
        torch.testing.assert_close(sampled.values.sum(), game.grand[0], rtol=1e-4, atol=1e-5)
        difference = game.players.totals(sampled.values.flatten(1)) - exact.values
        assert float(difference.norm()) < 6 * float(error)

    def test_a_limit_at_any_layer(self):
        explainer = Explainer(network(), layer="0", utility="rest")
        with pytest.warns(ToleranceWarning, match="after 96 runs"):
            explainer.explain(pictures(1), "sampledshapley", 1, players=(3, 3), runs=100, tolerance=1e-6)
        with pytest.raises(
            OptionError, match=r"exactshapley' takes 512 coalitions at least with 9 players at layer '0'"
        ):
            explainer.explain(pictures(1), "exactshapley", 1, players=(3, 3), runs=511)

    def test_a_tolerance_that_is_reached_ends_it_before(self):
        sampled = explainer_of().explain(pictures(1), "sampledshapley", 1, players=(3, 3), tolerance=2.0, runs=10_000)
        assert sampled.notes[0][0].startswith("after 256 runs")  # eight samples of four orders of nine players

    def test_progress_comes_with_each_sample(self):
        seen = []
        explainer_of().explain(
            pictures(1),
            "sampledshapley",
            1,
            players=(3, 3),
            tolerance=2.0,
            progress=lambda orders, _: seen.append(orders),
        )
        assert seen == list(range(4, 36, 4))

    @pytest.mark.parametrize("runs", [0, -1])
    def test_no_runs(self, runs):
        with pytest.raises(OptionError, match=r"runs is .*; expected 1 or more"):
            explainer_of().explain(pictures(1), "sampledshapley", players=(2, 2), runs=runs)

    def test_how_many_10_percent_takes(self):
        """The error falls with the root of the runs: from 30% to 10% takes nine times as many."""
        assert runs_to_aim(0.3, 1000) == 9000

    def test_fidelity_samples_its_true_values_within_them_too(self):
        explainer = explainer_of()
        batch = explainer.trace(pictures(1), ["hirescam"]).batch
        with pytest.warns(ToleranceWarning, match="after 336 runs"):
            measured = fidelity(explainer, [batch], ["logit"], ["hirescam"], players=(3, 5), runs=350, tolerance=1e-9)
        assert measured.reference == "permutation sampling to <0.01% or 350 runs"
        with pytest.raises(OptionError, match="method 'sampledshapley' takes"):
            fidelity(explainer, [batch], ["logit"], ["hirescam"])


def test_pairs_of_pixels_are_too_many():
    game = explainer_of().game(pictures(1, 65), 0)
    for measure in (values.interactions, values.sampled_interactions):
        with pytest.raises(OptionError, match=r"4,225 players, which have 8,923,200 pairs; expected at most 4,096"):
            measure(game)


def test_the_limit_knows_every_method_that_plays_the_game_of_the_players():
    """A row whose cost grows with the players without a limit would run for hours at the input."""
    for row in METHODS.values():
        grows = row.basis.cost_of(10**4).runs > row.basis.cost_of(10).runs
        assert (row.basis.fewest_runs is not None) == grows, row.name


def test_a_summary_says_what_is_left_of_an_image_without_content(tmp_path):
    explainer = explainer_of()
    explanation = explainer.explain(pictures(1), "exactshapley", 1, players=(2, 2), removal="blur")
    removed, full = float(explanation.utility_removed), float(explanation.utility)
    game = explainer.game(pictures(1), 1, players=(2, 2), removal="blur")
    assert removed == pytest.approx(float(game.empty), abs=1e-5)
    summary = summarise_image([{"exactshapley": explanation}], 0, "small")
    lines = summary.lines()
    assert lines["empty"].startswith(f"logit {removed:.4g} where removal blur took everything: of {full:.4g} there is")
    assert lines["strongest"].startswith("of 4 regions by exactshapley: ")
    (data,) = summary.as_data()["explained"]
    assert data["utility_removed"] == removed
    assert sum(region["value"] for region in data["regions"]["exactshapley"]) == pytest.approx(full - removed, abs=1e-4)
    loaded = Explanation.load(explanation.save(tmp_path / "e.npz"))
    assert torch.equal(loaded.regions, explanation.regions)
    assert torch.equal(loaded.utility_removed, explanation.utility_removed)
    assert loaded.region_values() == explanation.region_values()


def test_a_summary_measures_the_error_by_region():
    """Large and small regions count alike, as in the note on the runs."""
    labels = np.zeros((32, 32), dtype=int)
    labels[:2, :2], labels[20:, :] = 1, 2
    with pytest.warns(ToleranceWarning):
        sampled = explainer_of().explain(pictures(1), "sampledshapley", 1, players=labels, runs=24, tolerance=1e-9)
    (explained,) = summarise_image([{"sampledshapley": sampled}], 0, "small").explained
    regions = sampled.region_values()
    expected = math.hypot(*(r.stderr for r in regions)) / math.hypot(*(r.value for r in regions))
    relative = explained.uncertainty["sampledshapley"].relative
    assert relative == pytest.approx(expected, rel=1e-4)
    assert f"is {percent(relative, 1)} of" in sampled.notes[0][0]
