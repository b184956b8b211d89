"""Removals without a single removed state: imputation, which depends on the coalition, and reference photographs."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from torch import nn

from shapleycam import METHODS, Explainer, values
from shapleycam.errors import DerivativeError, OptionError
from shapleycam.explanations import Explanation
from shapleycam.fidelity import split_values
from shapleycam.fidelity._split_values import split_steps
from shapleycam.game import Game
from shapleycam.game.imputed import NOISE
from shapleycam.game.removal import NAMED
from shapleycam.images import content_seeds

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, stride=2), nn.Tanh(), nn.Conv2d(6, 5, 3), nn.Tanh()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()


def pictures(count=2, side=12, seed=4):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def explainer_of(removal, **options):
    return Explainer(
        options.pop("model", None) or network(), "input", "logit", removal=removal, device="cpu", **options
    )


def by_samples(count=3):
    return explainer_of("samples", reference=pictures(count, seed=9))


def all_coalitions(n):
    return torch.tensor([[bool(number >> player & 1) for player in range(n)] for number in range(2**n)])


def shapley_by_orders(worth, n):
    """The mean over all n! orders of what each player adds, `worth` by the number of a coalition."""
    shares = torch.zeros(n, dtype=torch.float64)
    for order in permutations(range(n)):
        inside = 0
        for player in order:
            shares[player] += worth[inside | 1 << player] - worth[inside]
            inside |= 1 << player
    return shares / math.factorial(n)


def fill_in(image, absent):
    """ROAD's linear system over the absent pixels, written out entry by entry and solved directly."""
    channels, height, width = image.shape
    places = [tuple(place) for place in absent.nonzero().tolist()]
    matrix, right = torch.zeros(len(places), len(places)).double(), torch.zeros(len(places), channels).double()
    for row, (y, x) in enumerate(places):
        for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            there, weight = (y + down, x + across), 1 / 6 if 0 in (down, across) else 1 / 12
            if not (0 <= there[0] < height and 0 <= there[1] < width):
                continue
            matrix[row, row] += weight
            if there in places:
                matrix[row, places.index(there)] -= weight
            else:
                right[row] += weight * image[:, there[0], there[1]].double()
    filled = image.clone()
    for (y, x), colour in zip(places, torch.linalg.solve(matrix, right), strict=True):
        filled[:, y, x] = colour.float()
    return filled


class TestImputation:
    def test_a_coalition_is_the_image_filled_in_with_noise_there(self):
        """Behind a network that is linear in the pixels, so that an error of imputation shows as it is."""
        torch.manual_seed(0)
        model, image = nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), pictures(1, 6)
        game = explainer_of("impute", model=model).game(image, 1, players=(2, 3))
        labels = torch.arange(6)[:, None] // 3 * 3 + torch.arange(6) // 2
        generator = torch.Generator().manual_seed(content_seeds(image, 0)[0])
        noise = NOISE * torch.randn(3, 6, 6, generator=generator)
        coalitions = all_coalitions(6)[1:]
        masked = []
        for coalition in coalitions:
            absent = ~coalition[labels]
            masked.append(fill_in(image[0], absent) + noise * absent if absent.any() else image[0])
        nothing = image.mean((2, 3), keepdim=True) + noise
        with torch.no_grad():
            expected = model(torch.stack(masked))[:, 1] - model(nothing)[:, 1]
        torch.testing.assert_close(game.value(coalitions)[0], expected, atol=5e-3, rtol=0)
        assert float((game.value(coalitions)[0] - expected).std()) < 0.02 * float(expected.std())

    def test_present_pixels_are_as_they_were(self):
        game = explainer_of("impute").game(pictures(), 1, players=(2, 2))
        everybody = torch.ones(1, 4, dtype=torch.bool)
        torch.testing.assert_close(game.value(everybody)[:, 0], game.grand)

    def test_a_coalition_has_one_value_whatever_is_beside_it(self):
        images, coalitions = pictures(3), all_coalitions(4)
        explainer = explainer_of("impute")
        together = explainer.game(images, 1, players=(2, 2)).value(coalitions)
        for image in range(3):
            alone = explainer.game(images[image : image + 1], 1, players=(2, 2))
            one_by_one = torch.cat([alone.value(coalitions[each : each + 1]) for each in range(16)], 1)
            torch.testing.assert_close(together[image], one_by_one[0], atol=1e-6, rtol=1e-5)

    def test_volumes_are_refused(self):
        model = nn.Sequential(nn.Conv3d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(180, 2))
        with pytest.raises(OptionError, match=r"removal 'impute' is of images \(b, c, h, w\), and these have shape"):
            explainer_of("impute", model=model).explain(torch.rand(1, 1, 4, 5, 6), "exactshapley", players=(1, 2, 2))


