"""Removal as users choose it: of an explainer or a call, over reference photographs; what is said and what is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import noise
from shapleycam import Explainer, values
from shapleycam.errors import (
    ImageError,
    ModelError,
    NothingToDivideWarning,
    OptionError,
    RemovalNotUsedWarning,
    ScaleInvariantHeadWarning,
)
from shapleycam.explaining.inputs import batch_of
from shapleycam.explanations import Explanation
from shapleycam.fidelity import fidelity
from shapleycam.metrics import measure

WHOLE = ["hirescam", "shapleycam-h", "pathcam-h", "sampledshapley", "exactshapley"]
"""Methods whose values sum to what they divide."""


class Model(nn.Module):
    """A smooth head behind the layer "features"; `calls` are the numbers of images of its passes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.features = nn.Conv2d(3, 4, 4, stride=4)
        self.after = nn.Sequential(nn.GELU(), nn.Conv2d(4, 6, 2), nn.Softplus())
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.after(self.features(x)).mean((2, 3)))


class ReadsMean(Model):
    def forward(self, x):
        return self.fc(torch.cat([self.features(x).mean((2, 3)).tanh(), x.new_zeros(len(x), 2)], 1))


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def photos():
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def reference():
    return torch.rand(20, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def explainer_of(model, **options):
    return Explainer(model, layer="features", device="cpu", **options)


def test_the_paper_s_removal_is_the_default(model, photos):
    explainer = explainer_of(model)
    assert explainer.removal.name == explainer.game(photos).removal.name == "zero"
    explanation = explainer.explain(photos, "hirescam")
    assert explanation.removal == "zero"
    assert "removal" not in repr(explanation) + repr(explainer)


@pytest.mark.filterwarnings("ignore::shapleycam.errors.OptionNotUsedWarning")  # nodes: of the path methods alone
@pytest.mark.parametrize("method", WHOLE)
def test_the_values_of_each_method_divide_what_the_removal_leaves(method, model, photos, reference):
    explainer = explainer_of(model, removal="mean", reference=reference)
    game, explanation = explainer.game(photos), explainer.explain(photos, method, nodes=32)
    sums = explanation.values.sum((1, 2))
    if method == "hirescam":
        expected = (game.contents.difference * game.gradient()).sum((1, 2, 3))
    elif method == "shapleycam-h":
        difference = game.contents.difference
        expected = (difference * (game.gradient() - game.hvp(difference) / 2)).sum((1, 2, 3))
    else:
        expected = game.grand
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-5)
    assert explanation.removal == game.removal.name == explainer.removal.name


def test_the_spreads_multiply_with_what_a_place_adds(model, photos):
    """The channels' weights are those of the papers; with them is multiplied A - R."""
    explainer = explainer_of(model, removal=noise(4, 3, 3, seed=5))
    game = explainer.game(photos)
    content, gradient = game.contents.difference.flatten(2), game.gradient().flatten(2)
    activation = game.activation.flatten(2)
    weights = {
        "gradcam": gradient.mean(2),
        "xgradcam": (gradient * activation).sum(2) / (activation.sum(2) + 1e-7),
    }
    for method, of_channels in weights.items():
        expected = (content * of_channels[..., None]).sum(1)
        torch.testing.assert_close(explainer.explain(photos, method).values.flatten(1), expected, rtol=1e-4, atol=1e-5)
    positive = (content * gradient).relu().sum(1)
    torch.testing.assert_close(explainer.explain(photos, "gradcam-e").values.flatten(1), positive, rtol=1e-4, atol=1e-5)


def test_methods_without_a_removal_say_so_once(model, photos):
    explainer = explainer_of(model)
    methods = ["layercam", "gradcam++"]
    plain = explainer.compare(photos, methods)
    with pytest.warns(RemovalNotUsedWarning, match=r"removal 'mean' is not used by layercam, gradcam\+\+:"):
        removed = explainer.compare(photos, methods, removal="mean")
    for method in methods:
        assert torch.equal(plain[method].values, removed[method].values)
    explainer.compare(photos, methods, removal="mean")  # a second warning would be an error


REFUSED = {
    "none": ([], ImageError, "no images were given; expected at least one"),
    "other channels": (torch.rand(2, 1, 12, 12), ModelError, "the model raised RuntimeError"),
    "another size": (
        torch.rand(2, 3, 16, 12),
        OptionError,
        r"\(4, 4, 3\), the explained images \(4, 3, 3\).*one size",
    ),
    "NaN": (torch.full((2, 3, 12, 12), torch.nan), ModelError, "NaN|not finite"),
    "no file": (["nowhere.jpg"], ImageError, "photographs were given, and how this model wants them is not known"),
}


