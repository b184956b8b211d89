"""Functions of the user's that are right for one image, and wrong for each of many coalitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 2, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*layers)


WRONG = {
    "the first row alone": lambda output, target: output[0, target],
    "the last row alone": lambda output, target: output[-1, target],
    "less the mean of the rows": lambda output, target: (output - output.mean(0))[:, 0] + 0 * target,
    "the first image's class": lambda output, target: output[:, target[0]],
    "softmax over the rows": lambda output, target: output.softmax(0).gather(1, target[:, None])[:, 0],
    "drawn": lambda output, target: output.gather(1, target[:, None])[:, 0] + torch.rand(len(output)),
}
RIGHT = {
    "the class": lambda output, target: output.gather(1, target[:, None])[:, 0],
    "spread": lambda output, _: output.var(1),
    "a constant of the class": lambda output, target: output.amax(1) + target,
    "weights of one row": lambda output, _: (output * torch.tensor([[1.0, 2.0, 3.0]])).sum(1),
}


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("function", WRONG.values(), ids=WRONG)
def test_a_function_that_mixes_rows_is_refused(function, images):
    explainer = Explainer(network(), layer="input", utility=function)
    with pytest.raises(OptionError, match="expected a number of each row by itself"):
        explainer.explain(torch.rand(images, 3, 8, 8), "exactshapley", players=(2, 2))


@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT)
def test_a_function_of_each_row_is_played(function):
    model, images = network(), torch.rand(2, 3, 8, 8)
    shares = Explainer(model, layer="input", utility=function).explain(images, "exactshapley", target=1, players=(2, 2))
    target = torch.tensor([1, 1])
    with torch.no_grad():
        expected = function(model(images), target) - function(model(torch.zeros_like(images)), target)
    torch.testing.assert_close(shares.values.sum((1, 2)), expected.float(), atol=1e-5, rtol=1e-4)


def test_what_is_of_each_image_is_no_function_of_single_rows():
    """Weights of two images: only derivatives can be explained, and these are."""
    weights = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    explainer = Explainer(network(), layer="1", utility=lambda output, _: (output * weights).sum(1))
    assert explainer.explain(torch.rand(2, 3, 8, 8), "hirescam").values.shape == (2, 4, 4)
