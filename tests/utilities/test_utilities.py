"""Utilities by hand: three classes whose softmax is 1/2, 1/4, 1/4, and larger numbers where a naive formula breaks."""

from __future__ import annotations

from functools import partial
from math import exp, log

import pytest
import torch

from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities import UTILITIES, Utility, as_logits, resolve_utility

LOGITS = torch.tensor([[1 + log(2), 1.0, 1.0], [3.0, 3 + log(2), 3.0]])  # probabilities 1/2, 1/4, 1/4 and 1/4, 1/2, 1/4
TARGET = torch.tensor([0, 2])

BY_HAND = {
    "value": [1 + log(2), 3],
    "log_odds": [0, log(1 / 3)],
    "sigmoid_probability": [1 / (1 + exp(-1 - log(2))), 1 / (1 + exp(-3))],
    "sigmoid_log_probability": [-log(1 + exp(-1 - log(2))), -log(1 + exp(-3))],
    "sigmoid_rest": [1 + log(2) - log(1 + exp(-1 - log(2))), 3 - log(1 + exp(-3))],
    "logit": [1 + log(2), 3],
    "probability": [1 / 2, 1 / 4],
    "log_probability": [-log(2), -log(4)],
    "rest": [1 + log(2) - log(2), 3 - log(4)],
}


def test_every_utility_is_worked_out_by_hand():
    assert BY_HAND.keys() == UTILITIES.keys()


@pytest.mark.parametrize("name", UTILITIES)
def test_gives_the_value_worked_out_by_hand(name):
    actual = resolve_utility(name)(LOGITS, TARGET)
    assert actual.tolist() == pytest.approx(BY_HAND[name], abs=1e-6)


def test_rest_is_twice_the_logit_less_the_logarithm_of_the_sum_of_exponentials():
    z = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 6, 3, 3, 1])
    expected = [
        2 * row[c] - log(sum(2.718281828459045**value for value in row)) for row, c in zip(z, target, strict=True)
    ]
    assert UTILITIES["rest"](z, target).tolist() == pytest.approx([float(value) for value in expected])


@pytest.mark.parametrize(("name", "expected"), [("log_probability", -1000), ("rest", -2000), ("probability", 0)])
def test_large_logits_neither_overflow_nor_vanish(name, expected):
    z = torch.tensor([[-1000.0, 0.0, -5000.0]])
    assert UTILITIES[name](z, torch.tensor([0])).tolist() == [expected]


S = 1 / (1 + exp(-1 - log(2)))  # σ(z_c) of the first image
GRADIENTS = {  # by z, of class 0 at probabilities 1/2, 1/4, 1/4; e is the unit vector, p the probabilities
    "logit": [1, 0, 0],
    "probability": [1 / 4, -1 / 8, -1 / 8],  # p_c (e - p)
    "log_probability": [1 / 2, -1 / 4, -1 / 4],  # e - p
    "rest": [3 / 2, -1 / 4, -1 / 4],  # 2 e - p
    "value": [1, 0, 0],
    "log_odds": [1, -1 / 2, -1 / 2],  # e, less the probabilities among the others
    "sigmoid_probability": [S * (1 - S), 0, 0],
    "sigmoid_log_probability": [1 - S, 0, 0],
    "sigmoid_rest": [2 - S, 0, 0],
}


