"""Options of the estimators that no method depends on are said to be without effect; the table says which depend."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from helpers.table_rows import OF_EVERY_MODEL
from shapleycam import METHODS, Explainer
from shapleycam.errors import OptionNotUsedWarning

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


@pytest.fixture
def explainer():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 11, 4, 4), nn.Tanh(), nn.Conv2d(11, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)
    return Explainer(nn.Sequential(*layers).eval(), layer="0")


@pytest.fixture(scope="module")
def images():
    return torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))


def messages_of(explainer, images, methods, **options):
    """Return the values of the first method, and the messages of options that are not used."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OptionNotUsedWarning)
        comparison = explainer.compare(images, methods, **options)
    said = [str(warning.message) for warning in caught if warning.category is OptionNotUsedWarning]
    return next(iter(comparison.values())).values, said


@pytest.mark.parametrize("method", OF_EVERY_MODEL)
@pytest.mark.parametrize(("option", "other"), [("nodes", 2), ("tolerance", 0.5)])
def test_it_is_said_of_the_methods_whose_values_are_the_same(explainer, images, method, option, other):
    is_used = option in METHODS[method].basis.options
    values, said = messages_of(explainer, images, [method], players=(2, 2), **{option: other})
    assert len(said) == (not is_used)
    assert all(message.startswith(f"{option}= is not used by {method}: the values are the same ") for message in said)
    assert not messages_of(explainer, images, [method], players=(2, 2), **{option: other})[1]  # once an explainer
    usual, of_default = messages_of(explainer, images, [method], players=(2, 2))
    assert is_used or torch.equal(values, usual)
    assert not of_default


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if "nodes" in row.basis.options])
def test_values_along_a_path_depend_on_the_nodes(explainer, images, method):
    values = [explainer.explain(images, method, nodes=nodes).values for nodes in (2, 8)]
    assert not torch.equal(*values)


@pytest.mark.parametrize(
    "method", [name for name, row in METHODS.items() if "tolerance" in row.basis.options and name != "owen"]
)
def test_values_that_are_sampled_depend_on_the_tolerance(images, method):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 11, 4, 4), nn.Tanh(), nn.Flatten(), nn.Linear(275, 6), nn.Tanh(), nn.Linear(6, 3)
    )
    for weights in model.parameters():
        weights.data *= 5
    hard = Explainer(model, layer="0")
    values = [hard.explain(images, method, tolerance=tolerance).values for tolerance in (0.5, 0.05)]
    assert not torch.equal(*values)


def test_nothing_is_said_where_one_of_them_depends_on_it(explainer, images):
    assert not messages_of(explainer, images, ["gradcam", "pathcam-h"], nodes=2)[1]


def test_both_are_said(explainer, images):
    _, said = messages_of(explainer, images, ["gradcam", "hirescam"], nodes="auto", tolerance=0.1)
    assert [message.split(" is not used by gradcam, hirescam: ")[0] for message in said] == ["nodes=", "tolerance="]


def test_the_table_names_options_that_there_are():
    assert {name for row in METHODS.values() for name in row.basis.options} == {"nodes", "tolerance"}
