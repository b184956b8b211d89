"""Which part of what a model returns is explained, and that the explanation is that of the part alone."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import ModelError, OptionError
from shapleycam.models.outputs import find_logits, make_selector

transformers = pytest.importorskip("transformers")
modeling_outputs = pytest.importorskip("transformers.modeling_outputs")

LOGITS, OTHER, INDICES, SCALAR = torch.rand(2, 5), torch.rand(2, 3), torch.tensor([[1], [2]]), torch.tensor(0.5)


class Named(NamedTuple):
    scores: torch.Tensor
    which: torch.Tensor


Plain = namedtuple("Plain", ["logits", "aux"])  # noqa: PYI024  # torchvision's GoogLeNetOutputs are such


@dataclass
class Result:
    scores: torch.Tensor
    extra: Any = None


@dataclass(slots=True)
class Slotted:
    scores: torch.Tensor
    extra: Any = None


class WithProperty:
    """As users write them: what is asked for is worked out."""

    def __init__(self, features: torch.Tensor, more: torch.Tensor):
        self.features, self.more = features, more

    @property
    def doubled(self) -> torch.Tensor:
        return self.features * 2


# Found


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        (LOGITS,),
        [LOGITS],
        (LOGITS, None),
        (INDICES, LOGITS),  # whole numbers are no scores
        (SCALAR, LOGITS),  # a loss is not of each image
        (LOGITS, {"aux": OTHER}, "text", 3),  # what lies deeper is not meant
        {"anything": LOGITS},
        {"logits": LOGITS, "features": OTHER},
        {"out": LOGITS, "aux": OTHER},
        {"features": OTHER, "out": OTHER, "logits": LOGITS},
        OrderedDict(out=LOGITS, aux=LOGITS + 1),
        Named(LOGITS, INDICES),
        Plain(LOGITS, OTHER),
        modeling_outputs.ImageClassifierOutput(logits=LOGITS),
        modeling_outputs.ImageClassifierOutput(loss=SCALAR, logits=LOGITS, hidden_states=(OTHER, OTHER)),
        modeling_outputs.BaseModelOutput(last_hidden_state=LOGITS, hidden_states=(OTHER,)),
        Result(LOGITS),
        Result(LOGITS, INDICES),
        SimpleNamespace(logits=LOGITS, features=OTHER),
        Slotted(LOGITS),
    ],
    ids=lambda output: type(output).__name__,
)
def test_the_only_part_that_can_be_meant_is_found(output):
    assert find_logits(output) is LOGITS
    assert make_selector(None)(output) is LOGITS


@pytest.mark.parametrize(
    ("output", "expected_message"),
    [
        ((LOGITS, OTHER), "a tuple of 2 tensors: 0 (2, 5), 1 (2, 3); say which is explained with output=0, say"),
        ([LOGITS, None, OTHER], "a list of 2 tensors: 0 (2, 5), 2 (2, 3); say which is explained with output=0, say"),
        (
            {"a": INDICES, "b": LOGITS, "c": OTHER},
            "a dict of 2 tensors: 'b' (2, 5), 'c' (2, 3); say which is explained with output='b', say",
        ),
        (Named(LOGITS, OTHER), "a Named of 2 tensors: 'scores' (2, 5), 'which' (2, 3); say which"),
        (Result(LOGITS, OTHER), "a Result of 2 tensors: 'scores' (2, 5), 'extra' (2, 3); say which"),
        (
            modeling_outputs.BaseModelOutput(last_hidden_state=LOGITS, attentions=OTHER),
            "a BaseModelOutput of 2 tensors: 'last_hidden_state' (2, 5), 'attentions' (2, 3); say which",
        ),
    ],
    ids=lambda output: type(output).__name__,
)
def test_several_parts_that_can_be_meant_are_refused_with_their_shapes_and_what_to_write(output, expected_message):
    with pytest.raises(ModelError) as refused:
        find_logits(output)
    assert str(refused.value).startswith(f"the model returns {expected_message}")
    assert str(refused.value).endswith(", say, or a function")


@pytest.mark.parametrize(
    ("output", "kind"),
    [(None, "NoneType"), ((), "tuple"), ("text", "str"), ({"boxes": INDICES}, "dict"), ([{"scores": LOGITS}], "list")],
)
def test_what_has_no_numbers_is_refused_with_what_to_write(output, kind):
    with pytest.raises(ModelError, match=f"the model returns a {kind} without a tensor of numbers; say which part of"):
        find_logits(output)


# Chosen


@pytest.mark.parametrize(
    ("choice", "output"),
    [
        ("b", {"a": OTHER, "b": LOGITS}),
        ("b", SimpleNamespace(a=OTHER, b=LOGITS)),
        ("which", Named(OTHER, LOGITS)),
        ("extra", Result(OTHER, LOGITS)),
        ("extra", Slotted(OTHER, LOGITS)),
        (
            "last_hidden_state",
            modeling_outputs.BaseModelOutput(last_hidden_state=LOGITS, attentions=OTHER),
        ),
        (1, (OTHER, LOGITS)),
        (0, [LOGITS, OTHER]),
        (1, {"a": OTHER, "b": LOGITS}),
        (1, Named(OTHER, LOGITS)),
        (1, modeling_outputs.BaseModelOutput(last_hidden_state=OTHER, attentions=LOGITS)),
        (lambda output: output["x"][0][1], {"x": [(OTHER, LOGITS)]}),
    ],
)
def test_a_part_is_chosen_by_name_position_or_function(choice, output):
    assert make_selector(choice)(output) is LOGITS


def test_what_an_object_works_out_is_chosen_by_its_name_too():
    assert torch.equal(make_selector("doubled")(WithProperty(LOGITS, OTHER)), LOGITS * 2)


@pytest.mark.parametrize(
    ("choice", "output", "expected_message"),
    [
        ("c", {"a": OTHER, "b": LOGITS}, "there are 'a', 'b'"),
        ("0", (OTHER, LOGITS), "there are 0, 1"),
        (2, (OTHER, LOGITS), "there are 0, 1"),
        (2, {"a": OTHER, "b": LOGITS}, "there are 0, 1"),
        (
            "loss",
            modeling_outputs.ImageClassifierOutput(logits=LOGITS),
            "there are 'logits'",
        ),  # None is not in it
        ("logits", LOGITS, "there are a Tensor, which has no parts"),
        ("logits", None, "there are a NoneType, which has no parts"),
    ],
)
def test_a_part_that_is_not_there_is_refused_with_those_that_are(choice, output, expected_message):
    with pytest.raises(ModelError) as refused:
        make_selector(choice)(output)
    assert str(refused.value) == f"output={choice!r} is not in what the model returns; {expected_message}"


@pytest.mark.parametrize(("choice", "kind"), [(True, "bool"), (1.5, "float"), (["a"], "list"), (b"a", "bytes")])
def test_a_choice_of_another_kind_is_refused(choice, kind):
    with pytest.raises(OptionError) as refused:
        make_selector(choice)
    assert str(refused.value) == f"output={choice!r} is a {kind}; expected a name, a position or a function"


# Explained


class Returns(nn.Module):
    """Logits, by themselves or in something, with features beside them."""

    def __init__(self, form=None):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.GELU())
        self.fc, self.side = nn.Linear(8, 5), nn.Linear(8, 3)
        self.form = form

    def forward(self, x):
        pooled = self.features(x).square().mean((2, 3))
        logits, side = self.fc(pooled), self.side(pooled)
        return logits if self.form is None else self.form(logits, side)


FORMS = {
    "tuple": (lambda z, o: (z,), None),
    "tuple of two": (lambda z, o: (o, z), 1),
    "list": (lambda z, o: [z, o], 0),
    "named tuple": (Plain, None),
    "dict": (lambda z, o: {"logits": z, "features": o}, None),
    "dict of torchvision": (lambda z, o: OrderedDict(out=z, aux=o), None),
    "dict by name": (lambda z, o: {"a": o, "b": z}, "b"),
    "output of transformers": (
        lambda z, o: modeling_outputs.ImageClassifierOutput(logits=z, hidden_states=(o,)),
        None,
    ),
    "data class": (Result, "scores"),
    "namespace": (lambda z, o: SimpleNamespace(logits=z, features=o), None),
    "function": (lambda z, o: {"deep": [o, (z,)]}, lambda output: output["deep"][1][0]),
}
METHODS = ["gradcam", "hirescam", "shapleycam", "pathcam-h", "sampledshapley"]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
def test_an_explanation_is_that_of_the_same_model_returning_the_tensor(form, images):
    make, output = FORMS[form]
    plain, packed = Explainer(Returns()), Explainer(Returns(make), output=output)
    expected, got = plain.compare(images, METHODS, target=2), packed.compare(images, METHODS, target=2)
    assert packed.layer == plain.layer == "features"
    for name in METHODS:
        assert torch.equal(got[name].output, expected[name].output)
        assert torch.allclose(got[name].values, expected[name].values, atol=1e-6), name
        assert torch.allclose(got[name].heatmap, expected[name].heatmap, atol=1e-5), name
    coalitions = torch.rand(9, 12, generator=torch.Generator().manual_seed(2)) < 0.5
    assert torch.allclose(packed.game(images, 2).value(coalitions), plain.game(images, 2).value(coalitions), atol=1e-5)
    assert torch.equal(packed.output(images), plain.output(images))


def test_another_part_is_another_question(images):
    model = Returns(lambda z, o: (z, o))
    model.side.weight.data.abs_()  # so that the map is not blank
    e = Explainer(model, output=1, utility="logit").explain(images, "hirescam", target=2)
    a = model.features(images).detach().requires_grad_()
    score = model.side(a.square().mean((2, 3)))[:, 2]
    (gradient,) = torch.autograd.grad(score.sum(), a)
    assert torch.allclose(e.values, (gradient * a).sum(1).detach(), atol=1e-6)
    assert e.output.shape == (2, 3)


def test_an_ambiguous_output_is_refused_by_the_explainer_with_what_to_write(images):
    model = Returns(lambda z, o: (z, o))
    for layer in (None, "features"):
        with pytest.raises(ModelError, match=r"a tuple of 2 tensors: 0 \(\d, 5\), 1 \(\d, 3\); say which is expl"):
            Explainer(model, layer=layer).explain(images)


def test_a_name_that_is_not_in_the_output_is_refused_by_the_explainer(images):
    explainer = Explainer(Returns(lambda z, o: {"a": z, "b": o}), layer="features", output="c")
    with pytest.raises(ModelError, match="output='c' is not in what the model returns; there are 'a', 'b'"):
        explainer.explain(images)


class Logits(nn.Module):
    """The same model returning the tensor."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).logits


def transformer() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=(16, 24),
        patch_size=4,
        num_labels=5,
    )
    return transformers.ViTForImageClassification(config)


def resnet() -> nn.Module:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", num_labels=5
    )
    return transformers.ResNetForImageClassification(config)


@pytest.mark.parametrize(("make", "shape"), [(transformer, (16, 24)), (resnet, (48, 64))])
@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")  # nothing was learned
def test_transformers_classifiers_are_explained_as_their_logits_are(make, shape):
    torch.manual_seed(0)
    model, noise = make(), torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(3))
    whole, alone = Explainer(model), Explainer(Logits(model))
    got, expected = (explainer.compare(noise, METHODS[:4], target=1) for explainer in (whole, alone))
    assert f"model.{whole.layer}" == alone.layer
    for name, e in expected.items():
        assert torch.allclose(got[name].values, e.values, atol=1e-6), name
        assert e.values.shape == (2, *((4, 6) if make is transformer else (6, 8)))
