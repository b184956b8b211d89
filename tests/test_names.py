"""Names are accepted in any spelling; the table's name is stored and shown."""

from __future__ import annotations

import pickle
import re
from itertools import product

import pytest
import torch
from torch import nn

from helpers.networks import Toy
from helpers.random_explanations import explanation_of_noise
from shapleycam import METHODS, Explainer
from shapleycam.cams.missing_methods import MISSING_METHODS
from shapleycam.cams.table import expand_methods, method_of
from shapleycam.errors import LayerError, ModelError, OptionError
from shapleycam.experiments import Protocol
from shapleycam.explaining.fusing import check_fusion
from shapleycam.explanations.comparison import Comparison
from shapleycam.layers import parse_layer_rule
from shapleycam.metrics import METRICS
from shapleycam.metrics.table import expand_metrics, metric_of
from shapleycam.models.checkpoint import read_checkpoint
from shapleycam.names import canonical_name, normalize_name
from shapleycam.smoothing.table import SMOOTHINGS
from shapleycam.urls import url_of
from shapleycam.utilities import UTILITIES, resolve_utility

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def spellings(name: str) -> list[str]:
    parts = name.replace("_", "-").split("-")
    joined = [between.join(parts) for between in ("-", "_", " ", "")]
    return [form(text) for text, form in product(joined, (str.lower, str.upper, str.title))]


@pytest.mark.parametrize(
    ("table", "of"),
    [(METHODS, method_of), (UTILITIES, resolve_utility), (METRICS, metric_of)],
    ids=["methods", "utilities", "metrics"],
)
def test_every_name_of_a_table_in_every_spelling(table, of):
    assert len({normalize_name(name) for name in table}) == len(table)
    for name in table:
        assert {of(spelling).name for spelling in spellings(name)} == {name}


PAPERS = {
    "Grad-CAM": "gradcam",
    "GradCAM": "gradcam",
    "Grad CAM": "gradcam",
    "GRAD_CAM": "gradcam",
    "Grad\u2011CAM": "gradcam",
    "HiResCAM": "hirescam",
    "HiRes-CAM": "hirescam",
    "XGradCAM": "xgradcam",
    "XGrad-CAM": "xgradcam",
    "LayerCAM": "layercam",
    "Layer-CAM": "layercam",
    "GradCAM++": "gradcam++",
    "Grad-CAM++": "gradcam++",
    "GradCAMPlusPlus": "gradcam++",
    "GradCAMpp": "gradcam++",
    "GradCAM-E": "gradcam-e",
    "GradCAMElementWise": "gradcam-e",
    "ShapleyCAM": "shapleycam",
    "Shapley-CAM": "shapleycam",
    "ShapleyCAM-H": "shapleycam-h",
    "Shapley-CAM-E": "shapleycam-e",
    "RandomCAM": "randomcam",
    "Sampled Shapley": "sampledshapley",
}


@pytest.mark.parametrize("name", PAPERS)
def test_names_as_papers_and_libraries_write_them(name):
    assert method_of(name).name == PAPERS[name]


def test_sets_too():
    assert expand_methods(["Paper"]) == expand_methods(["paper"])
    assert expand_methods(["GradCAM", "gradcam", "Grad-CAM"]) == ["gradcam"]
    assert expand_metrics(["PAPER"]) == expand_metrics(["paper"])


def test_metrics_by_their_titles():
    assert expand_metrics(["AD", "Coh", "Com", "ADCC", "average drop"]) == [
        *("average_drop", "coherency", "complexity", "adcc")
    ]


def test_refinecam_is_an_option_of_gradcam():
    with pytest.raises(OptionError, match="it is the product of the maps of several layers: choose 'gradcam' at"):
        method_of("Refine-CAM")


@pytest.mark.parametrize("name", ["GroupCAM", "Zoom-CAM"])
def test_methods_of_the_field_that_are_not_here(name):
    with pytest.raises(OptionError) as caught:
        method_of(name)
    assert str(caught.value).startswith(f"method {name!r} is not among the methods here; expected one of gradcam, ")


@pytest.mark.parametrize("name", [name for name, remedy in MISSING_METHODS.items() if remedy])
def test_what_gives_a_method_of_the_field_is_said_and_is_there(name):
    with pytest.raises(OptionError) as caught:
        method_of(name)
    message = str(caught.value)
    assert message == f"method {name!r} is not among the methods here; {MISSING_METHODS[name]}"
    quoted = set(re.findall(r"'([^']+)'", MISSING_METHODS[name]))
    assert quoted <= {*METHODS, *SMOOTHINGS, "input", "product"}
    assert name not in METHODS


def test_unknown_ones_have_near_names_in_any_case():
    with pytest.raises(OptionError, match=r"method 'ShapleyCAN' is unknown; did you mean 'shapleycam'"):
        method_of("ShapleyCAN")
    with pytest.raises(OptionError, match=r"utility 'LogitS' is unknown; did you mean 'logit'"):
        resolve_utility("LogitS")
    with pytest.raises(OptionError, match=r"metric 'Coherence' is unknown; did you mean 'coherency'"):
        metric_of("Coherence")
    with pytest.raises(OptionError, match="method '' is unknown"):
        method_of("")


