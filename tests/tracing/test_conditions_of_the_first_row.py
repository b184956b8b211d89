"""A model whose code looks at the first row of a batch alone: refused in batches and games, right one at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.cams import rise
from shapleycam.errors import ModelError, ReplayError

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")


class IfFirst(nn.Module):
    """Squares all rows where the mean of one of them is positive."""

    def __init__(self, row):
        super().__init__()
        self.row = row

    def forward(self, x):
        return x * x if x[self.row].mean() > 0 else x


class WhereFirst(IfFirst):
    """The same without a number that Python reads."""

    def forward(self, x):
        return torch.where(x[self.row].mean() > 0, x * x, x)


def network(condition, *, before):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(6, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 4)]
    layers.insert(0 if before else 1, condition)
    return nn.Sequential(*layers).eval()


def images(sign):
    """Three images: of one sign each, so that the condition is the same for them, unless `sign` is 0."""
    pictures = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    means = pictures.mean((1, 2, 3), keepdim=True)
    return pictures - means + 0.1 * (torch.tensor([1.0, -1, 1])[:, None, None, None] if sign == 0 else sign)


CONDITIONS = [(kind, row) for kind in (IfFirst, WhereFirst) for row in (0, -1)]


@pytest.mark.parametrize(("kind", "row"), CONDITIONS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_a_batch_is_refused(kind, row, before, sign):
    explainer = Explainer(network(kind(row), before=before), layer="1" if before else "0", device="cpu")
    with pytest.raises(ModelError, match=r"another output alone than in a batch of 3 .*a condition of its first row"):
        explainer.explain(images(sign), "hirescam", target=1)


@pytest.mark.parametrize(("kind", "row"), CONDITIONS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_there_is_no_game_behind_it(kind, row, sign):
    explainer = Explainer(network(kind(row), before=False), layer="0", device="cpu")
    with pytest.raises(ReplayError, match="rows of a batch influence each other"):
        explainer.explain(images(sign)[:1], "exactshapley", target=1, players=(2, 2))


@pytest.mark.parametrize(("kind", "row"), CONDITIONS)
@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_masked_images_are_scored_alone(kind, row, method, monkeypatch):
    """With one byte of memory each image is a batch of its own, and nothing influences it."""
    monkeypatch.setattr(rise, "MASKS", 20)
    for sign in (-1, 1):
        by_memory = [
            Explainer(network(kind(row), before=True), layer="1", device="cpu", memory=memory)
            .explain(images(sign)[:1], method, target=1)
            .values
            for memory in (2**26, 1)
        ]
        torch.testing.assert_close(*by_memory)


def test_one_image_is_explained():
    explainer = Explainer(network(IfFirst(0), before=True), layer="1", device="cpu")
    assert explainer.explain(images(1)[:1], "exactshapley", target=1, players=(2, 2)).values.shape == (1, 4, 4)
