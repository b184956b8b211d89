"""Models that return one number an image, (b,), are games as those that return (b, 1)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer


class MeanBrightness(nn.Module):
    """The mean of the pixels, behind a convolution that passes them on."""

    def __init__(self):
        super().__init__()
        self.pixels = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.pixels.weight)

    def forward(self, images):
        return self.pixels(images).mean((1, 2, 3))


@pytest.mark.parametrize("method", ["exactshapley", "leaveoneout"])
def test_a_mean_is_divided_into_the_pixels(method):
    images = torch.arange(24.0).reshape(2, 1, 3, 4)
    explanation = Explainer(MeanBrightness(), layer="pixels", utility="value").explain(images, method)
    torch.testing.assert_close(explanation.values, images[:, 0] / 12)