class TestSamples:
    def test_exact_values_are_the_mean_over_the_photographs_in_all_orders(self):
        model, images, reference = network(), pictures(2), pictures(3, seed=9)
        labels = torch.arange(12)[:, None] // 6 * 3 + torch.arange(12) // 4
        shares = by_samples().explain(images, "exactshapley", 1, players=(2, 3))
        for image in range(2):
            worth = []
            for coalition in all_coalitions(6):
                seen = torch.where(coalition[labels], images[image], reference)
                with torch.no_grad():
                    worth.append(float(model(seen)[:, 1].double().mean()))
            regions = sorted(shares.region_values(image), key=lambda each: each.region)
            expected = shapley_by_orders(worth, 6)
            torch.testing.assert_close(
                torch.tensor([each.value for each in regions]).double(), expected, atol=1e-6, rtol=1e-4
            )
            assert float(shares.utility_removed[image]) == pytest.approx(worth[0], abs=1e-6)

    def test_one_photograph_is_a_tensor(self):
        images, reference = pictures(), pictures(1, seed=9)
        by_sample = explainer_of("samples", reference=reference).explain(images, "exactshapley", 1, players=(2, 2))
        by_tensor = explainer_of(reference[0]).explain(images, "exactshapley", 1, players=(2, 2))
        torch.testing.assert_close(by_sample.values, by_tensor.values)

    def test_the_name_says_which_photographs_in_any_order(self):
        reference = pictures(3, seed=9)
        first, again, other = (
            explainer_of("samples", reference=each).removal.name
            for each in (reference, reference.flip(0), reference[:2])
        )
        assert first == again != other
        assert first.startswith("samples of 3 reference photographs (")

    def test_each_photograph_is_a_run(self):
        explainer = by_samples(5)
        game = explainer.game(pictures(1), 1, players=(2, 2))
        assert (game.runs_per_coalition, game.coalition_cost) == (5, "5 runs each of the network behind the layer")
        explanation = explainer.explain(pictures(1), "sampledshapley", 1, players=(2, 2), runs=240, tolerance=1e-9)
        assert explanation.notes[0][0].startswith("after 240 runs the standard error is")
        with pytest.raises(OptionError, match=r"each 5 runs of the whole model; expected at most 179 runs in all"):
            explainer.explain(pictures(1), "sampledshapley", 1, players=(2, 2), runs=179)

    def test_halves_count_runs_and_not_coalitions(self):
        """Two halves of three samples of four orders, each of 3 coalitions of 5 runs."""
        game = by_samples(5).game(pictures(1), 1, players=(2, 2))
        *_, (made, split) = split_steps(game, 2 * 3 * 4 * 3 * 5)
        assert (made, split.runs.tolist()) == (360, [360])
        assert split_values(game, 2**4 * 5).runs.tolist() == [2**4 * 5]

    def test_progress_counts_coalitions(self):
        done = []
        game = by_samples().game(pictures(1), 1, players=(2, 2))
        game.value(all_coalitions(4), progress=done.append)
        assert sum(done) == 16
        assert len(done) == 3

    def test_in_words_and_files(self, tmp_path):
        explanation = by_samples().explain(pictures(1), "exactshapley", 1, players=(2, 2))
        assert Explanation.load(explanation.save(tmp_path / "e.npz")).removal == explanation.removal

    def test_the_explainers_own_photographs_stand_until_others_are_given(self):
        explainer, images = by_samples(), pictures(1)
        other = explainer.explain(images, "exactshapley", 1, players=(2, 2), reference=pictures(1, seed=1))
        assert other.removal.startswith("samples of 1 reference photograph (")
        assert explainer.explain(images, "exactshapley", 1, players=(2, 2)).removal == explainer.removal.name

    def test_refusals(self):
        with pytest.raises(OptionError, match="removal 'samples' takes reference photographs to stand in; give them"):
            explainer_of("samples")
        with pytest.raises(
            OptionError, match=r"photographs have shape \(3, 8, 8\), the explained images \(3, 12, 12\)"
        ):
            explainer_of("samples", reference=pictures(2, 8)).explain(pictures(1), "exactshapley", players=(2, 2))
        traced = explainer_of("zero").game(pictures(1), 1)
        game = Game(traced.trace, traced.layout, traced.utility, traced.target, removal=NAMED["samples"])
        with pytest.raises(OptionError, match="removal 'samples' takes reference photographs"):
            _ = game.empty


