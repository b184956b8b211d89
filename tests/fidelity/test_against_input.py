"""Methods against the input's Shapley values, on networks whose values are known by pencil."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import METHODS, Explainer
from shapleycam.errors import LayerError, OptionError, RepeatedImageWarning
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import InputQuestion, fidelity, input_fidelity, input_summary, split_values
from shapleycam.values import exact

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
GRID = InputQuestion(players=(2, 2))


def averaged(classes=2):
    """Means of 2 x 2 pixels, and a linear layer of these."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, classes)).double()


def curved():
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 6, 2, stride=2), nn.Tanh(), nn.Conv2d(6, 6, 3, padding=1), nn.Tanh(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(6 * 16, 3)).double()


@pytest.fixture
def images():
    return 2 * torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def measure(model, images, methods, question=GRID, layer="0"):
    explainer = Explainer(model, layer=layer, utility="logit")
    return explainer, input_fidelity(explainer, [batch_of(images, None, model)], (None,), methods, question)


def test_where_the_network_is_linear_the_layers_values_are_the_inputs(images):
    model = averaged()
    _, result = measure(model, images, ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley", "sampledshapley"])
    weights = model[2].weight.reshape(2, 3, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    chosen = weights[model(images).argmax(1)]
    regions = (chosen * images).sum(1).unfold(1, 4, 4).unfold(2, 4, 4).sum((3, 4)).flatten()
    torch.testing.assert_close(result.values["logit", "true"], regions.detach())
    for row in input_summary(result.distances):
        assert row.error.value < 1e-6, row.method
        figures = [row.pearson, row.pearson_corrected, row.spearman, row.spearman_corrected]
        assert [mean.value for mean in figures] == pytest.approx([1] * 4), row.method
        assert row.noise_share.value == 0


def test_the_removal_is_the_inputs(images):
    """Of a linear network the values behind a removal R are Σ w (x - R)."""
    model, replacement = averaged(), torch.rand(3, 8, 8, dtype=torch.float64)
    question = InputQuestion(players=(2, 2), removal=replacement)
    _, removed = measure(model, images, ["hirescam"], question)
    _, nothing = measure(model, images, ["hirescam"])
    assert removed.removal.startswith("tensor ")
    weights = model[2].weight.reshape(2, 3, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    of_replacement = (weights[model(images).argmax(1)] * replacement).sum(1).unfold(1, 4, 4).unfold(2, 4, 4).sum((3, 4))
    difference = nothing.values["logit", "true"] - removed.values["logit", "true"]
    torch.testing.assert_close(difference, of_replacement.flatten().detach())
    torch.testing.assert_close(removed.values["logit", "hirescam"], nothing.values["logit", "hirescam"])
    assert removed.inputs[0].utility_removed != pytest.approx(nothing.inputs[0].utility_removed)


def test_methods_without_units_have_ranks_alone(images):
    _, result = measure(averaged(), images, ["layercam", "gradcam++"])
    for row in input_summary(result.distances):
        assert (row.error, row.pearson, row.noise_share) == (None, None, None)
        assert not METHODS[row.method].in_units
        assert -1 <= row.spearman.value <= 1


@pytest.mark.slow
def test_sampled_values_are_split_and_their_noise_is_told(images):
    question = InputQuestion(players=(4, 4), runs=400)
    explainer, result = measure(curved(), images, ["pathcam-h"], question, layer="1")
    game = question.game(question.at_input(explainer), batch_of(images, None, explainer.model))
    true = exact(game).values
    for index, each in enumerate(result.inputs):
        assert (each.regions, each.runs) == (16, 360)
        assert 0.5 < each.agreement < 1
        sampled = result.values["logit", "true"].reshape(2, 16)[index]
        off = float((sampled - true[index]).norm() / sampled.norm())
        assert off == pytest.approx(each.noise, rel=0.7)
        assert each.utility_whole - each.utility_removed == pytest.approx(float(true[index].sum()), rel=1e-6)
    for distance in result.distances:
        assert distance.noise_share > 0
        assert distance.pearson_corrected > distance.pearson > 0


@pytest.mark.slow
def test_two_halves_are_independent_of_each_other_and_right_together(images):
    model = curved()
    game = Explainer(model, layer="input", utility="logit").game(images, players=(4, 4))
    split = split_values(game, 1200)
    assert bool(((split.runs > 600) & (split.runs <= 1200)).all())
    assert not torch.equal(split.first, split.second)
    true = exact(game).values
    assert bool(((split.values - true).norm(dim=1) < 3 * split.noise).all())
    torch.testing.assert_close(split.values.sum(1), game.grand)


def test_a_module_called_input_is_not_the_image(images):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.AvgPool2d(2)
            self.rest = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
            self.double()

        def forward(self, x):
            return self.rest(self.input(x))

    with pytest.raises(LayerError, match="the model has a module that is called 'input'"):
        measure(Named(), images, ["hirescam"], layer="input")


def test_wrong_questions_are_refused(images):
    with pytest.raises(OptionError, match=r"the values of 16 players at layer 'input' take 360 runs at least.*3,840"):
        measure(curved(), images, ["hirescam"], InputQuestion(players=(4, 4), runs=300))
    reduced = Explainer(curved().float(), layer="1", precision="bfloat16")
    with pytest.raises(OptionError, match="precision 'bfloat16' applies to what comes before the layer"):
        input_fidelity(reduced, [batch_of(images, None, reduced.model)])
    with pytest.raises(OptionError, match="no images were given"):
        input_fidelity(Explainer(averaged(), layer="0"), [])


def test_at_the_layer_itself_nothing_has_changed(images):
    """The same layer against its own values: other figures, of another game."""
    model = curved()
    explainer, against_input = measure(model, images, ["hirescam"], layer="1")
    own = fidelity(explainer, [batch_of(images, None, model)], ["logit"], ["hirescam"], players=(2, 2))
    assert own.distances[0].error != pytest.approx(against_input.distances[0].error)


@pytest.mark.parametrize("measurement", [fidelity, input_fidelity])
def test_the_same_photograph_in_another_batch_counts_once(images, measurement):
    model = averaged()
    explainer = Explainer(model, layer="0", utility="logit")
    batches = [batch_of(each, None, model) for each in (images, images.flip(0), 2 * images[:1])]
    with pytest.warns(RepeatedImageWarning, match="it counts once"):
        result = measurement(
            explainer,
            batches,
            ("logit",),
            ["hirescam"],
            **({"question": GRID} if measurement is input_fidelity else {}),
        )
    assert len(result.distances) == 3
