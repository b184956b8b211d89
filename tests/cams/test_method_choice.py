"""Sets of methods leave out what a model refuses, or nobody would wait for, and say why; named methods never."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from torch import nn

from shapleycam import METHODS, Explainer, fidelity
from shapleycam.cams import optimised_masks, rise
from shapleycam.cams.method_choice import choose_methods
from shapleycam.errors import MethodLeftOutWarning, OptionError, ShapleyCamError
from shapleycam.explaining.inputs import batch_of

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")

OF_ATTENTION = {"attentionrollout", "gradientrollout", "legrad"}
TAILS = {
    "pooled": lambda channels: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)],
    "by position": lambda channels: [nn.Flatten(), nn.Linear(channels * 9, 3)],
}


@pytest.fixture(autouse=True)
def few_masks(monkeypatch):
    monkeypatch.setattr(rise, "MASKS", 20)
    monkeypatch.setattr(optimised_masks, "STEPS", 3)


def make_explainer(tail, channels=4, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, channels, 2, stride=2), nn.ReLU(), *TAILS[tail](channels))
    return Explainer(model.eval(), layer=options.pop("layer", "1"), **options)


def pictures(count=2):
    return torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def left_out(explain):
    """The methods that warnings name, and the result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = explain()
    messages = [str(each.message) for each in caught if each.category is MethodLeftOutWarning]
    return {message.split("'")[1]: message for message in messages}, result


@pytest.mark.parametrize(("tail", "refused"), [("pooled", set()), ("by position", {"cam"})])
def test_field_has_every_method_but_those_that_the_model_refuses(tail, refused):
    messages, comparison = left_out(lambda: make_explainer(tail).compare(pictures(), ["field"]))
    refused = refused | OF_ATTENTION
    assert set(messages) == refused
    assert list(comparison) == [name for name in METHODS if name not in refused]
    assert messages["attentionrollout"].startswith(
        "method 'attentionrollout' is left out of the set: rollout is of attention between all 9 tokens of layer '1'"
    )


def test_one_line_a_method_for_all_batches_classes_and_layers():
    explainer = make_explainer("pooled", layer=["0", "1"])
    messages, comparisons = left_out(lambda: explainer.compare_each(pictures(), ["gradcam", "field"], [0, 1, 2]))
    assert set(messages) == {*OF_ATTENTION, "cam"}  # "0" is before the ReLU
    assert all(list(each) == list(comparisons[0]) for each in comparisons)
    assert "cam" not in comparisons[0]
    again, _ = left_out(lambda: explainer.compare(pictures(), ["field"]))
    assert not again


def test_smoothed_sets_too():
    messages, comparison = left_out(lambda: make_explainer("pooled").compare(pictures(), ["field"], smooth="noise"))
    assert set(messages) == OF_ATTENTION
    assert set(METHODS) - set(comparison) == set(messages)


@pytest.mark.parametrize("methods", [["attentionrollout"], ["field", "attentionrollout"], ["all", "Attention Rollout"]])
def test_a_method_that_is_asked_for_by_name_is_refused(methods):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(OptionError, match="rollout is of attention between all 9 tokens"):
            make_explainer("pooled").compare(pictures(), methods)


def test_what_takes_too_long_is_left_out_of_a_set_alone():
    explainer = make_explainer("by position", channels=300)
    game = explainer.game(pictures(1))
    choice = choose_methods(["field"], game)
    assert choice.left_out == {
        "channelshapley": "it takes up to 614,400 runs for 300 channels; ask for it by name",
        "sscam": "it takes up to 3,000 runs of the model for 300 channels; ask for it by name",
        "iscam": "it takes up to 3,000 runs of the model for 300 channels; ask for it by name",
    }
    assert {"scorecam", "ablationcam"} <= {row.name for row in choice.rows} == choice.optional
    by_name = choose_methods(["field", "sscam"], game)
    assert set(by_name.left_out) == {"channelshapley", "iscam"}
    assert "sscam" not in by_name.optional
    assert [row.name for row in choose_methods(["iscam"], game).rows] == ["iscam"]
    assert not choose_methods(["all"], game).left_out


def test_channels_behind_a_mean_are_not_too_many():
    game = make_explainer("pooled", channels=300).game(pictures(1))
    assert set(choose_methods(["field"], game).left_out) == {"sscam", "iscam"}


def test_where_every_method_is_refused_the_first_refusal_is_the_error():
    game = make_explainer("pooled").game(pictures(1))
    choice = choose_methods(["field"], game)

    def refuse(*_):
        raise OptionError("none of this model")

    with pytest.MonkeyPatch.context() as patch:
        for row in choice.rows:
            patch.setitem(row.basis.__dict__, "compute", refuse)
        with pytest.raises(ShapleyCamError, match="none of this model"):
            make_explainer("pooled").compare(pictures(), ["field"])


def test_fidelity_leaves_out_the_same():
    explainer = make_explainer("pooled")
    batch = batch_of(pictures(), explainer.preprocess, explainer.model)
    messages, measured = left_out(lambda: fidelity.fidelity(explainer, [batch], methods=["field"]))
    assert set(messages) == OF_ATTENTION
    assert {distance.method for distance in measured.distances} == set(METHODS) - set(messages)


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("rise", 20),
        ("scorecam", 4),
        ("sscam", 40),
        ("occlusion", 9),
        ("opticam", 3),
        ("smoothgradcam++", 4),
    ],
)
def test_runs_limit_methods_of_changed_images_too(method, needed):
    explainer = make_explainer("pooled")
    expected = (
        rf"^method '{re.escape(method)}' takes {needed} runs of the whole model, on changed images, and no fewer; "
        rf"expected at most {needed - 1}: allow {needed} with runs="
    )
    with pytest.raises(OptionError, match=expected):
        explainer.explain(pictures(1), method, runs=needed - 1)
    allowed = explainer.explain(pictures(1), method, runs=needed)
    torch.testing.assert_close(allowed.values, explainer.explain(pictures(1), method).values)


def test_a_set_leaves_out_what_takes_more_runs_than_allowed():
    messages, comparison = left_out(lambda: make_explainer("pooled").compare(pictures(1), ["field"], runs=10))
    assert {"rise", "sscam", "iscam"} <= set(messages)
    assert "occlusion" in comparison
    assert "takes 20 runs of the whole model, on changed images" in messages["rise"]


def test_runs_limit_values_of_channels_where_each_is_a_run():
    explainer = make_explainer("by position", channels=12)
    with pytest.raises(OptionError, match=r"for each of 12 channels; expected at most 11: allow more with runs="):
        explainer.explain(pictures(1), "ablationcam", utility="rest", runs=11)
    with pytest.raises(OptionError, match="50 runs for 12 players; expected 132 or more"):
        explainer.explain(pictures(1), "channelshapley", utility="rest", runs=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explanation = explainer.explain(pictures(1), "channelshapley", utility="rest", runs=200)
    assert "the channels' values are sampled" in explanation.notes[0][0]
