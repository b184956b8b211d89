"""`torch.set_default_device` of the user's: every tensor that this package makes says where it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import shapleycam
from helpers.small_evaluations import QUICK, RunSettings, assert_near, folder_of, run_evaluation, tiny_network
from helpers.table_rows import OF_EVERY_MODEL
from helpers.user_models import Small, pictures
from shapleycam import Explainer
from shapleycam.values import interactions, kernel, sampled_interactions

MAKERS = {
    *("zeros", "ones", "empty", "full", "eye", "arange", "linspace", "logspace", "rand", "randn", "randint"),
    *("randperm", "tensor", "as_tensor", "asarray", "scalar_tensor", "triu_indices", "tril_indices"),
}
"""PyTorch's functions that make a tensor on the default device."""
PACKAGE = Path(shapleycam.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def unnamed_devices(code: str) -> list[int]:
    """Return the lines that make a tensor and do not say where."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func).removeprefix("torch.") in MAKERS
        and ast.unparse(call.func).startswith("torch.")
        and "device" not in {keyword.arg for keyword in call.keywords}
    ]


def test_every_tensor_is_made_on_a_named_device():
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    lines = {path: unnamed_devices(path.read_text(encoding="utf-8")) for path in files}
    assert {str(path): numbers for path, numbers in lines.items() if numbers} == {}


def test_the_check_itself():
    assert unnamed_devices("import torch\ntorch.zeros(3)\ntorch.zeros(3, device='cpu')\nx.new_zeros(3)") == [2]


@pytest.mark.parametrize("method", OF_EVERY_MODEL)
def test_methods(method):
    explainer, images = Explainer(Small(), layer="body"), pictures()
    expected = explainer.explain(images, method, players=(2, 2)).values
    with torch.device("meta"):
        actual = explainer.explain(images, method, players=(2, 2)).values
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("estimator", [kernel, interactions, sampled_interactions])
def test_estimators(estimator):
    explainer, images = Explainer(Small(), layer="body"), pictures(1)
    with torch.device("meta"):
        result = estimator(explainer.game(images, players=(2, 3)))
    assert not getattr(result, "values", getattr(result, "pairs", None)).is_meta


@pytest.mark.parametrize("workers", [0, 1])
def test_an_evaluation(tmp_path, workers):
    photos = folder_of(tmp_path / "photos", 5)
    expected = run_evaluation(photos, tmp_path / "without").rows()
    network = tiny_network()
    with torch.device("meta"):
        store = run_evaluation(photos, tmp_path / "with", network, QUICK, settings=RunSettings(workers=workers))
    assert_near(store.rows(), expected, 0)