@pytest.mark.parametrize("name", UTILITIES)
def test_the_gradient_is_the_one_worked_out_by_hand(name):
    z = LOGITS[:1].clone().requires_grad_()
    (actual,) = torch.autograd.grad(UTILITIES[name](z, TARGET[:1]).sum(), z)
    assert actual[0].tolist() == pytest.approx(GRADIENTS[name], abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", UTILITIES)
def test_half_precision_is_worked_out_in_single(name, dtype):
    z = torch.tensor([[4.0, 1.5, -2.0]])
    actual = UTILITIES[name](z.to(dtype), TARGET[:1])
    assert actual.dtype == torch.float32
    assert torch.equal(actual, UTILITIES[name](z, TARGET[:1]))


def test_double_precision_stays_double():
    assert UTILITIES["rest"](LOGITS.double(), TARGET).dtype == torch.float64


ONE_LOGIT = {  # z = log 3: yes has probability 3/4, no 1/4; in the order no, yes
    "logit": [-log(3), log(3)],
    "probability": [1 / 4, 3 / 4],
    "log_probability": [log(1 / 4), log(3 / 4)],
    "rest": [-log(3) + log(1 / 4), log(3) + log(3 / 4)],
    "log_odds": [-log(3), log(3)],
    "sigmoid_probability": [1 / 4, 3 / 4],
    "sigmoid_log_probability": [log(1 / 4), log(3 / 4)],
    "sigmoid_rest": [-log(3) + log(1 / 4), log(3) + log(3 / 4)],
    "value": [log(3)],  # a regression: the number itself, and no second one
}


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize("name", UTILITIES)
def test_one_logit_is_that_of_yes_against_no(name, shape):
    z = torch.full(shape, log(3))
    actual = [float(UTILITIES[name](z, torch.tensor([target]))) for target in range(len(ONE_LOGIT[name]))]
    assert actual == pytest.approx(ONE_LOGIT[name], abs=1e-6)
    assert len(actual) == 1 + UTILITIES[name].predicts


def test_images_do_not_mix():
    for utility in UTILITIES.values():
        assert torch.equal(utility(LOGITS, TARGET)[1:], utility(LOGITS[1:], TARGET[1:]))


# What a user may choose


def margin(output, target):
    return output[:, 0] - output[:, 1] + 0 * target


def test_a_function_is_a_utility_under_its_own_name():
    chosen = resolve_utility(margin)
    assert chosen.name == "margin"
    assert chosen(LOGITS, TARGET).tolist() == pytest.approx([log(2), -log(2)], abs=1e-6)


def test_a_callable_without_a_name_is_called_after_its_kind():
    assert resolve_utility(partial(margin)).name == "partial"


def test_a_utility_is_taken_as_it_is():
    mine = Utility("mine", margin, "z_0 - z_1", "the first against the second")
    assert resolve_utility(mine) is mine


@pytest.mark.parametrize(
    ("choice", "help_"),
    [("logits", "did you mean 'logit'"), ("xyz", "known are rest, logit, log_probability, probability, log_odds")],
)
def test_of_an_unknown_name_the_nearest_are_told(choice, help_):
    with pytest.raises(OptionError, match=f"utility '{choice}' is unknown; {help_}"):
        resolve_utility(choice)


def test_what_is_neither_a_name_nor_callable_is_refused():
    with pytest.raises(OptionError, match=r"utility 5 is a int; expected a name or a callable \(output, target\)"):
        resolve_utility(5)


@pytest.mark.parametrize(
    ("function", "actual"),
    [
        (lambda z, _: z, r"shape \(2, 3\)"),
        (lambda z, _: z.sum(), r"shape \(\)"),
        (lambda z, c: z.gather(1, c[:, None]), r"shape \(2, 1\)"),
        (lambda z, _: float(z.sum()), "float"),
        (lambda _z, _c: None, "NoneType"),
    ],
)
def test_what_is_not_one_number_an_image_is_refused(function, actual):
    with pytest.raises(
        OptionError, match=rf"utility '<lambda>' returned {actual}; expected a tensor \(2,\), one per im"
    ):
        resolve_utility(function)(LOGITS, TARGET)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 4)])
def test_an_output_without_classes_is_refused_with_what_can_be_asked_of_it(shape):
    with pytest.raises(TargetError) as refused:
        as_logits(torch.zeros(shape))
    message = str(refused.value)
    assert message.startswith(f"the model's output has shape {shape}; expected logits (b, classes): choose them with")
    assert "inside(mask)" in message


def test_logits_are_accepted_as_they_are():
    assert as_logits(LOGITS) is LOGITS
