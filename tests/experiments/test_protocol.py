"""What is measured, and how: written out, stored and compared."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from torchvision.transforms import InterpolationMode

import shapleycam
from helpers.small_evaluations import PREPROCESS
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, rules
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.plain_data import preprocess_as_data
from shapleycam.metrics import METRICS, MetricOptions

FIELD = {method.name for method in shapleycam.methods() if not method.basis.is_conditional}
FIELD -= {"exactshapley", "channelshapley", "sscam", "iscam"}
"""What `field` means before the model is known: what no model refuses, and nobody waits long for at 512 channels."""
FIELDS = set(Protocol.__dataclass_fields__) - {"reference", "removal_name"}
"""Those that manifests have: the removal stands there by its name, which says what the reference photographs are."""


class TestSets:
    def test_paper_is_the_published_methods_and_metrics(self):
        protocol = Protocol()
        assert protocol.methods == (
            *("gradcam", "hirescam", "gradcam-e", "xgradcam", "layercam", "gradcam++", "randomcam"),
            *("shapleycam", "shapleycam-h", "shapleycam-e"),
        )
        assert sorted(protocol.metrics) == sorted(
            [
                *("average_drop", "coherency", "complexity", "adcc"),
                *("increase_in_confidence", "average_drop_in_deletion"),
            ]
        )

    def test_all_is_every_row_of_the_tables(self):
        protocol = Protocol(methods=("field",), metrics=("all",), players=(4, 4))
        assert set(protocol.methods) == FIELD | {"exactshapley"}
        assert set(protocol.metrics) == set(METRICS)

    def test_all_is_what_applies_to_a_layers_grid(self):
        """A grid has more players than there are coalitions to go through, unless regions are asked for."""
        assert set(Protocol(methods=("field",)).methods) == FIELD
        assert set(Protocol(methods=("field",), players=(17, 17)).methods) == FIELD - {"sampledshapley", "owen"}
        assert Protocol(methods=("exactshapley",)).methods == ("exactshapley",)

    def test_each_once_in_the_order_asked(self):
        protocol = Protocol(methods=("shapleycam", "gradcam", "shapleycam"), metrics=("adcc", "coherency", "adcc"))
        assert protocol.methods == ("shapleycam", "gradcam")
        assert protocol.metrics == ("adcc", "coherency")

    def test_set_after_a_name_adds_the_others(self):
        protocol = Protocol(methods=("shapleycam-e", "paper"))
        assert protocol.methods[0] == "shapleycam-e"
        assert sorted(protocol.methods) == sorted(Protocol().methods)

    def test_single_names_and_lists(self):
        protocol = Protocol(layers="last-conv", utilities=["rest", "logit"], methods="gradcam", metrics=["adcc"])
        assert protocol.layers == ("last-conv",)
        assert protocol.utilities == ("rest", "logit")
        assert protocol.methods == ("gradcam",)

    def test_written_out_it_is_the_same_protocol(self):
        protocol = Protocol()
        assert replace(protocol, methods=protocol.methods, metrics=protocol.metrics) == protocol


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"methods": ("gradcan",)}, "method 'gradcan' is unknown; did you mean 'gradcam'"),
            ({"methods": ()}, "no methods were given"),
            ({"metrics": ("adc",)}, "metric 'adc' is unknown"),
            ({"metrics": ()}, "no metrics were given"),
            ({"utilities": ("ReSTT",)}, "utility 'ReSTT' is unknown"),
            ({"utilities": ()}, "no utilities were given"),
            ({"layers": ()}, "no layers were given"),
            ({"class_rule": "best"}, "class_rule is 'best'; expected one of 'prediction', 'label', 'correct'"),
            ({"objects": "all"}, "objects is 'all'; expected one of 'class', 'any'"),
        ],
    )
    def test_unknown_names(self, options, says):
        with pytest.raises(OptionError) as caught:
            Protocol(**options)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("options", [{"nodes": 0}, {"tolerance": -1.0}, {"players": (0, 0)}])
    def test_efforts_without_meaning(self, options):
        with pytest.raises(OptionError):
            Protocol(**options)

    @pytest.mark.parametrize("utilities", [len, (len,)])
    def test_functions_as_utilities(self, utilities):
        with pytest.raises(OptionError):
            Protocol(utilities=utilities)

    @pytest.mark.parametrize("name", ["layers", "utilities"])
    def test_twice_is_once(self, name):
        twice = {"layers": ("last-conv", "last-conv"), "utilities": ("rest", "rest")}[name]
        assert getattr(Protocol(**{name: twice}), name) == twice[:1]


class TestPaper:
    def test_published_choices(self):
        protocol = Protocol.paper()
        assert protocol.layers == ("before-pool", "last-conv")
        assert protocol.utilities == ("rest",)
        assert len(protocol.methods) == 10
        assert len(protocol.metrics) == 6
        assert protocol.class_rule == "prediction"
        assert protocol.options.mask_space == "normalised"
        assert protocol.options.baseline == "zero"

    def test_published_preprocessing(self):
        preprocess = Protocol.paper().preprocess
        assert preprocess.resize == 256
        assert preprocess.crop == (224, 224)
        assert preprocess.mean == (0.485, 0.456, 0.406)
        assert preprocess.std == (0.229, 0.224, 0.225)
        assert preprocess.interpolation is InterpolationMode.BILINEAR


class TestData:
    @pytest.mark.parametrize(
        "protocol",
        [
            Protocol(),
            Protocol.paper(),
            Protocol(nodes="auto", players=(2, 3), preprocess=replace(PREPROCESS, resize=(32, 40)), seed=-1),
            Protocol(options=MetricOptions(baseline="blur", percentiles=(20, 70))),
        ],
    )
    def test_survives_json(self, protocol):
        assert json.loads(json.dumps(protocol.as_data())) == protocol.as_data()

    def test_names_all_fields_and_the_scaling(self):
        """What is the same in all protocols is recorded with them, and is no option."""
        data = Protocol().as_data()
        assert {*FIELDS, "scaling", "aggregation"} == set(data)
        assert "mean over images" in data["aggregation"]
        assert "min-max" in data["scaling"]

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"layers": ("last-conv",)}, "layers was ['before-pool'], is ['last-conv']"),
            ({"class_rule": "label"}, "class_rule was 'prediction', is 'label'"),
            ({"options": MetricOptions(baseline="mean")}, "options.baseline was 'zero', is 'mean'"),
            ({"players": (2, 2)}, "players was None, is [2, 2]"),
            ({"tolerance": 0.02}, "tolerance was 0.01, is 0.02"),
        ],
    )
    def test_difference_is_named(self, change, says):
        before = Protocol()
        assert list_differences(before.as_data(), replace(before, **change).as_data()) == [says]

    def test_difference_inside_the_preprocessing(self):
        before, after = Protocol.paper(), Protocol.paper()
        after = replace(after, preprocess=replace(after.preprocess, resize=232))
        assert list_differences(before.as_data(), after.as_data()) == ["preprocess.resize was 256, is 232"]

    def test_every_field_makes_a_difference(self):
        changes = {
            "layers": ("last-conv",),
            "utilities": ("logit",),
            "methods": ("gradcam",),
            "metrics": ("adcc",),
            "preprocess": PREPROCESS,
            "class_rule": "correct",
            "objects": "any",
            "options": MetricOptions(seed=1),
            "nodes": 3,
            "tolerance": 0.1,
            "players": (3, 3),
            "seed": 1,
            "removal": "mean",
            "precision": "bfloat16",
            "smooth": ("noise",),
            "runs": 500,
        }
        assert set(changes) == FIELDS
        for name, value in changes.items():
            texts = list_differences(Protocol().as_data(), Protocol(**{name: value}).as_data())
            assert texts, name
            assert all(text.startswith(name) for text in texts)

    def test_nothing_to_tell(self):
        assert list_differences(Protocol().as_data(), json.loads(json.dumps(Protocol().as_data()))) == []

    def test_several_in_the_order_of_their_names_without_those_ignored(self):
        before, after = {"b": 1, "a": {"x": 1, "y": 2}, "c": 1}, {"b": 2, "a": {"x": 3, "y": 2}, "d": 5}
        assert list_differences(before, after, ["c"]) == ["a.x was 1, is 3", "b was 1, is 2", "d is new"]
        assert list_differences(after, before, ["c", "a", "b"]) == ["d is missing"]
        assert list_differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, ["b"]) == []

    def test_a_long_value_is_cut(self):
        (text,) = list_differences({"labels": None}, {"labels": ["a name"] * 1000})
        assert text.startswith("labels was None, is ['a name', ")
        assert text.endswith("…")
        assert len(text) < 120

    @pytest.mark.parametrize("name", ["scaling", "aggregation"])
    def test_what_is_the_same_in_all_protocols_is_no_option(self, name):
        with pytest.raises(TypeError, match=name):
            Protocol(**{name: "other"})

    def test_somebody_elses_preprocessing_says_what_it_is(self):
        from torchvision.transforms._presets import ImageClassification

        text = preprocess_as_data(ImageClassification(crop_size=224))
        assert "crop_size=[224]" in text
        assert "\n" not in text

    def test_a_function_is_the_same_in_another_process(self):
        code = "def mine(photo):\n    return photo\n"
        first, second = {"__name__": "mine"}, {"__name__": "mine"}
        exec(code, first)
        exec(code, second)
        assert preprocess_as_data(first["mine"]) == preprocess_as_data(second["mine"])


def test_what_earlier_runs_do_not_store_of_the_options_is_their_default():
    options = asdict(MetricOptions())
    stored = {name: value for name, value in options.items() if name not in rules._LATER_OPTIONS}
    assert len(stored) == len(options) - len(rules._LATER_OPTIONS)
    assert rules.complete_protocol({"options": stored})["options"] == options
    other = rules.complete_protocol({"options": {**options, "saco_groups": 5}})
    assert other["options"]["saco_groups"] == 5
