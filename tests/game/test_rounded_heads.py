"""Heads that round to half precision are no sums over positions, so that no shortcut takes them for one."""

from __future__ import annotations

import torch
from torch import nn

from shapleycam import Explainer


class RoundedSum(nn.Module):
    """The sum of the pixels, rounded to half precision, behind a convolution that passes them on."""

    def __init__(self):
        super().__init__()
        self.pixels = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.pixels.weight)

    def forward(self, images):
        return self.pixels(images).sum((2, 3)).half()


def test_values_are_of_the_rounded_sum():
    images = torch.tensor([[[[1.0, 2.0**-12]]]])  # together they are 1 in half precision, as is the first alone
    explanation = Explainer(RoundedSum(), layer="pixels", utility="value").explain(images, "exactshapley")
    torch.testing.assert_close(explanation.values, torch.tensor([[[1 - 2.0**-13, 2.0**-13]]]), rtol=1e-6, atol=0)
