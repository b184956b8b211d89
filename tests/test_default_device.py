"""The user's default device and format of numbers: every tensor that this package makes says where it is, and which."""

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
MAKERS_OF_FLOATS = {"zeros", "ones", "empty", "eye", "linspace", "logspace", "rand", "randn"}
"""Those whose numbers have the default format, whatever the arguments."""
PACKAGE = Path(shapleycam.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def unnamed(code: str, makers: set[str], keyword: str) -> list[int]:
    """Return the lines that make a tensor without a keyword."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func).removeprefix("torch.") in makers
        and ast.unparse(call.func).startswith("torch.")
        and keyword not in {each.arg for each in call.keywords}
    ]


@pytest.mark.parametrize(("makers", "keyword"), [(MAKERS, "device"), (MAKERS_OF_FLOATS, "dtype")])
def test_every_tensor_is_made_on_a_named_device_and_in_a_named_format(makers, keyword):
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    lines = {path: unnamed(path.read_text(encoding="utf-8"), makers, keyword) for path in files}
    assert {str(path): numbers for path, numbers in lines.items() if numbers} == {}


def test_the_check_itself():
    code = "import torch\ntorch.zeros(3)\ntorch.zeros(3, device='cpu')\nx.new_zeros(3)"
    assert unnamed(code, MAKERS, "device") == [2]
    assert unnamed(code, MAKERS_OF_FLOATS, "dtype") == [2, 3]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("method", ["sampledshapley", "banzhaf", "randomcam", "smoothgradcam++", "rise"])
def test_the_default_format_of_numbers_has_no_effect(method, dtype):
    """Draws would be others, sums would have three digits, and products of two formats would fail."""
    explainer, images = Explainer(Small(), layer="body"), pictures()
    expected = explainer.explain(images, method, players=(2, 2)).values
    torch.set_default_dtype(dtype)
    try:
        actual = explainer.explain(images, method, players=(2, 2)).values
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


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