@pytest.mark.parametrize("make", [lambda: explainer_of("impute"), by_samples], ids=["impute", "samples"])
class TestWithoutASingleState:
    def test_methods_that_play_the_game_have_values(self, make):
        playing = [row.name for row in METHODS.values() if row.basis.fewest_runs and row.in_units]
        comparison = make().compare(pictures(1), playing, 1, players=(2, 2))
        assert set(comparison) == set(playing)

    @pytest.mark.parametrize("method", [row.name for row in METHODS.values() if row.needs_removed_state])
    def test_methods_that_go_towards_it_are_refused(self, make, method):
        with pytest.raises(
            DerivativeError, match=rf"method '{method}' goes from the image to one in which all .*single"
        ):
            make().explain(pictures(1), method, 1, players=(2, 2))

    def test_sets_leave_them_out(self, make):
        with pytest.warns(UserWarning, match="method 'pathcam' is left out of the set: it goes from the image to one"):
            comparison = make().compare(pictures(1), ["all"], 1, players=(2, 2), curvature=True)
        assert {"sampledshapley", "exactshapley", "eigencam", "layercam"} <= set(comparison)
        assert not [name for name in comparison if METHODS[name].needs_removed_state]
        assert comparison["sampledshapley"].curvature is None

    def test_estimators_that_go_towards_it_are_refused(self, make):
        game = make().game(pictures(1), 1, players=(2, 2))
        for estimator in (values.path, values.taylor):
            with pytest.raises(DerivativeError, match="has no single such image"):
                estimator(game)

    def test_sampled_values_are_the_exact_ones(self, make):
        game = make().game(pictures(1), 1, players=(2, 2))
        exact, sampled = values.exact(game).values, values.permutation(game, orders=256)
        assert float(((sampled.values - exact).abs() / sampled.stderr.clamp(min=1e-9)).max()) < 5
        torch.testing.assert_close(exact.sum(1), game.grand.double(), atol=1e-6, rtol=1e-5)

    def test_no_shortcut_is_taken_where_the_head_would_allow_one(self, make):
        model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
        explainer = make()
        game = Explainer(model, "input", "logit", removal=explainer.removal, device="cpu").game(
            pictures(1), 1, players=(2, 2)
        )
        assert game.shortcut is None

    def test_at_another_layer(self, make):
        removal = make().removal
        with pytest.raises(
            OptionError, match="is of images, and layer '2' is inside the model; expected layer 'input'"
        ):
            Explainer(network(), "2", removal=removal, device="cpu").explain(
                pictures(1), "exactshapley", players=(2, 2)
            )

    def test_channels_as_players(self, make):
        with pytest.raises(OptionError, match="players 'channels' hold all places, and removal"):
            make().game(pictures(1), 1, players="channels")
