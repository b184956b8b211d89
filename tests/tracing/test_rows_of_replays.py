"""What goes around the layer follows its image into coalitions, wherever the model keeps it; else there is no game."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import ModelError, ReplayError


class AroundTheLayer(nn.Module):
    """Its logits are of the squares of a map, and of what `around` makes of the stem's output beside it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.features, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 1), nn.Linear(16, 5)

    def forward(self, x):
        stem = self.stem(x)
        around = self.around(stem)
        return self.fc(torch.cat([self.features(stem).relu().square().mean((2, 3)), around], 1))


class SequenceFirst(AroundTheLayer):
    """A module returns (places, images, channels)."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)

    def around(self, stem):
        tokens = stem.flatten(2).permute(2, 0, 1)
        return self.attention(tokens, tokens, tokens)[0].amax(0)


class PositionMajor(AroundTheLayer):
    """A module returns rows (places · images, channels), all images of a place together."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(8, 8)

    def around(self, stem):
        images, channels = stem.shape[:2]
        rows = self.mix(stem.flatten(2).permute(2, 0, 1).reshape(-1, channels))
        return rows.reshape(-1, images, channels).amax(0)


class ImageMajor(PositionMajor):
    """The same rows, all places of an image together."""

    def around(self, stem):
        rows = self.mix(stem.flatten(2).mT.reshape(-1, stem.shape[1]))
        return rows.reshape(len(stem), -1, stem.shape[1]).amax(1)


class StoredByHook(AroundTheLayer):
    """As fastai's U-Net: a hook keeps features, and a later part of the model reads them."""

    def __init__(self):
        super().__init__()
        self.stored = {}
        self.stem.register_forward_hook(lambda _module, _inputs, output: self.stored.update(features=output))

    def around(self, stem):
        return self.stored["features"].amax((2, 3))


class Keeper(nn.Conv2d):
    def forward(self, x):
        self.last = super().forward(x)
        return self.last


class KeptAsAttribute(AroundTheLayer):
    """A module keeps what it returned, and its owner reads it there."""

    def __init__(self):
        super().__init__()
        self.stem = Keeper(3, 8, 4, 4)

    def around(self, stem):
        return self.stem.last.amax((2, 3))


def by_hand(model, images, coalitions, target):
    """v(S) of each image and coalition, one run of the whole model each, by a plain hook."""

    def logit(image, mask):
        handle = model.features.register_forward_hook(lambda _module, _inputs, output: output * mask)
        try:
            with torch.no_grad():
                return model(image)[0, target]
        finally:
            handle.remove()

    masks = coalitions.reshape(len(coalitions), 1, 1, 4, 4).float()
    return torch.stack(
        [torch.stack([logit(i[None], m) - logit(i[None], torch.zeros(1)) for m in masks]) for i in images]
    )


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("kind", [SequenceFirst, PositionMajor, ImageMajor, StoredByHook, KeptAsAttribute])
def test_coalitions_of_what_goes_around_the_layer(kind, images):
    model = kind().eval()
    batch = torch.randn(images, 3, 16, 16, generator=torch.Generator().manual_seed(images))
    coalitions = torch.rand(7, 16, generator=torch.Generator().manual_seed(9)) < 0.5
    game = Explainer(model, layer="features", utility="logit").game(batch, target=2)
    torch.testing.assert_close(game.value(coalitions), by_hand(model, batch, coalitions, 2), rtol=1e-4, atol=1e-6)


class LessTheBatch(AroundTheLayer):
    def forward(self, x):
        stem = self.stem(x)
        features = self.features(stem)
        return self.fc(torch.cat([(features - features.mean((0, 2, 3), keepdim=True)).relu().mean((2, 3))] * 2, 1))


class Ranked(AroundTheLayer):
    """Each row's logits depend on its rank in the batch."""

    def around(self, stem):
        strength = stem.flatten(1).norm(dim=1)
        return (strength[:, None] > strength[None]).float().sum(1, keepdim=True).expand(-1, 8)


@pytest.mark.parametrize("kind", [LessTheBatch, Ranked])
def test_several_images_that_influence_each_other_are_refused(kind):
    batch = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    batch *= torch.tensor([3.0, 2.0, 1.0])[:, None, None, None]
    text = r"another output alone than in a batch of 3 .*; expected outputs that do not depend on batch mates"
    with pytest.raises(ModelError, match=text):
        Explainer(kind().eval(), layer="features").explain(batch, "hirescam", target=0)


def test_one_image_with_the_statistics_of_its_batch_is_explained_but_no_game():
    model = LessTheBatch().eval()
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert Explainer(model, layer="features").explain(image, "hirescam", target=0).values.shape == (1, 4, 4)
    with pytest.raises(ReplayError, match=r"'features': the rows of a batch influence each other.*there is no game"):
        Explainer(model, layer="features").explain(image, "pathcam-h", target=0)


def test_without_a_method_the_refusal_names_methods_that_explain_the_model():
    model = LessTheBatch().eval()
    image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(model, layer="features")
    with pytest.raises(ReplayError, match=r"influence each other.*path or sampling \(gradcam, hirescam, shapleycam\)"):
        explainer.explain(image)
    for method in ("gradcam", "hirescam", "shapleycam"):
        assert explainer.explain(image, method, target=0).values.abs().sum() > 0


class KeepsItsOwnOutput(AroundTheLayer):
    """The explained layer keeps its output, and its owner reads it there, in the place of what was returned."""

    def __init__(self):
        super().__init__()
        self.features = Keeper(8, 8, 1)

    def forward(self, x):
        self.features(self.stem(x))
        features = self.features.last
        return self.fc(torch.cat([features.relu().square().mean((2, 3)), features.amax((2, 3))], 1))


class ReturnsIt(KeepsItsOwnOutput):
    """The same, by what the layer returns."""

    def forward(self, x):
        returned = self.features(self.stem(x))
        return self.fc(torch.cat([returned.relu().square().mean((2, 3)), returned.amax((2, 3))], 1))


@pytest.mark.filterwarnings("ignore::shapleycam.errors.PlayersNotUsedWarning")  # of the derivatives
@pytest.mark.parametrize("method", ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley"])
def test_a_layer_that_keeps_its_own_output_keeps_what_stands_in_its_place(method):
    batch = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    keeping, returning = (
        Explainer(kind().eval(), layer="features", utility="logit").explain(batch, method, target=1, players=(2, 2))
        for kind in (KeepsItsOwnOutput, ReturnsIt)
    )
    assert returning.values.abs().max() > 0.01
    torch.testing.assert_close(keeping.values, returning.values, rtol=1e-4, atol=1e-6)


class ReadsTheFirstRow(nn.Module):
    """What the first row of a batch gives is the same alone; what others give depends on it."""

    def __init__(self):
        super().__init__()
        self.features, self.fc = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 2)

    def forward(self, x):
        a = self.features(x)
        return self.fc((a - a[:1].tanh() * (len(a) > 1)).mean((2, 3)))


def test_one_image_whose_rows_read_the_first_of_them_has_no_game():
    torch.manual_seed(0)
    with pytest.raises(ReplayError, match="the rows of a batch influence each other"):
        Explainer(ReadsTheFirstRow(), layer="features").game(torch.rand(1, 3, 8, 8))