class TestReference:
    def test_each_position_has_its_mean_over_the_photographs(self, model, photos, reference):
        game = explainer_of(model, removal="mean", reference=reference).game(photos)
        expected = model.features(reference).mean(0).detach()
        torch.testing.assert_close(game.contents.replacement, expected.expand(2, -1, -1, -1), rtol=1e-5, atol=1e-6)
        assert game.removal.name.startswith("mean of 20 reference photographs (")

    def test_their_order_does_not_matter_and_their_content_does(self, model, reference):
        first = explainer_of(model, removal="mean", reference=reference).removal.name
        assert explainer_of(model, removal="mean", reference=reference.flip(0)).removal.name == first
        assert explainer_of(model, removal="mean", reference=reference[1:]).removal.name != first
        other = torch.cat([reference[1:], reference[:1] / 2])
        assert explainer_of(model, removal="mean", reference=other).removal.name != first

    def test_photographs_are_taken_as_those_to_explain(self, hopper):
        explainer = Explainer("efficientnet_lite0", device="cpu", removal="mean", reference=[hopper, hopper])
        assert explainer.removal.name.startswith("mean of 2 reference photographs (")

    def test_a_model_that_learns_has_another_mean(self, model, photos, reference):
        explainer = explainer_of(model, removal="mean", reference=reference)
        before = explainer.game(photos).contents.replacement
        with torch.no_grad():
            model.features.weight.data.mul_(1.01)  # which no version counter sees
        after = explainer.game(photos).contents.replacement
        torch.testing.assert_close(after[0], model.features(reference).mean(0).detach(), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(before, after, rtol=1e-4)

    def test_another_model_has_its_own_mean(self, model, photos, reference):
        explainer = explainer_of(model, removal="mean", reference=reference)
        explainer.game(photos)
        other = Model()
        nn.init.ones_(other.features.weight)
        replacement = explainer.like(other).game(photos).contents.replacement
        torch.testing.assert_close(replacement[0], other.features(reference).mean(0).detach(), rtol=1e-5, atol=1e-6)

    def test_its_photographs_run_once(self, model, photos, reference):
        explainer = explainer_of(model, removal="mean", reference=reference)
        rows = []
        model.features.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
        explainer.game(photos)
        first = sum(rows)
        rows.clear()
        explainer.game(photos)
        assert first - sum(rows) == len(reference)
        assert sum(rows) <= 1 + first - len(reference)

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_cannot_be_a_reference_is_refused_in_one_line(self, name, model, photos):
        reference, error, message = REFUSED[name]
        with pytest.raises(error, match=f"reference=: .*({message})") as refused:
            explainer_of(model, removal="mean", reference=reference).explain(photos)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("removal", ["zero", torch.zeros(4), lambda a: a])
    def test_only_the_mean_takes_them(self, removal, model, reference):
        with pytest.raises(OptionError, match=r"reference= was given with removal '.*'; expected removal='mean'"):
            explainer_of(model, removal=removal, reference=reference)


class TestACallOfItsOwn:
    def test_it_takes_the_place_of_the_explainers(self, model, photos, reference):
        explainer = explainer_of(model)
        of_explainer = explainer_of(model, removal="mean", reference=reference)
        options = {"removal": "mean", "reference": reference}
        expected = of_explainer.explain(photos, "pathcam-h").values
        for explanation in (
            explainer.explain(photos, "pathcam-h", **options),
            explainer.compare(photos, ["pathcam-h"], **options)["pathcam-h"],
            explainer.explain_each(photos, [None], "pathcam-h", **options)[0],
        ):
            assert torch.equal(explanation.values, expected)
        assert torch.equal(explainer.game(photos, **options).grand, of_explainer.game(photos).grand)
        assert of_explainer.explain(photos, "hirescam", removal="zero").removal == "zero"

    def test_reference_photographs_alone_do_not_choose_the_mean(self, model, photos, reference):
        with pytest.raises(OptionError, match="reference= was given with removal 'zero'"):
            explainer_of(model).explain(photos, reference=reference)

    def test_nothing_of_one_removal_is_left_for_the_next(self, model, photos):
        explainer = explainer_of(model)
        first = explainer.compare(photos, WHOLE)
        explainer.compare(photos, WHOLE, removal="mean")
        again = explainer.compare(photos, WHOLE)
        for method in WHOLE:
            assert torch.equal(first[method].values, again[method].values), method

    def test_a_function_is_called_once_a_batch(self, model, photos):
        calls = []

        def halve(activation):
            calls.append(len(activation))
            return activation / 2

        explainer_of(model).explain_each(photos, [0, 1, 2], "pathcam-h", removal=halve)
        assert calls == [2, 1, 1]  # and once more for the first and the last image alone


def test_several_layers_have_each_their_own_mean(photos, reference):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4), nn.GELU(), nn.Conv2d(4, 5, 1), nn.GELU(), nn.Flatten(), nn.LazyLinear(3)
    )
    model(photos)
    explainer = Explainer(model, layer=["0", "2"], device="cpu", removal="mean", reference=reference)
    explanation = explainer.explain(photos, "pathcam-h")
    assert explanation.removal == explainer.removal.name
    alone = [
        Explainer(model, layer=layer, device="cpu", removal="mean", reference=reference).explain(photos, "pathcam-h")
        for layer in ("0", "2")
    ]
    torch.testing.assert_close(explanation.values, (alone[0].values + alone[1].values) / 2)


@pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning")  # of a mean that is 0
@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam-h", "sampledshapley"])
def test_a_mean_that_leaves_nothing_to_divide_is_said(method, photos):
    """The head reads only the mean over places, which is the same with every place at the mean."""
    explainer = explainer_of(ReadsMean(), removal="mean")
    for _ in range(2):
        with pytest.warns(NothingToDivideWarning, match=r"removal 'mean' leaves v\(N\) = 0 behind layer 'features'"):
            values_of_places = explainer.explain(photos, method).values
        assert float(values_of_places.sum((1, 2)).abs().max()) < 1e-5


def test_a_scale_that_is_ignored_from_zero_is_not_from_a_mean(photos, reference):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3)
    )
    explainer = Explainer(model, layer="0", device="cpu")
    with pytest.warns(ScaleInvariantHeadWarning):
        explainer.explain(photos, "pathcam-h")
    explainer.explain(photos, "pathcam-h", removal="mean", reference=reference)  # a warning would be an error
    with pytest.warns(ScaleInvariantHeadWarning):
        explainer.explain(photos, "pathcam-h")


def test_files_summaries_and_notebooks_say_it(model, photos, tmp_path):
    explanation = explainer_of(model, removal="mean").explain(photos, "hirescam")
    loaded = Explanation.load(explanation.save(tmp_path / "e.npz"))
    assert loaded.removal == "mean"
    assert "removal mean" in repr(loaded)
    assert "removal mean" in explanation._repr_html_()
    assert "removal" not in explainer_of(model).explain(photos, "hirescam")._repr_html_()


@pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
def test_metrics_explain_changed_images_with_the_same_removal(model):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    explainer = explainer_of(model)
    both = explainer.compare(images, ["gradcam"]) | explainer.compare(images, ["hirescam"], removal="mean")
    with pytest.raises(OptionError, match="removal differ"):
        measure(explainer, images, both, "complexity")
    explanations = explainer.compare(images, ["hirescam", "exactshapley"], removal="mean", players=(2, 2))
    measured = measure(explainer, images, explanations, "shapley_error", players=(2, 2))
    assert float(measured["shapley_error"]["exactshapley"].max()) < 1e-4
    tensor = explainer.compare(images, ["hirescam"], removal=torch.ones(4))
    with pytest.raises(OptionError, match=r"the explanation is of removal 'tensor .*', the explainer has 'zero'"):
        measure(explainer, images, tensor, "complexity")


def test_fidelity_is_to_the_explainers_game(model, photos, reference):
    explainer = explainer_of(model, removal="mean", reference=reference)
    measured = fidelity(explainer, [batch_of(photos, None, model)], methods=["pathcam-h", "exactshapley"])
    errors = {distance.method: distance.error for distance in measured.distances}
    assert errors["exactshapley"] < 1e-5
    assert errors["pathcam-h"] < 0.2
    true = measured.values["rest", "true"].reshape(2, -1).sum(1)
    torch.testing.assert_close(true.float(), explainer.game(photos).grand, rtol=1e-4, atol=1e-5)


def test_where_nothing_is_to_divide_fidelity_has_no_gap(photos):
    explainer = explainer_of(ReadsMean(), removal="mean")
    with pytest.warns(NothingToDivideWarning):
        measured = fidelity(explainer, [batch_of(photos, None, explainer.model)], methods=["hirescam"])
    assert {distance.gap for distance in measured.distances} == {None}
    assert values.exact(explainer.game(photos)).values.sum(1).abs().max() < 1e-6
