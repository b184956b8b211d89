"""What is explained of a model that returns probabilities: its logits, worked out by hand, or log p, or nothing."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.networks import Toy
from shapleycam import Explainer, utilities
from shapleycam.errors import ModelError, OptionError, ProbabilitiesWarning, SaturatedDerivativeWarning, TargetError
from shapleycam.tracing.nonlinearities import NonlinearityRecorder

Z = [[1.0, 3.0, 2.0], [0.5, -1.0, 2.0]]
IMAGES = torch.tensor(Z).reshape(2, 1, 1, 3)
"""The features are the image itself, and their three numbers the logits."""
METHODS = ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley"]
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
quiet = pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")


def network_ending_in(function):
    return Toy(lambda a: function(a.flatten(1)))


def explainer_of(function, **options):
    return Explainer(network_ending_in(function), layer="features", **options)


@torch.jit.script
def scripted_softmax(z: torch.Tensor) -> torch.Tensor:
    return torch.softmax(z, 1)


@torch.jit.script
def scripted_sigmoid(z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(z)


class InForward(nn.Module):
    """A wrapper whose own forward has the softmax, of a model that is a module of it."""

    def __init__(self):
        super().__init__()
        self.inner = network_ending_in(lambda z: z)

    def forward(self, x):
        return {"scores": F.softmax(self.inner(x), dim=-1)}


SOFTMAX = {
    "method": lambda z: z.softmax(1),
    "function": lambda z: F.softmax(z, dim=-1),
    "torch": lambda z: torch.softmax(z, 1),
    "special": lambda z: torch.special.softmax(z, 1),
    "module": nn.Softmax(1),
    "dimension left to PyTorch": pytest.param(
        nn.Softmax(), marks=pytest.mark.filterwarnings("ignore:Implicit dimension")
    ),
    "views": lambda z: z.softmax(1)[:, :, None].squeeze(-1).view(-1, 3),
    "copies": lambda z: z.softmax(1).clone().double().float(),
    "transposed": lambda z: z.T.softmax(0).T,
    "contiguous": lambda z: z.T.softmax(0).T.contiguous(),
    "exp of log": lambda z: z.log_softmax(1).exp(),
}
LOG = {
    "method": lambda z: z.log_softmax(1),
    "module": nn.LogSoftmax(1),
    "log of softmax": lambda z: z.softmax(1).log(),
}
SIGMOID = {
    "method": torch.Tensor.sigmoid,
    "module": nn.Sigmoid(),
    "special": torch.special.expit,
    "in place": lambda z: z.clone().sigmoid_(),
    "scripted": scripted_sigmoid,
    "by hand": lambda z: 1 / (1 + (-z).exp()),
    "reciprocal by hand": lambda z: (1 + (-z).exp()).reciprocal(),
    "by tanh": lambda z: (1 + (z / 2).tanh()) / 2,
    "by tanh, spread": lambda z: 0.5 + 0.5 * (z / 2).tanh(),
    "bounded": lambda z: z.sigmoid().clamp(1e-6, 1 - 1e-6),
}


def cases(table):
    return [value if hasattr(value, "marks") else pytest.param(value, id=name) for name, value in table.items()]


@quiet
@pytest.mark.parametrize("function", [*cases(SOFTMAX), *cases(LOG), *cases(SIGMOID)])
def test_what_enters_the_last_activation_is_explained(function):
    plain, ends = explainer_of(lambda z: z), explainer_of(function)
    expected, explained = plain.compare(IMAGES, METHODS), ends.compare(IMAGES, METHODS)
    for name in METHODS:
        assert explained[name].target.tolist() == [1, 2]
        torch.testing.assert_close(explained[name].values, expected[name].values, atol=1e-5, rtol=1e-4)
    log_p = [3 - log(exp(1) + exp(3) + exp(2)), 2 - log(exp(0.5) + exp(-1) + exp(2))]
    assert explained["hirescam"].utility.tolist() == pytest.approx([3 + log_p[0], 2 + log_p[1]], rel=1e-4)


@quiet
@pytest.mark.parametrize("function", cases(SOFTMAX | LOG))
def test_the_probabilities_shown_are_those_of_the_softmax(function):
    e = explainer_of(function).explain(IMAGES)
    assert e.probabilities(0).tolist() == pytest.approx([exp(z) / (exp(1) + exp(3) + exp(2)) for z in Z[0]])


@quiet
@pytest.mark.parametrize("function", cases(SIGMOID))
def test_the_probabilities_shown_are_those_of_the_sigmoids(function):
    e = explainer_of(function).explain(IMAGES)
    assert e.probabilities(0).tolist() == pytest.approx([1 / (1 + exp(-z)) for z in Z[0]], rel=1e-5)


def test_it_is_said_once_and_kept_with_the_explanation(tmp_path):
    explainer = explainer_of(lambda z: z.softmax(1))
    text = "the model ends in a softmax: what enters it is explained as the logits; the probabilities shown are"
    with pytest.warns(ProbabilitiesWarning, match=text) as warned:
        actual = [explainer.explain(IMAGES, method) for method in ("shapleycam", "gradcam")]
    e = actual[0]
    assert len(warned) == 1
    assert e.remark == str(warned[0].message)
    assert e.form == "probabilities"
    loaded = type(e).load(e.save(tmp_path / "saved.npz"))
    assert (loaded.remark, loaded.form) == (e.remark, e.form)
    torch.testing.assert_close(loaded.probabilities(1), e.probabilities(1))


@quiet
def test_a_softmax_inside_a_wrapper_is_known_too():
    e = Explainer(InForward(), layer="inner.features").explain(IMAGES)
    assert e.target.tolist() == [1, 2]
    torch.testing.assert_close(e.values, explainer_of(lambda z: z).explain(IMAGES).values)


# A single probability

ONE_LOGIT = [[-3.0], [0.7]]


@quiet
@pytest.mark.parametrize(
    "function",
    [
        torch.sigmoid,
        lambda z: z.sigmoid().squeeze(1),
        lambda z: z.sigmoid().squeeze(),
        lambda z: torch.cat([torch.zeros_like(z), z], 1).softmax(1)[:, 1],
        lambda z: torch.cat([z, torch.zeros_like(z)], 1).softmax(1)[:, :1],
        lambda z: F.log_softmax(torch.cat([torch.zeros_like(z), z], 1), 1)[:, 1].exp(),
        scripted_sigmoid,
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_one_probability_is_that_of_yes(function, count):
    images = torch.tensor(ONE_LOGIT)[:count].reshape(count, 1, 1, 1).expand(count, 1, 1, 2) / 2
    explainer = explainer_of(lambda a: function(a.sum(1, keepdim=True)), labels=("no", "yes"))
    actual = explainer.compare(images.contiguous(), METHODS)
    e = actual["hirescam"]
    assert [e.label(index) for index in range(count)] == ["no", "yes"][:count]
    p = 1 / (1 + exp(3))
    assert e.probabilities(0).tolist() == pytest.approx([1 - p, p], rel=1e-5)
    assert float(e.utility[0]) == pytest.approx(3 + log(1 - p), rel=1e-5)
    for explanation in actual.values():
        torch.testing.assert_close(explanation.values[:, 0, 0], explanation.values[:, 0, 1])


def test_one_class_of_several_is_explained_by_its_log_odds():
    with pytest.warns(ProbabilitiesWarning, match="ends in a softmax"):
        e = explainer_of(lambda z: z.softmax(1)[:, 1], utility="logit").explain(IMAGES, "hirescam", target=1)
    assert e.utility.tolist() == pytest.approx([3 - log(exp(1) + exp(2)), -1 - log(exp(0.5) + exp(2))])


def test_a_part_of_a_softmax_is_refused():
    with pytest.raises(ModelError, match=r"the model's output of shape \(2, 2\) is a part of what a softmax returns"):
        explainer_of(lambda z: z.softmax(1)[:, :2]).explain(IMAGES)


def test_a_softmax_over_the_images_is_refused():
    with pytest.raises(ModelError, match=r"the model ends in a softmax over dimension 0 of \(1, 3\), the images"):
        explainer_of(lambda z: z.softmax(0)).explain(IMAGES[:1], "shapleycam")


@pytest.mark.parametrize(
    ("function", "total"),
    [
        (lambda z: 100 * z.softmax(1), 100),
        (lambda z: torch.cat([z[:, :2].softmax(1), z.softmax(1)], 1), 2),
        (lambda z: z.softmax(1) * 3, 3),
    ],
)
def test_percentages_and_groups_of_classes_are_refused(function, total):
    with pytest.raises(ModelError, match=f"is positive and sums to {total} in each row, whatever the input"):
        explainer_of(function).explain(IMAGES)


# Only probabilities

LOST = {
    "mean of two": lambda z: (z.softmax(1) + (2 * z).softmax(1)) / 2,
    "by hand": lambda z: z.exp() / z.exp().sum(1, keepdim=True),
    "scripted": scripted_softmax,
    "yes and no": lambda z: torch.stack([1 - z.sigmoid()[:, 1], z.sigmoid()[:, 1]], 1),
    "bounded": lambda z: z.softmax(1).clamp(1e-7, 1),
}
LOST_LOG = {
    "log of a mean": lambda z: ((z.softmax(1) + (2 * z).softmax(1)) / 2).log(),
    "by hand": lambda z: z - z.logsumexp(1, keepdim=True),
}


@pytest.mark.parametrize("utility", ["rest", "logit", "sigmoid_rest", utilities.any_of([0], "logit")])
@pytest.mark.parametrize("function", cases(LOST | LOST_LOG))
def test_where_logits_cannot_be_had_what_needs_them_is_refused(function, utility):
    with pytest.raises(
        OptionError, match=r"needs logits, and the model returns .*, whose logits cannot be had|exclude"
    ):
        explainer_of(function).explain(IMAGES, utility=utility)


@quiet
@pytest.mark.parametrize("function", [*cases(LOST), *cases(LOST_LOG)])
def test_where_only_probabilities_can_be_had_their_logarithm_is_explained(function):
    leaf = IMAGES.clone().requires_grad_()
    model_output = function(leaf.flatten(1))
    p = model_output.exp() if bool((model_output < 0).any()) else model_output
    explainer = explainer_of(function)
    for utility, value in {
        "log_probability": p[:, 1].log(),
        "probability": p[:, 1],
        "log_odds": p[:, 1].log() - (1 - p[:, 1]).log(),
        utilities.contrast(0): p[:, 1].log() - p[:, 0].log(),
    }.items():
        e = explainer.explain(IMAGES, "hirescam", target=1, utility=utility)
        (gradient,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
        torch.testing.assert_close(e.utility, value.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(e.values, (gradient * leaf)[:, 0].detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(e.probabilities(0), p[0].detach(), rtol=1e-5, atol=1e-6)


@quiet
def test_a_class_of_probability_0_leaves_the_others_explained_and_is_refused_itself():
    function = lambda z: torch.cat([z.softmax(1), torch.zeros(len(z), 1)], 1) * 1  # noqa: E731
    explainer = explainer_of(function, utility="log_odds")
    e = explainer.explain(IMAGES, "shapleycam-h", target=1)
    assert torch.isfinite(e.values).all()
    assert e.utility.tolist() == pytest.approx([3 - log(exp(1) + exp(2)), -1 - log(exp(0.5) + exp(2))], rel=1e-4)
    with pytest.raises(TargetError, match=r"class 3 \(class 3\) is left out by the model in image 0"):
        explainer.explain(IMAGES, target=3)


@pytest.mark.parametrize("z", [40.0, 17.0])
def test_a_saturated_sigmoid_that_must_be_inverted_is_refused(z):
    with pytest.raises(ModelError, match=r"ends in a sigmoid that is saturated \(it gives (1|0\.9999999\d*)\)"):
        explainer_of(lambda a: scripted_sigmoid(a.sum(1, keepdim=True))).explain(torch.full((1, 1, 1, 2), z / 2))


def test_a_saturated_sigmoid_is_no_matter_where_its_input_is_at_hand():
    with pytest.warns(ProbabilitiesWarning):
        e = explainer_of(lambda a: torch.sigmoid(a.sum(1, keepdim=True)), utility="logit").explain(
            torch.full((1, 1, 1, 2), 20.0), "hirescam"
        )
    assert e.values.flatten().tolist() == [20, 20]


# What is not taken for probabilities


@pytest.mark.parametrize(
    ("function", "image"),
    [
        (lambda z: torch.stack([z[:, 0], z[:, 1]], 1), [0.25, 0.75, 0.0]),  # they sum to 1 for this image only
        (lambda z: torch.stack([z[:, 0], z[:, 1] * 0], 1), [1.0, 0.0, 0.0]),
        (lambda z: torch.stack([z[:, 0] - 200, z[:, 1] * 0], 1), [4.0, 3.0, 0.0]),  # logsumexp is 0, to rounding
        (F.relu, [0.5, 0.5, 0.0]),
        (lambda z: F.relu(z) * 2, [0.5, 0.25, 0.25]),
        (lambda z: z.tanh() + 1, [0.5, 3.0, 0.25]),
        (lambda z: z.sigmoid() * z, [1.0, 0.5, 2.0]),  # a gate
    ],
)
def test_logits_that_look_like_probabilities_are_logits(function, image):
    images = torch.tensor(image).reshape(1, 1, 1, 3)
    e = explainer_of(function, utility="logit").explain(images, "hirescam", target=0)
    assert (e.form, e.remark) == ("logits", None)
    assert float(e.utility[0]) == pytest.approx(float(function(torch.tensor([image]))[0, 0]))


def test_a_result_that_was_written_into_is_no_softmax_any_more():
    def halved(z):
        p = z.softmax(1)
        p[:, 0] = p[:, 0] / 2
        return p

    with NonlinearityRecorder() as recorder:
        assert recorder.call_of(halved(torch.tensor(Z))) is None


def test_what_enters_is_not_kept_alive_with_what_is_not_the_output():
    with NonlinearityRecorder() as recorder:
        attention = torch.rand(1, 2, 5, 5).softmax(-1)
        assert recorder.call_of(attention) is None
        gate = torch.rand(1, 4).sigmoid()
        assert recorder.call_of(gate) is not None
        del gate
        assert recorder.call_of(torch.rand(1, 4).sigmoid()) is not None
        assert len(recorder._calls) == 1


# Beside each other


@pytest.mark.parametrize(
    "form",
    [
        lambda p, z: (p, z),
        lambda p, z: (z, p),
        lambda p, z: [p, None, z],
        lambda p, z: {"prediction": p, "scores": z},
        lambda p, z: {"logits": z, "p": p},
    ],
)
@pytest.mark.parametrize(
    "activation", [lambda z: z.softmax(1), torch.sigmoid, lambda z: z.log_softmax(1), scripted_softmax]
)
def test_of_probabilities_and_logits_the_logits_are_chosen(form, activation):
    e = explainer_of(lambda z: form(activation(z), z)).explain(IMAGES, "hirescam")
    assert e.output.tolist() == Z
    p = torch.sigmoid(torch.tensor(Z[0])) if activation is torch.sigmoid else torch.tensor(Z[0]).softmax(0)
    torch.testing.assert_close(e.probabilities(0), p)


# The model's own output


def test_functions_numbers_and_embeddings_get_the_models_own_output():
    model_output = torch.tensor(Z).softmax(1)
    explainer = explainer_of(lambda z: z.softmax(1))
    seen = []

    def function(output, target):
        seen.append(output.detach())
        return output[:, 0] + 0 * target

    e = explainer.explain(IMAGES, "hirescam", utility=function)
    torch.testing.assert_close(seen[0], model_output)
    assert e.target.tolist() == [1, 2]
    torch.testing.assert_close(
        explainer.explain(IMAGES, "hirescam", utility="value", target=2).utility, model_output[:, 2]
    )
    with pytest.warns(SaturatedDerivativeWarning):  # nothing is more alike than the same: the derivative is zero
        alike = explainer.explain(IMAGES, "hirescam", utility=utilities.similarity(model_output))
    torch.testing.assert_close(alike.utility, torch.ones(2))
    torch.testing.assert_close(explainer.output(IMAGES), model_output)


@quiet
def test_a_segmentation_that_ends_in_a_softmax_is_asked_of_its_logits():
    z = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])
    explainer = Explainer(Toy(lambda a: a.softmax(1)), layer="features")
    for utility, value in {"logit": (1 + 0) / 2, "probability": (exp(1) / (1 + exp(1)) + 1 / (1 + exp(2))) / 2}.items():
        e = explainer.explain(z, "hirescam", target=0, utility=utilities.inside([[1, 1]], utility))
        assert float(e.utility[0]) == pytest.approx(value)


@quiet
def test_scores_are_what_a_target_is_chosen_among():
    explainer = explainer_of(torch.sigmoid, utility="logit")
    torch.testing.assert_close(explainer.scores(IMAGES), torch.tensor(Z), atol=1e-5, rtol=1e-5)
    binary = explainer_of(lambda a: scripted_sigmoid(a.sum(1, keepdim=True)))
    assert binary.scores(-IMAGES[:1]).argmax(1).tolist() == [0]
