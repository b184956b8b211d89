"""FullGrad: its terms sum to the logit of a network of ReLUs, in float64; its map by pencil."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from helpers.user_models import Small, pictures, with_random_norms
from shapleycam import Explainer
from shapleycam.cams.full_gradient import full_gradient
from shapleycam.cams.pixel_cells import cell_sums
from shapleycam.errors import DerivativeError

pytestmark = pytest.mark.filterwarnings("ignore")


class OfRelus(nn.Module):
    """Biases of convolutions, norms and a matrix; ReLUs in place, as functions and leaky; a sum, poolings, channels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm, self.body = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 6, 3, padding=1),
        )
        self.mix, self.fc, self.last = nn.Linear(6, 6), nn.Linear(6, 5), nn.BatchNorm1d(5)
        with_random_norms(self)

    def body_of(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.stem(x)), inplace=True), 2)
        x = x + F.leaky_relu(self.body(x))
        return self.mix(x.permute(0, 2, 3, 1)).relu_().permute(0, 3, 1, 2)

    def forward(self, x):
        return self.last(self.fc(F.avg_pool2d(self.body_of(x), 2).mean((2, 3))))


def games(model, layer, size=16):
    """The game of two images in float64."""
    images = pictures(2, size).double() - 0.5
    return Explainer(model.double().eval(), layer=layer, utility="logit").game(images, target=[1, 3])


OF_RELUS = [(OfRelus, "body"), (torchvision.models.resnet18, "layer1"), (torchvision.models.vgg11, "features.5")]


@pytest.mark.parametrize(("make", "layer"), OF_RELUS)
def test_all_terms_sum_to_the_logit_of_a_network_of_relus(make, layer):
    torch.manual_seed(0)
    game = games(with_random_norms(make()), layer, 16 if make is OfRelus else 32)
    totals = torch.tensor([full_gradient(game, image).total for image in range(2)], dtype=torch.float64)
    torch.testing.assert_close(totals, game.full.double(), rtol=1e-9, atol=1e-9)


def test_the_terms_of_the_biases_are_the_change_with_all_of_them():
    """Σ_b ∂U/∂b · b is the derivative by t where each bias, also those of means that are subtracted, is (1 + t) b."""
    model = OfRelus()
    game = games(model, "body")
    step, changed = 1e-6, []
    for sign in (1, -1):
        scaled = copy.deepcopy(model)
        for name, numbers in (*scaled.named_parameters(), *scaled.named_buffers()):
            if name.endswith(("bias", "running_mean")):
                numbers.data *= 1 + sign * step
        changed.append(scaled(game.images)[[0, 1], [1, 3]].detach())
    expected = (changed[0] - changed[1]) / (2 * step)
    totals = torch.tensor([full_gradient(game, image).bias_total for image in range(2)], dtype=torch.float64)
    torch.testing.assert_close(totals, expected, rtol=1e-6, atol=1e-8)


def test_no_note_where_the_sum_is_complete_and_one_where_it_is_not():
    assert Explainer(OfRelus().eval(), layer="body", utility="logit").explain(pictures(), "fullgrad").notes == ((), ())
    for model in (Small(), _with_layer_norm()):
        game = games(model, "body")
        total = full_gradient(game, 0).total
        assert abs(total - float(game.full[0])) > 1e-3 * abs(total)
        ((note,), _) = Explainer(model.float(), layer="body", utility="logit").explain(pictures(), "fullgrad").notes
        assert "other activation functions, norms over an image and attention have a part that no term has" in note


def _with_layer_norm():
    model = OfRelus()
    model.last = nn.LayerNorm(5)
    return model


class Row(nn.Module):
    """Σ_p ReLU(2 x_p + 1): a logit of a picture of one row."""

    def __init__(self, *, is_linear=False):
        super().__init__()
        self.is_linear, self.layer = is_linear, nn.Linear(1, 1) if is_linear else nn.Conv2d(1, 1, 1)
        self.layer.weight.data.fill_(2)
        self.layer.bias.data.fill_(1)

    def forward(self, x):
        x = self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if self.is_linear else self.layer(x)
        scores = x.relu().sum((1, 2, 3))
        return torch.stack([scores, -scores], 1)


@pytest.mark.parametrize("is_linear", [False, True])
@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        # Terms of the input 2 and 6, scaled 0 and 1; those of the bias 1 and 1, which scaling makes 0.
        ([1.0, 3.0, 3.0, 1.0], [0.0, 1.0, 1.0, 0.0]),
        # Behind a ReLU that is off nothing counts; terms of the input 0 and 6, of the bias 0 and 1.
        ([-1.0, 3.0, 3.0, -1.0], [0.0, 2.0, 2.0, 0.0]),
        # The sizes of the terms: -0.8 and 6, so that (0.8 - 0) / 6 is the second; of the bias 0, 1, 1, 0.
        ([-1.0, -0.4, 3.0, -1.0], [0.0, 0.8 / 6 + 1, 2.0, 0.0]),
    ],
)
def test_the_map_by_pencil(is_linear, picture, expected):
    """Channels that are last are the same map as channels that come second."""
    image = torch.tensor(picture).view(1, 1, 2, 2)
    explainer = Explainer(Row(is_linear=is_linear), layer="layer", layout="NHWC" if is_linear else "NCHW")
    e = explainer.explain(image, "fullgrad", target=0, utility="logit")
    torch.testing.assert_close(e.values.flatten(), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_each_position_has_the_pixels_of_its_cell():
    pixels = torch.rand(2, 5, 7)
    sums = cell_sums(pixels, (2, 3))
    torch.testing.assert_close(sums.sum((1, 2)), pixels.sum((1, 2)))
    # The first cell: two rows and a half, two columns and a third.
    rows, columns = torch.tensor([1, 1, 0.5, 0, 0]), torch.tensor([1, 1, 1 / 3, 0, 0, 0, 0])
    torch.testing.assert_close(sums[:, 0, 0], torch.einsum("bhw,h,w->b", pixels, rows, columns))


@pytest.mark.parametrize("method", ["fullgrad", "guidedbackprop", "guidedgradcam"])
def test_refused_where_the_image_has_no_gradient(method):
    class Detached(OfRelus):
        def forward(self, x):
            with torch.no_grad():
                x = self.stem(x)
            return self.fc(self.body(x).relu().mean((2, 3)))

    with pytest.raises(DerivativeError, match="passes no gradient, or not all of it, from its output to the image"):
        Explainer(Detached().eval(), layer="body").explain(pictures(), method)
