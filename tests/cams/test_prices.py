"""The price that the table of methods states is what an explanation takes: passes are counted for every row."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from cams.test_conditional_rows import FITTING
from helpers.table_rows import OF_EVERY_MODEL, OF_MASKED_IMAGES, OF_SOME_MODELS
from shapleycam import METHODS, Explainer

pytestmark = pytest.mark.filterwarnings("ignore")


class Runs:
    """What ran: rows of images, and of what comes after the layer; beside the modules, which are copied."""

    model: ClassVar[list[int]] = []
    head: ClassVar[list[int]] = []


class CountedConv(nn.Conv2d):
    """A first convolution that counts the images that it gets, in all copies of the model."""

    def forward(self, x):
        Runs.model.append(len(x))
        return super().forward(x)


class Counted(nn.Module):
    """A body of two convolutions, and a head that counts its rows and has no shortcut."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.body = CountedConv(3, 4, 4, stride=4), nn.Conv2d(4, 4, 3, padding=1)
        self.mix, self.fc = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        values = self.body(self.stem(x).relu())
        Runs.head.append(len(values))
        return self.fc(self.mix(values).softmax(1).square().mean((2, 3)).softmax(1).square())


def counted(explainer, images, method):
    """How many images ran through the model, and rows through its head, where what is learned once is known."""
    explainer.explain(images, method, players=(2, 2))
    Runs.model.clear()
    Runs.head.clear()
    explainer.explain(images, method, players=(2, 2))
    return sum(Runs.model), sum(Runs.head)


PROOFS = 8
"""Rows of the head at most that prove that it gives the model's output, and what shortcuts it has."""
BATCH_CHECK = 10
"""Images of each explanation by masked images that show whether ones together have the scores that they have alone."""
CHECK_THE_BATCH = set(OF_MASKED_IMAGES) - {"opticam"}  # which has an image at a time


@pytest.mark.parametrize("method", [*OF_EVERY_MODEL, *OF_MASKED_IMAGES])
def test_of_every_model(method):
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    explainer = Explainer(Counted().eval(), layer="body", utility="logit")
    passes, rows = counted(explainer, images, method)
    game = explainer.game(images, players=(2, 2))
    cost = METHODS[method].basis.cost_of(game.n_players, channels=game.n_channels)
    checked = BATCH_CHECK if method in CHECK_THE_BATCH else 0
    assert passes == 1 + cost.model_passes + checked, f"{passes} passes"
    assert rows <= passes + PROOFS + cost.head_evaluations + cost.head_gradients, f"{rows} rows"


@pytest.mark.parametrize("method", OF_SOME_MODELS)
def test_of_models_that_have_what_is_needed(method):
    make, layer = FITTING[method]
    model = make()
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    first.__class__ = CountedConv
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    passes, _ = counted(Explainer(model, layer=layer), images, method)
    assert passes == 1 + METHODS[method].basis.cost_of(16).model_passes