def test_an_explainer_takes_them_and_names_by_the_table(images):
    torch.manual_seed(0)
    model = Toy(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)))
    explainer = Explainer(model, layer="features", utility="ReST")
    assert explainer.utility.name == "rest"
    assert explainer.explain(images, "Grad-CAM").method == "gradcam"
    (each,) = explainer.explain_each(images, [1], "HiRes CAM", utility="Log-Probability")
    assert (each.method, each.utility_name) == ("hirescam", "log_probability")
    compared = explainer.compare(images, ["GradCAM", "XGradCAM", "gradcam"])
    assert list(compared) == ["gradcam", "xgradcam"]
    assert compared["GradCAM"] is compared["gradcam"]
    fused = Explainer(model, layer=["features", "features"], fuse="Mean").explain(images, "GradCAM")
    assert fused.method == "gradcam"


class TestComparison:
    def compared(self):
        return Comparison({name: explanation_of_noise(1, method=name) for name in ("gradcam", "shapleycam-h")})

    @pytest.mark.parametrize("name", ["gradcam", "GradCAM", "Grad-CAM"])
    def test_by_any_spelling(self, name):
        compared = pickle.loads(pickle.dumps(self.compared()))  # noqa: S301
        assert compared[name].method == "gradcam"
        assert name in compared
        assert compared.get(name) is compared["gradcam"]
        assert list(compared) == ["gradcam", "shapleycam-h"]

    @pytest.mark.parametrize("name", ["XGradCAM", "ScoreCAM", "nothing", None])
    def test_what_was_not_compared(self, name):
        compared = self.compared()
        assert name not in compared
        assert compared.get(name) is None
        assert compared.get(name, 3) == 3
        with pytest.raises(KeyError) as caught:
            compared[name]
        assert caught.value.args == (f"{name!r} is not among the methods compared, which are gradcam, shapleycam-h",)


def test_a_protocol_stores_the_names_of_the_tables():
    protocol = Protocol(
        layers=("Before-Pool", "before-pool", "layer4"),
        utilities=("ReST", "rest", "Log Probability"),
        methods=("GradCAM", "gradcam"),
        metrics=("AD", "Average Drop"),
    )
    assert protocol == Protocol(
        layers=("before-pool", "layer4"),
        utilities=("rest", "log_probability"),
        methods=("gradcam",),
        metrics=("average_drop",),
    )


class TestLayerRules:
    @pytest.mark.parametrize("name", ["before-pool", "Before-Pool", "before_pool", "before pool", "BeforePool"])
    def test_in_any_spelling(self, name):
        assert parse_layer_rule(name, {"features"}) == "before-pool"

    def test_a_module_of_that_name_is_meant_itself(self):
        assert parse_layer_rule("last_conv", {"last_conv"}) is None
        assert parse_layer_rule("last-conv", {"last_conv"}) == "last-conv"
        assert parse_layer_rule("last_conv", None) is None
        assert parse_layer_rule("Last-Conv", None) == "last-conv"

    def test_a_model_with_such_a_module(self, images):
        model = nn.Sequential()
        model.add_module("before_pool", nn.Conv2d(3, 4, 1))
        model.add_module("rest", nn.Sequential(nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        assert Explainer(model, layer="before_pool").explain(images, "gradcam").layer == "before_pool"
        assert Explainer(model, layer="Before-Pool").explain(images, "gradcam").layer == "rest.0"

    def test_other_names_are_modules(self):
        with pytest.raises(LayerError, match="layer 'before' is not in the model"):
            Explainer(nn.Sequential(nn.Conv2d(3, 4, 1)), layer="before")


def test_fusions():
    assert [check_fusion(name) for name in ("Mean", "MAXIMUM", "product")] == ["mean", "maximum", "product"]
    with pytest.raises(OptionError, match=r"fuse='median' is unknown"):
        check_fusion("median")


def test_nothing_is_meant_by_what_is_no_name():
    assert canonical_name(None, METHODS) is None
    assert canonical_name(["gradcam"], METHODS) is None


class TestAddresses:
    @pytest.mark.parametrize("url", ["https://a.org/b/c.jpg", "s3://bucket/key", "hf-mirror+https://a.org/x"])
    def test_a_path_keeps_one_slash_and_it_is_given_back(self, url, tmp_path):
        assert url_of(url) == url
        assert url_of(url.replace("//", "/")) == url
        assert url_of(tmp_path / "a.jpg") is None
        assert url_of("C:/photos/a.jpg") is None

    def test_a_checkpoint(self):
        from pathlib import Path

        with pytest.raises(ModelError) as caught:
            read_checkpoint(Path("https://a.org/b.pth"))
        expected = "checkpoint https://a.org/b.pth: a URL, and URLs are not fetched; download it, and name the file"
        assert str(caught.value) == expected
