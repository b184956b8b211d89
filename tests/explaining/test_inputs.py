"""Accepted forms of images, and further inputs of models that take several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam
from helpers.networks import Toy
from shapleycam import Explainer
from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.metrics._measure import measure
from shapleycam.models.greyscale import takes_greyscale

pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning"),
]
METHODS = ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley"]


def small(channels=3, convolution=nn.Conv2d):
    torch.manual_seed(0)
    axes = (2, 3) if convolution is nn.Conv2d else (2, 3, 4)
    model = Toy(lambda a: a.mean(axes))
    model.features = nn.Sequential(convolution(channels, 4, 2, stride=2), nn.Softplus())
    return model


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


# Tensors


@pytest.mark.parametrize(
    "form", [list, tuple, lambda x: [image[None] for image in x], lambda x: [x[0][None], x[1][None]]]
)
def test_tensors_in_a_list_are_a_batch(form):
    images = noise(2, 3, 8, 8)
    expected = Explainer(small(), layer="features").explain(images, "hirescam", 1)
    e = Explainer(small(), layer="features").explain(form(images), "hirescam", 1)
    assert torch.equal(e.values, expected.values)
    assert [source.name for source in e.sources] == ["image 0", "image 1"]


@pytest.mark.parametrize("form", [list, lambda x: [image[None] for image in x]])
def test_volumes_in_a_list_are_a_batch(form):
    volumes = noise(2, 1, 4, 8, 8)
    explainer = Explainer(small(1, nn.Conv3d), layer="features", layout="NCDHW")
    expected = explainer.explain(volumes, "hirescam", 1)
    assert torch.equal(explainer.explain(form(volumes), "hirescam", 1).values, expected.values)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([noise(3, 8, 8), noise(3, 8, 6)], r"the list holds tensors of several shapes, \[\(3, 8, 6\), \(3, 8, 8\)\]"),
        (
            [noise(2, 3, 8, 8)],
            r"the list holds tensors of shape \(2, 3, 8, 8\); expected \(c, h, w\) or \(1, c, h, w\)",
        ),
        ([noise(8, 8)], r"the list holds tensors of shape \(8, 8\); expected"),
        ([(noise(3, 8, 8) * 255).byte()], r"torch.uint8; expected preprocessed images .* whole numbers are pixels"),
        ((noise(1, 3, 8, 8) * 255).int(), r"torch.int32; expected preprocessed images .* whole numbers are pixels"),
        (
            noise(3, 8, 8),
            r"a tensor of shape \(3, 8, 8\) and torch.float32; expected preprocessed images \(b, c, h, w\)",
        ),
        (
            noise(1, 3, 8, 8).numpy(),
            "images were given as ndarray; expected a path, a PIL image, a list of these, or a",
        ),
        ([], "no images were given; expected at least one"),
        ({"pixel_values": noise(1, 3, 8, 8)}, "images were given as dict; expected a path"),
        (noise(1, 3, 8, 8).to_sparse(), "a tensor with layout torch.sparse_coo; expected preprocessed images"),
        (noise(1, 3, 8, 8).to("meta"), r"a tensor with no numbers \(device meta\); expected preprocessed images"),
        (noise(1, 3, 8, 8) * 1j, r"torch.complex64; expected .* in floating point, b at least 1$"),
    ],
)
def test_what_is_no_batch_is_refused_in_one_line(images, message):
    with pytest.raises(ImageError, match=message) as refused:
        Explainer(small(), layer="features").explain(images)
    assert "\n" not in str(refused.value)


def test_arrays_in_a_list_are_refused_in_one_line():
    explainer = Explainer(
        small(), layer="features", preprocess=shapleycam.Preprocess(8, (8, 8), (0.5,) * 3, (0.5,) * 3)
    )
    with pytest.raises(ImageError, match="image 0 is a ndarray; expected a path or a PIL image"):
        explainer.explain([np.zeros((8, 8, 3), np.uint8)])


def test_tensors_that_require_gradients_or_were_inferred_are_images_like_others():
    images = noise(2, 3, 8, 8)
    explainer = Explainer(small(), layer="features")
    expected = explainer.compare(images, METHODS, 1)
    with torch.inference_mode():
        inferred = images.clone()
    wanting = images.clone().requires_grad_()
    for special in (inferred, wanting):
        comparison = explainer.compare(special, METHODS, 1)
        for name, e in comparison.items():
            assert torch.equal(e.values, expected[name].values)
    assert wanting.grad is None


def test_another_number_of_channels_is_refused_with_both_numbers():
    with pytest.raises(ModelError, match=r"expected input.* to have 3 channels, but got 1 channels .* \(\d, 1, 8, 8\)"):
        Explainer(small(), layer="features").explain(noise(2, 1, 8, 8))


# Grey

GREYS = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)


def photograph(*, grey):
    colours = np.stack([GREYS, GREYS if grey else GREYS.T, GREYS if grey else 255 - GREYS], 2)
    return Image.fromarray(colours)


def to_tensor(photo):
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255


@pytest.mark.parametrize(
    "preprocess",
    [
        shapleycam.Preprocess(8, (8, 8), (0.5,) * 3, (0.25,) * 3),
        shapleycam.Preprocess(8, (8, 8), (0.5,), (0.25,)),
        lambda photo: (to_tensor(photo) - 0.5) / 0.25,
        lambda photo: (torch.from_numpy(np.array(photo.convert("L")))[None] / 255 - 0.5) / 0.25,
    ],
)
def test_a_network_of_one_channel_sees_a_photograph_in_grey(preprocess):
    explainer = Explainer(small(1), layer="features", preprocess=preprocess)
    for grey in (True, False):
        photo = photograph(grey=grey)
        e = explainer.explain(photo, "hirescam", 1)
        luma = torch.from_numpy(np.array(photo.convert("L")))[None, None] / 255
        torch.testing.assert_close(e.images, (luma - 0.5) / 0.25)
        assert e.picture().shape == (8, 8, 3)


def test_the_layer_is_known_of_a_network_of_one_channel_before_images_are():
    preprocess = shapleycam.Preprocess(8, (8, 8), (0.5,) * 3, (0.25,) * 3)
    assert Explainer(small(1), preprocess=preprocess).find_layer().startswith("features")


@pytest.mark.parametrize(
    "preprocess",
    [
        shapleycam.Preprocess(8, (8, 8), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        lambda photo: to_tensor(photo) / torch.tensor([1.0, 2.0, 3.0])[:, None, None],
    ],
)
def test_channels_that_are_scaled_differently_have_no_grey(preprocess):
    with pytest.raises(ImageError, match="preprocess= makes 3 channels, each scaled in another way, and the model's"):
        Explainer(small(1), layer="features", preprocess=preprocess).explain(photograph(grey=False))


@pytest.mark.parametrize(
    ("convolutions", "grey"),
    [([1, 4], True), ([3, 1], False), ([1, 3], False), ([2, 1], False), ([], False)],
)
def test_which_networks_are_of_one_channel(convolutions, grey):
    assert takes_greyscale(nn.Sequential(*(nn.Conv2d(channels, 4, 1) for channels in convolutions))) is grey


# Further inputs


class Several(nn.Module):
    """Logits of features, times a gain a class for each image, plus a shift for all, where a flag is set."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(1, 3, 2, stride=2), nn.Softplus())

    def forward(self, x, gain, shift=None, *, squared=False):
        logits = self.features(x).mean((2, 3)) * gain
        logits = logits if shift is None else logits + shift
        return logits.square() if squared else logits


