"""FullGrad: its terms sum to the logit of a network of ReLUs, in float64; its map by pencil."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from helpers.narrow_networks import narrow_network
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


OF_RELUS = [
    (OfRelus, "body"),
    (partial(narrow_network, "torchvision:resnet18"), "layer1"),
    (partial(narrow_network, "torchvision:vgg11"), "features.5"),
]


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


class Between(nn.Module):
    """A convolution, a ReLU, a part that is to be tried, a ReLU, and a matrix."""

    def __init__(self, part, **modules):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc, self.part, self.m = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), part, nn.ModuleDict(modules)
        with_random_norms(self)

    def forward(self, x):
        return self.fc(self.part(self.m, self.body(x).relu()).relu().mean((2, 3)))


def _frozen_norm(m, x):
    norm, frozen = m["norm"], torchvision.ops.FrozenBatchNorm2d(6)
    frozen.load_state_dict({n: v for n, v in norm.state_dict().items() if n != "num_batches_tracked"})
    return frozen.double()(x)


def _addmm(m, x):
    rows = torch.addmm(m["fc"].bias, x.permute(0, 2, 3, 1).reshape(-1, 6), m["fc"].weight.T)
    return rows.view(len(x), *x.shape[2:], 6).permute(0, 3, 1, 2)


PARTS = {
    "images without a batch axis": lambda m, x: torch.stack([m["conv"](image) for image in x]),
    "transposed, without a batch axis": lambda m, x: torch.stack([m["up"](image) for image in x]),
    "core batch norm": lambda m, x: torch.batch_norm(
        x, m["norm"].weight, m["norm"].bias, m["norm"].running_mean, m["norm"].running_var, False, 0.1, 1e-5, False
    ),
    "core convolution": lambda m, x: torch.convolution(
        x, m["conv"].weight, m["conv"].bias, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "operator": lambda m, x: torch.ops.aten.conv2d.default(x, m["conv"].weight, m["conv"].bias),
    "operator packet": lambda m, x: torch.ops.aten.conv2d(x, m["conv"].weight, m["conv"].bias),
    "operator linear": lambda m, x: torch.ops.aten.linear.default(x.mT, torch.eye(14).to(x), torch.ones(14).to(x)).mT,
    "frozen norm": _frozen_norm,
    "sum with a parameter": lambda m, x: x + m["norm"].bias[:, None, None],
    "difference from a parameter": lambda m, x: m["norm"].bias[:, None, None] - x,
    "difference, in place": lambda m, x: (x * 2).sub_(m["norm"].bias[:, None, None], alpha=2),
    "sum, channels last": lambda m, x: (m["norm"].bias + x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "addmm": _addmm,
    "bilinear": lambda m, x: m["two"](x.permute(0, 2, 3, 1).contiguous(), x.new_ones(len(x), 14, 14, 1)).permute(
        0, 3, 1, 2
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_biases_of_every_form_are_among_the_terms(part):
    modules = {"conv": nn.Conv2d(6, 6, 3), "up": nn.ConvTranspose2d(6, 6, 3), "norm": nn.BatchNorm2d(6)}
    game = games(Between(PARTS[part], **modules, fc=nn.Linear(6, 6), two=nn.Bilinear(6, 1, 6)), "body")
    totals = torch.tensor([full_gradient(game, image).total for image in range(2)], dtype=torch.float64)
    torch.testing.assert_close(totals, game.full.double(), rtol=1e-9, atol=1e-9)


def test_a_scale_and_shift_are_the_map_of_the_norm_that_they_are():
    plain = Between(lambda m, x: m["norm"](x), norm=nn.BatchNorm2d(6))
    frozen = Between(_frozen_norm, norm=nn.BatchNorm2d(6))
    frozen.load_state_dict(plain.state_dict())
    of_plain, of_frozen = (full_gradient(games(model, "body"), 0).bias_map for model in (plain, frozen))
    torch.testing.assert_close(of_frozen, of_plain)
    assert float(of_plain.std()) > 0.1


class WithAttention(nn.Module):
    """Attention by PyTorch's module, with the batch first or second, or by its matrices."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(0)
        self.form, self.body, self.fc = form, nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.tokens, self.attention = nn.Identity(), nn.MultiheadAttention(8, 2, batch_first=form == "first")
        for name, numbers in self.attention.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(numbers, 0, 0.3)

    def attend(self, tokens):
        if self.form == "first":
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]
        if self.form == "second":
            return self.attention(*[tokens.transpose(0, 1)] * 3)[0].transpose(0, 1)
        joint = F.linear(tokens, self.attention.in_proj_weight, self.attention.in_proj_bias)
        q, k, v = (each.unflatten(-1, (2, 4)).transpose(1, 2) for each in joint.chunk(3, -1))
        mixed = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
        return F.linear(mixed, self.attention.out_proj.weight, self.attention.out_proj.bias)

    def forward(self, x):
        tokens = self.tokens(self.body(x).flatten(2).mT)
        return self.fc((tokens + self.attend(tokens)).relu().mean(1))


def test_the_biases_of_attention_are_the_same_in_every_form():
    first, second, plain = (full_gradient(games(WithAttention(f), "tokens"), 1) for f in ("first", "second", "plain"))
    assert first.bias_total == pytest.approx(plain.bias_total, rel=1e-6)
    assert second.bias_total == pytest.approx(plain.bias_total, rel=1e-6)
    torch.testing.assert_close(first.bias_map, plain.bias_map, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(second.bias_map, plain.bias_map, rtol=1e-4, atol=1e-4)


def test_no_note_where_the_sum_is_complete_and_one_where_it_is_not():
    assert Explainer(OfRelus().eval(), layer="body", utility="logit").explain(pictures(), "fullgrad").notes == ((), ())
    for model in (Small(), _with_layer_norm()):
        game = games(model, "body")
        total = full_gradient(game, 0).total
        assert abs(total - float(game.full[0])) > 1e-3 * abs(total)
        ((note,), _) = Explainer(model.float(), layer="body", utility="logit").explain(pictures(), "fullgrad").notes
        assert "other activation functions, norms over an image and attention have a part that no term has" in note
        assert "TorchScript" in note


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
