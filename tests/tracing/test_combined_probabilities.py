"""Outputs that are combined of softmaxes and sigmoids: p by hand, its log-odds as logits; or refused."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch.nn import functional as F

from helpers.networks import Toy
from shapleycam import Explainer
from shapleycam.errors import ModelError, ProbabilitiesWarning

Z = torch.tensor([[-1.0, -3.0, -2.0], [0.5, 1.0, 2.0]])
IMAGES = Z.reshape(2, 1, 1, 3)
"""The features are the image itself, and their three numbers what the heads read."""
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")


def explainer_of(function, **options):
    return Explainer(Toy(lambda a: function(a.flatten(1))), layer="features", **options)


SINGLE = {
    "ensemble": lambda z: (z[:, :1].sigmoid() + (2 * z[:, :1]).sigmoid()) / 2,
    "ensemble, stacked": lambda z: torch.stack([z[:, 0].sigmoid(), z[:, 1].sigmoid()]).mean(0),
    "weighted": lambda z: 0.3 * z[:, 0].sigmoid() + 0.7 * z[:, 2].sigmoid(),
    "interpolated": lambda z: torch.lerp(z[:, 0].sigmoid(), z[:, 1].sigmoid(), 0.25),
    "over a map": lambda z: F.adaptive_avg_pool2d(z[:, None, None].sigmoid(), 1).flatten(1),
    "the largest": lambda z: z.sigmoid().amax(1, keepdim=True),
    "noisy or": lambda z: 1 - (1 - z.sigmoid()).prod(1),
    "no": lambda z: 1 - z[:, 0].sigmoid(),
    "smoothed": lambda z: z[:, 0].sigmoid() * 0.98 + 0.01,
    "two classes of a softmax": lambda z: z.softmax(1)[:, :2].sum(1),
    "kept within bounds": lambda z: (z[:, :1] / 10 + 0.5).clamp(0, 1),
    "probit": lambda z: (1 + torch.erf(z[:, 0])) / 2,
}
SEVERAL = {
    "ensemble": lambda z: (z.sigmoid() + (2 * z).sigmoid()) / 2,
    "crops": lambda z: torch.stack([z.sigmoid(), (z / 2).sigmoid()]).mean(0),
    "hierarchy": lambda z: z.sigmoid() * z[:, :1].sigmoid(),
    "zero added": lambda z: z.sigmoid() + 0,
}


@pytest.mark.parametrize("function", SINGLE.values(), ids=SINGLE)
def test_a_combined_probability_is_that_of_yes(function):
    leaf = IMAGES.clone().requires_grad_()
    p = function(leaf.flatten(1)).flatten()
    with pytest.warns(ProbabilitiesWarning, match="probabilities that are combined of several"):
        e = explainer_of(function, utility="logit").explain(IMAGES, "hirescam")
    assert e.target.tolist() == (p > 0.5).long().tolist()
    sign = 2 * e.target - 1  # class 0 is no, with -z
    z = sign * (p.log() - (1 - p).log())
    (gradient,) = torch.autograd.grad(z.sum(), leaf)
    torch.testing.assert_close(e.utility, z.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(e.values, (gradient * leaf)[:, 0].detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(e.probabilities(0), torch.stack([1 - p[0], p[0]]).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
@pytest.mark.parametrize("function", SEVERAL.values(), ids=SEVERAL)
def test_combined_labels_are_explained_by_their_own_log_odds(function):
    e = explainer_of(function, utility="logit").explain(IMAGES, "hirescam", target=2)
    p = function(Z)[:, 2].tolist()
    assert e.utility.tolist() == pytest.approx([log(each / (1 - each)) for each in p], rel=1e-4)
    torch.testing.assert_close(e.probabilities(1), function(Z)[1], rtol=1e-5, atol=1e-6)


LOGITS = {
    "a gate": lambda z: z[:, :1] * z[:, 1:2].sigmoid(),
    "log-odds": lambda z: z[:, :1].sigmoid().log() - (1 - z[:, :1].sigmoid()).log(),
    "log of odds": lambda z: (z[:, :1].sigmoid() / (1 - z[:, :1].sigmoid())).log(),
    "a linear layer": lambda z: z.sigmoid() @ torch.tensor([[1.0], [-1.0], [0.5]]),
    "bounded logits": lambda z: 3 * (z[:, :1] / 3).tanh(),
}


@pytest.mark.parametrize("function", LOGITS.values(), ids=LOGITS)
def test_what_reads_a_sigmoid_and_is_no_probability_is_a_logit(function):
    e = explainer_of(function, utility="logit").explain(IMAGES, "hirescam", target=1)
    assert (e.form, e.remark) == ("logits", None)
    torch.testing.assert_close(e.utility, function(Z).flatten(), rtol=1e-4, atol=1e-5)


def by_own_sum(numbers):
    return numbers / numbers.sum(1, keepdim=True)


REFUSED = {
    "a percentage": (lambda z: 100 * z[:, :1].sigmoid(), r"only number is made of results of a sigmoid and is no prob"),
    "stars": (lambda z: 1 + 4 * z[:, 0].sigmoid(), r"is no probability \(from 2\.076 to 3\.49\); expected logits"),
    "an expected age": (lambda z: (z.softmax(1) * torch.arange(30.0, 33)).sum(1), "made of results of a softmax"),
    "squares": (lambda z: z.softmax(1) ** 2, r"shape \(2, 3\) is a part of what a softmax returns"),
    "rounded": (lambda z: z.softmax(1).round(decimals=3), "the model rounds its output, and a rounded number has"),
    "rounded labels": (lambda z: (z.sigmoid() * 1000).round() / 1000, "the model rounds its output"),
    "largest first": (lambda z: z.sort(1, descending=True).values, r"columns .* of shape \(2, 3\) are sorted by"),
    "top two": (lambda z: z.softmax(-1).topk(2, -1), r"columns .* of shape \(2, 2\) are sorted by their numbers"),
    "softmax of the top two": (lambda z: z.topk(2, 1).values.softmax(1), "are sorted by their numbers"),
    "percentages": (
        lambda z: 100 * z.sigmoid(),
        r"numbers are made of results of a sigmoid and are no probabilities \(from",
    ),
    "negative labels": (lambda z: -z.sigmoid(), "numbers are made of results of a sigmoid and are no probabilities"),
    "from -1 to 1": (
        lambda z: 2 * (3 * z).softmax(1) - 1,
        "numbers are made of results of a softmax and are no probabilities",
    ),
    "by hand from -1 to 1": (
        lambda z: 2 * by_own_sum((3 * z).exp()) - 1,
        "numbers are made of results of a softmax and are no probabilities",
    ),
    "negative p": (lambda z: -z.softmax(1), "output is negative and sums to -1 in each row, whatever the input"),
    "negative p by hand": (lambda z: -z.exp() / z.exp().sum(1, keepdim=True), "is negative and sums to -1 in each row"),
    "bits": (lambda z: z.softmax(1).log2(), rf"log-probabilities times {1 / log(2):.6g}, as in bits"),
    "a temperature": (
        lambda z: z.log_softmax(1) / 4,
        r"log-probabilities times 0\.25, .* output=lambda o: o / \(0\.25\)",
    ),
    "by hand, a temperature": (lambda z: (z - z.logsumexp(1, keepdim=True)) / 4, r"log-probabilities times 0\.25"),
    "negative bits": (lambda z: -z.softmax(1).log2(), rf"log-probabilities times -{1 / log(2):.6g}"),
    "negative log p of labels": (lambda z: -F.logsigmoid(z), "is what a log-sigmoid returns, multiplied by a constant"),
    "half of log p": (lambda z: F.logsigmoid(z[:, 0]) / 2, "is what a log-sigmoid returns, multiplied by a constant"),
    "negative log p": (lambda z: -z.log_softmax(1), "the model returns negative logarithms of probabilities"),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
def test_numbers_of_which_none_is_a_class_are_refused(function, message):
    with pytest.raises(ModelError, match=message):
        explainer_of(function).explain(IMAGES)


REMEDIES = {
    "bits": lambda o: o / 1.4427,
    "a temperature": lambda o: o / 0.25,
    "negative bits": lambda o: o / -1.4427,
    "negative p": lambda o: -o,
    "from -1 to 1": lambda o: (o + 1) / 2,
}


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
@pytest.mark.parametrize(("name", "output"), REMEDIES.items(), ids=REMEDIES)
def test_what_the_message_proposes_is_explained(name, output):
    e = explainer_of(REFUSED[name][0], output=output, utility="log_probability").explain(IMAGES, "hirescam", target=1)
    scale = 3 if name == "from -1 to 1" else 1
    torch.testing.assert_close(e.utility, (scale * Z).log_softmax(1)[:, 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_log_p_of_several_groups_are_logits(count):
    """Their softmax is p of the group, divided by the number of groups: as synthetic.disconnected makes them."""
    function = lambda z: torch.cat([z.log_softmax(1), (2 * z).log_softmax(1)], 1)  # noqa: E731
    e = explainer_of(function, utility="log_probability").explain(IMAGES[:count], "hirescam", target=4)
    torch.testing.assert_close(e.utility, (2 * Z[:count]).log_softmax(1)[:, 1] - log(2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", [-20.0, 20.0])
@pytest.mark.parametrize("count", [1, 2])
def test_logits_of_one_sign_are_logits(shift, count):
    e = explainer_of(lambda z: z + shift, utility="logit").explain(IMAGES[:count], "hirescam", target=1)
    assert (e.form, e.remark) == ("logits", None)
    assert e.utility.tolist() == (Z[:count, 1] + shift).tolist()


@pytest.mark.parametrize("name", ["a percentage", "stars", "percentages", "bits", "an expected age", "largest first"])
def test_the_number_itself_may_be_asked_for(name):
    function, _ = REFUSED[name]
    e = explainer_of(function, utility="value").explain(IMAGES, "hirescam", target=0)
    torch.testing.assert_close(e.utility, function(Z).reshape(2, -1)[:, 0], rtol=1e-5, atol=1e-5)


COARSE = {
    "after": lambda z: z.softmax(1).half(),
    "before": lambda z: z.half().softmax(1).float(),
    "bfloat16": lambda z: z.softmax(1).bfloat16().float(),
    "beside the logits": lambda z: (z.softmax(1).half(), z),
}


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
@pytest.mark.parametrize("function", COARSE.values(), ids=COARSE)
def test_probabilities_in_half_precision_leave_the_logits_at_hand(function):
    e = explainer_of(function, utility="logit").explain(IMAGES, "hirescam", target=1)
    assert e.values[:, 0, 1].tolist() == [-3, 1]


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
def test_a_softmax_inside_vmap_has_no_memory_to_know_it_by():
    function = torch.vmap(lambda row: row.softmax(0))
    e = explainer_of(function, utility="log_probability").explain(IMAGES, "hirescam", target=1)
    torch.testing.assert_close(e.utility, Z.log_softmax(1)[:, 1], rtol=1e-5, atol=1e-5)