IMAGES = noise(3, 1, 4, 6)
GAIN = torch.tensor([[1.0, 2, 3], [3, 2, 1], [-1, 5, 2]])
SHIFT = torch.tensor([0.5, -1.0, 2.0, 7.0])[:3].reshape(1, 3)


class Given(nn.Module):
    """The same for one image, whose other inputs are its own."""

    def __init__(self, index, *, squared):
        super().__init__()
        self.model, self.index, self.squared = Several(), index, squared

    def forward(self, x):
        return self.model(x, GAIN[self.index], SHIFT, squared=self.squared)


@pytest.mark.parametrize(
    "inputs",
    [
        {"gain": GAIN, "shift": SHIFT, "squared": True},
        (GAIN, SHIFT),
        [GAIN.requires_grad_(), SHIFT],
        {"gain": GAIN.detach().requires_grad_(), "shift": SHIFT},
    ],
    ids=["keywords", "positional", "list", "keywords that require gradients"],
)
@pytest.mark.parametrize("layer", [None, "features"])
def test_rows_of_other_inputs_follow_their_image_into_coalitions(inputs, layer):
    squared = isinstance(inputs, dict) and "squared" in inputs
    explainer = Explainer(Several(), layer=layer)
    comparison = explainer.compare(IMAGES, METHODS, target=1, inputs=inputs)
    game = explainer.game(IMAGES, target=1, inputs=inputs)
    coalitions = torch.tensor([[True, False, True, True, False, False], [False] * 5 + [True]])
    worth = game.value(coalitions)
    for index in range(3):
        alone = Explainer(Given(index, squared=squared), layer="model.features")
        expected = alone.compare(IMAGES[index : index + 1], METHODS, target=1)
        for name, e in expected.items():
            torch.testing.assert_close(comparison[name].values[index : index + 1], e.values, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(worth[index], alone.game(IMAGES[index : index + 1], 1).value(coalitions)[0])
    torch.testing.assert_close(game.value(coalitions, images=[2, 0]), worth[[2, 0]])
    output = explainer.output(IMAGES, inputs=inputs)
    torch.testing.assert_close(comparison["hirescam"].output, output)


def test_other_inputs_of_each_explanation_and_of_metrics():
    explainer = Explainer(Several(), layer="features")
    each = explainer.explain_each(IMAGES, [0, 2], "hirescam", inputs=(GAIN,))
    for target, e in zip((0, 2), each, strict=True):
        assert torch.equal(e.values, explainer.explain(IMAGES, "hirescam", target, inputs=(GAIN,)).values)
    with_gain = {"hirescam": each[0]}
    together = measure(explainer, IMAGES, with_gain, ["average_drop"], inputs=(GAIN,))["average_drop"]["hirescam"]
    alone = Explainer(Given(1, squared=False), layer="model.features")
    with_shift = explainer.explain(IMAGES, "hirescam", 0, inputs=(GAIN, SHIFT))
    drops = measure(explainer, IMAGES, {"hirescam": with_shift}, ["average_drop"], inputs=(GAIN, SHIFT))
    of_image = alone.explain(IMAGES[1:2], "hirescam", 0)
    expected = measure(alone, IMAGES[1:2], {"hirescam": of_image}, ["average_drop"])["average_drop"]["hirescam"]
    torch.testing.assert_close(drops["average_drop"]["hirescam"][1:2], expected, rtol=1e-4, atol=1e-6)
    assert together.shape == (3,)


@pytest.mark.parametrize("inputs", [5, GAIN, "gain", {1: GAIN}])
def test_what_are_no_inputs_is_refused(inputs):
    with pytest.raises(
        OptionError, match=r"inputs= is a .*; expected a mapping of forward's keyword names, or a tuple"
    ):
        Explainer(Several(), layer="features").explain(IMAGES, inputs=inputs)


@pytest.mark.parametrize(
    ("inputs", "reason"), [(None, "missing 1 required positional argument: 'gain'"), ({"gian": GAIN}, "gian")]
)
def test_inputs_that_the_model_does_not_take_are_told(inputs, reason):
    with pytest.raises(ModelError, match=f"the model raised TypeError: .*{reason}"):
        Explainer(Several(), layer="features").explain(IMAGES, inputs=inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_inputs_in_half_precision_follow_a_model_that_is_widened(dtype):
    """A linear layer wants both in one precision: the model's own, which is float32 while it is explained."""

    class Conditioned(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.gain = nn.Conv2d(3, 4, 3), nn.Linear(2, 4)

        def forward(self, images, condition):
            return self.features(images).mean((2, 3)) * self.gain(condition)

    torch.manual_seed(0)
    model, images, condition = Conditioned().to(dtype), noise(2, 3, 8, 8).to(dtype), noise(2, 2).to(dtype)
    e = Explainer(model, layer="features", utility="logit").explain(images, "hirescam", 1, inputs=(condition,))
    wide = Conditioned()
    wide.load_state_dict({name: tensor.float() for name, tensor in model.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(e.utility, wide(images.float(), condition.float())[:, 1], rtol=1e-4, atol=1e-5)
