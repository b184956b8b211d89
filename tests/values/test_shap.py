"""Values with reference photographs, `removal="samples"`, against the shap package: its interventional expectations.

Skipped where shap is not installed, as it is in no extra (they pass with shap 0.51.0).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer

shap = LazyModule("shap")

TARGET, PHOTOGRAPHS = 1, 5
PIXELS = torch.arange(8).reshape(2, 4)  # each pixel a player
REGIONS = torch.tensor([[7, 0, 0, 3], [7, 3, 3, 3]])  # three players, out of order and of several sizes


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 2), nn.Tanh(), nn.Flatten(), nn.Linear(18, 4)).eval()


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 2, 2, 4, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def background():
    return torch.randn(PHOTOGRAPHS, 2, 2, 4, generator=torch.Generator().manual_seed(9))


def ours(model, image, background, method, labels=None, **options):
    """Values of the regions in the order of their numbers, and what nothing is worth."""
    explainer = Explainer(model, "input", "logit", removal="samples", reference=background, device="cpu")
    explanation = explainer.explain(image, method, TARGET, players=labels, **options)
    labels = PIXELS if labels is None else labels
    values = [explanation.values[0][labels == number].sum() for number in labels.unique()]
    return explanation, torch.stack(values).double(), float(explanation.utility_removed)


def theirs(explainer_of_shap, model, image, background, labels, **options):
    """shap's values of the same regions, and its base value: a masker that returns a row for each photograph."""
    numbers = labels.unique()

    def masker(present, _):
        inside = torch.isin(labels, numbers[torch.as_tensor(present)])
        return (torch.where(inside, image[0], background).numpy(),)

    masker.shape = lambda _: (PHOTOGRAPHS, len(numbers))  # another number of rows is written past an array's end

    def play(rows):
        with torch.no_grad():
            return model(torch.as_tensor(rows))[:, TARGET].double().numpy()

    explained = explainer_of_shap(play, masker)(torch.zeros(1, len(numbers)).numpy(), **options)
    return torch.as_tensor(explained.values[0]), float(explained.base_values[0])


class TestInterventionalExpectations:
    @pytest.mark.parametrize("labels", [PIXELS, REGIONS], ids=["pixels", "regions"])
    def test_exact_values_are_those_of_the_exact_explainer(self, model, image, background, labels):
        expected, base = theirs(shap.ExactExplainer, model, image, background, labels)
        _, values, empty = ours(model, image, background, "exactshapley", labels, runs=2**8 * PHOTOGRAPHS)
        torch.testing.assert_close(values, expected, atol=1e-6, rtol=0)
        assert empty == pytest.approx(base, abs=1e-6)

    @pytest.mark.filterwarnings("ignore::shapleycam.errors.ToleranceWarning")
    def test_sampled_values_are_those_of_the_permutation_explainer(self, model, image, background):
        """Ours stray by what they say; theirs, of as many evaluations, stray about as much."""
        evaluations = 50 * (2 * 8 + 1)
        expected, _ = theirs(shap.PermutationExplainer, model, image, background, PIXELS, max_evals=evaluations)
        options = {"runs": evaluations * PHOTOGRAPHS, "tolerance": 1e-9}
        explanation, values, _ = ours(model, image, background, "sampledshapley", **options)
        stderr = explanation.stderr.flatten().double()
        assert (stderr > 0).all()
        assert float(((values - expected).abs() / stderr).max()) < 6
