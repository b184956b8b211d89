"""The explainer: accepted inputs, results, warnings and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam
from helpers.table_rows import OF_EVERY_MODEL
from shapleycam.errors import (
    BlankHeatmapWarning,
    ImageError,
    LayerError,
    ModelError,
    NoCurvatureWarning,
    OptionError,
    ShapleyCamError,
    ShapleyCamWarning,
    TargetError,
)
from shapleycam.models.preprocess import Preprocess

LABELS = ("tench, Tinca tinca", "goldfish", "crane", "crane", "quilt")
HALF = (0.5, 0.5, 0.5)
SMALL = Preprocess(resize=24, crop=(24, 24), mean=HALF, std=HALF)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """A small network with a grid of 6 x 6 before pooling, and a smooth head."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


@pytest.fixture(scope="module")
def small(model) -> shapleycam.Explainer:
    return shapleycam.Explainer(model, preprocess=SMALL, labels=LABELS)


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A photograph of noise, wider than high."""
    levels = torch.randint(0, 256, (30, 48, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return Image.fromarray(levels.numpy())


class Mean(nn.Module):
    """Logits are weights times the mean of the image's first channel: all can be worked out by hand."""

    def __init__(self, *weights: float):
        super().__init__()
        self.features = nn.MaxPool2d(1)  # changes nothing
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, x):
        return self.features(x)[:, 0].mean((1, 2))[:, None] * self.weights


def explain_at_features(model: nn.Module, **choices: object) -> shapleycam.Explainer:
    return shapleycam.Explainer(model, layer="features", **choices)


def grey(*rows: list[float]) -> torch.Tensor:
    """One image of one channel."""
    return torch.tensor(rows)[None, None]


# What comes out


def test_an_explanation_has_all_that_was_promised(small, model, batch):
    e = small.explain(batch, method="hirescam", target=[0, 1, 4])
    with torch.no_grad():
        output = model(batch)
    assert e.heatmap.shape == (3, 24, 24)
    assert e.values.shape == (3, 6, 6)
    assert (e.heatmap.dtype, e.values.dtype) == (torch.float32, torch.float32)
    assert (e.heatmap.amin((1, 2)) >= 0).all()
    assert torch.allclose(e.heatmap.amax((1, 2)), torch.ones(3), atol=1e-5)
    assert e.target.tolist() == [0, 1, 4]
    assert e.target.dtype == torch.int64
    assert torch.allclose(e.output, output)
    assert torch.allclose(e.utility, (2 * output - output.logsumexp(1, keepdim=True))[range(3), [0, 1, 4]], atol=1e-6)
    assert (e.method, e.layer, e.utility_name) == ("hirescam", "1", "rest")
    assert e.stderr is e.prefix is e.curvature is None


def test_the_values_are_the_gradient_times_the_activation(small, model, batch):
    with torch.no_grad():
        activation = model[:2](batch)
    activation.requires_grad_()
    z = model[2:](activation)
    (gradient,) = torch.autograd.grad((2 * z[:, 1] - z.logsumexp(1)).sum(), activation)
    expected = (gradient * activation).sum(1)
    assert torch.allclose(small.explain(batch, "hirescam", target=1).values, expected, atol=1e-6)


def test_a_heatmap_is_bright_where_the_values_are_high():
    e = explain_at_features(Mean(1.0, -1.0)).explain(grey([0.0, 1.0], [2.0, 4.0]), "hirescam", 0, "logit")
    assert e.values[0].tolist() == [[0, 0.25], [0.5, 1]]
    assert torch.allclose(e.heatmap[0], torch.tensor([[0, 0.25], [0.5, 1]]), atol=1e-6)


def test_nothing_that_is_returned_keeps_a_graph(small, batch):
    e = small.explain(batch, "shapleycam")
    for name in ("heatmap", "values", "output", "utility", "curvature", "images"):
        assert not getattr(e, name).requires_grad, name


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
def test_compare_gives_what_explain_gives_for_every_method(small, batch):
    together = small.compare(batch, OF_EVERY_MODEL, players=(2, 2))
    assert list(together) == OF_EVERY_MODEL
    for name, e in together.items():
        alone = small.explain(batch, name, players=(2, 2))
        assert e.method == alone.method == name
        assert torch.allclose(e.values, alone.values, atol=1e-6), name
        assert torch.allclose(e.heatmap, alone.heatmap, atol=1e-5), name
        assert torch.equal(e.target, alone.target)


def test_methods_are_compared_in_one_forward_pass(small, model, batch):
    passes = []
    hook = model[0].register_forward_hook(lambda *_: passes.append(1))
    small.compare(batch, ["gradcam", "hirescam", "shapleycam", "shapleycam-h", "randomcam"], target=0)
    hook.remove()
    assert len(passes) == 1


def test_the_curvature_is_that_of_the_two_orders(small, batch):
    both = small.compare(batch, ["hirescam", "shapleycam-h"], target=0)
    first_order, second_order = both["hirescam"].values.flatten(1), both["shapleycam-h"].values.flatten(1)
    change = (second_order - first_order).abs().sum(1)
    assert torch.allclose(both["shapleycam-h"].curvature, change / (first_order.abs().sum(1) + change), atol=1e-5)


def test_random_maps_follow_the_seed_and_the_image_and_nothing_else(small, batch):
    def maps(images, seed):
        return small.explain(images, "randomcam", seed=seed).values

    assert torch.equal(maps(batch, 0), maps(batch, 0))
    assert torch.allclose(maps(batch, 0)[2:], maps(batch[2:], 0), atol=1e-6)
    assert not torch.allclose(maps(batch, 0), maps(batch, 1))


def test_the_game_has_a_player_for_each_position(small, batch):
    game = small.game(batch, target=0)
    assert game.n_players == 36
    assert torch.allclose(game.full, small.explain(batch, "hirescam", target=0).utility)


def test_its_repr_names_model_layer_and_utility(model):
    assert (
        repr(shapleycam.Explainer(model, utility="logit")) == "Explainer(Sequential, layer before-pool, utility logit)"
    )
    assert repr(shapleycam.Explainer(model, layer="1")) == "Explainer(Sequential, layer 1, utility rest)"


# Images


FORMS = {
    "path": lambda path, _: path,
    "text": lambda path, _: str(path),
    "PIL image": lambda _, image: image,
    "list": lambda path, _: [path],
    "tuple": lambda _, image: (image,),
    "generator": lambda path, _: (item for item in [path]),
    "tensor": lambda _, image: SMALL(image)[None],
}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_may_come_in_any_form(form, small, photo, tmp_path):
    photo.save(tmp_path / "mine.png")
    e = small.explain(FORMS[form](tmp_path / "mine.png", photo), "hirescam", target=0)
    expected = small.explain(SMALL(photo)[None], "hirescam", target=0)
    assert torch.equal(e.values, expected.values)


def test_forms_may_be_mixed_and_keep_their_order(small, photo, tmp_path):
    photo.save(tmp_path / "mine.png")
    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    e = small.explain([tmp_path / "mine.png", mirrored, str(tmp_path / "mine.png")], "hirescam", target=0)
    assert torch.equal(e.images, torch.stack([SMALL(photo), SMALL(mirrored), SMALL(photo)]))
    assert [source.name for source in e.sources] == ["mine.png", "image 1", "mine.png"]
    for source in e.sources:
        assert source.box == pytest.approx((7 * 48 / 38, 0, 31 * 48 / 38, 30))  # 24 of 38 x 24 resized pixels


def test_a_photograph_is_drawn_whole(small, photo):
    e = small.explain(photo, "hirescam", target=0)
    assert e.overlay().size == (48, 30)
    assert e.overlay(on="input").size == (24, 24)


def test_a_function_of_the_users_may_preprocess(model, photo):
    def shrink(image):
        return torch.from_numpy(np.array(image.resize((24, 24)))).permute(2, 0, 1) / 255

    e = shapleycam.Explainer(model, preprocess=shrink).explain(photo, "hirescam", target=0)
    assert torch.equal(e.images[0], shrink(photo))
    assert e.overlay().size == (24, 24)  # where the input lies in the photograph is not known


def test_photographs_take_the_precision_of_the_model(photo):
    double = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    e = shapleycam.Explainer(double, preprocess=SMALL).explain(photo, "hirescam", target=0)
    assert e.images.dtype == torch.float64


def test_photographs_without_preprocessing_are_refused_with_the_remedy(model, photo):
    with pytest.raises(ImageError) as refused:
        shapleycam.Explainer(model).explain(photo)
    assert str(refused.value) == (
        "photographs were given, and how this model wants them is not known; give preprocess= (RGB PIL image to "
        "tensor (c, h, w)), or an already preprocessed float tensor (b, c, h, w)"
    )


@pytest.mark.parametrize(
    ("change", "expected_message"),
    [
        (lambda x: x[0], r"shape \(3, 24, 24\) and torch\.float32"),
        (lambda x: x[:, None, None], r"shape \(3, 1, 1, 3, 24, 24\) and torch\.float32"),
        (lambda x: x.to(torch.uint8), r"shape \(3, 3, 24, 24\) and torch\.uint8"),
        (lambda x: x[:0], r"shape \(0, 3, 24, 24\) and torch\.float32"),
    ],
)
def test_a_tensor_of_another_kind_is_refused(change, expected_message, small, batch):
    with pytest.raises(
        ImageError, match=rf"a tensor of {expected_message}; expected preprocessed images \(b, c, h, w\)"
    ):
        small.explain(change(batch))


@pytest.mark.parametrize("images", [[], ()])
def test_no_images_are_refused(images, small):
    with pytest.raises(ImageError, match="no images were given; expected at least one"):
        small.explain(images)


@pytest.mark.parametrize(
    ("images", "kind"), [(np.zeros((1, 3, 24, 24), np.float32), "ndarray"), (5, "int"), (None, "NoneType")]
)
@pytest.mark.parametrize("preprocess", [None, SMALL])
def test_what_holds_no_images_is_refused(images, kind, preprocess, model):
    with pytest.raises(ImageError) as refused:
        shapleycam.Explainer(model, preprocess=preprocess).explain(images)
    assert str(refused.value) == (
        f"images were given as {kind}; expected a path, a PIL image, a list of these, or a preprocessed float tensor "
        "(b, c, h, w)"
    )


def test_in_a_list_what_is_no_photograph_is_named(small, photo, batch):
    with pytest.raises(ImageError, match="image 1 is a Tensor; expected a path or a PIL image"):
        small.explain([photo, batch[0]])


@pytest.mark.parametrize(
    ("preprocess", "expected_message"),
    [
        (lambda image: image, "Image"),
        (lambda image: SMALL(image).expand(2, 3, 24, 24), r"shape \(2, 3, 24, 24\)"),
        (lambda _: None, "NoneType"),
    ],
)
def test_preprocessing_that_makes_no_image_is_refused(preprocess, expected_message, model, photo):
    message = rf"image 0: preprocess= returned {expected_message}; expected a function from an RGB PIL image to a float"
    with pytest.raises(ImageError, match=message):
        shapleycam.Explainer(model, preprocess=preprocess).explain(photo)


def test_preprocessing_that_makes_images_of_several_shapes_is_refused(model, photo):
    def as_it_is(image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255

    with pytest.raises(ImageError, match=r"several shapes, \[\(3, 30, 48\), \(3, 48, 30\)\]; expected one for all"):
        shapleycam.Explainer(model, preprocess=as_it_is).explain([photo, photo.rotate(90, expand=True)])


# Classes


def test_without_a_target_the_predicted_class_is_explained(small, model, batch):
    with torch.no_grad():
        expected = model(batch).argmax(1)
    assert torch.equal(small.explain(batch, "hirescam").target, expected)


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (4, [4, 4, 4]),
        ("4", [4, 4, 4]),
        ("goldfish", [1, 1, 1]),
        ("tinca TINCA", [0, 0, 0]),
        ([0, 4, 1], [0, 4, 1]),
        (("quilt", 0, "1"), [4, 0, 1]),
        (torch.tensor([0, 4, 1]), [0, 4, 1]),
        (torch.tensor([[0], [4], [1]], dtype=torch.int32), [0, 4, 1]),
        (torch.tensor(4), [4, 4, 4]),
        (np.int64(4), [4, 4, 4]),
        (np.array([0, 4, 1]), [0, 4, 1]),
    ],
)
def test_a_target_is_one_for_all_or_one_an_image(target, classes, small, batch):
    e = small.explain(batch, "hirescam", target=target)
    assert e.target.tolist() == classes
    assert e.target.dtype == torch.int64


def test_each_image_is_explained_by_its_own_target(small, batch):
    together = small.explain(batch, "hirescam", target=[0, 4, 1])
    for index, target in enumerate([0, 4, 1]):
        alone = small.explain(batch[index : index + 1], "hirescam", target=target)
        assert torch.allclose(together.values[index], alone.values[0], atol=1e-6)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (5, "class 5 is out of range: the model has classes 0 to 4"),
        (-1, "class -1 is out of range: the model has classes 0 to 4"),
        ([0, 1, 7], "class 7 is out of range: the model has classes 0 to 4"),
        (torch.tensor([0, 1, 7]), "class 7 is out of range: the model has classes 0 to 4"),
        ("crane", "class 'crane' is ambiguous: it is the name of 2 (crane), 3 (crane); give the number"),
        ("quild", "class 'quild' is not among the model's 5 labels; did you mean 'quilt'?"),
        ([0, 1], "targets given: 2, images: 3; expected one target, or one an image"),
        (torch.tensor([0]), "targets given: 1, images: 3; expected one target, or one an image"),
        ([], "targets given: 0, images: 3; expected one target, or one an image"),
        (torch.zeros(3), "the target tensor holds torch.float32 numbers; expected integer classes"),
        (torch.ones(3, dtype=torch.bool), "the target tensor holds torch.bool numbers; expected integer classes"),
        (2.5, "target 2.5 is a float; expected a class number or label"),
        ([0, 1, 2.0], "target 2.0 is a float; expected a class number or label"),
        (np.array([0.5, 1, 2]), f"target {np.float64(0.5)!r} is a float64; expected a class number or label"),
    ],
)
def test_a_target_that_is_none_is_refused(target, message, small, batch):
    with pytest.raises(TargetError) as refused:
        small.explain(batch, target=target)
    assert message in str(refused.value)


def test_a_name_without_labels_is_refused(model, batch):
    with pytest.raises(TargetError, match=r"class 'quilt' is a name, and this model has no labels; give .* or labels="):
        shapleycam.Explainer(model).explain(batch, target="quilt")


# Utilities


def test_a_function_may_be_the_utility(small, batch):
    def mine(output, target):
        return output.gather(1, target[:, None]).squeeze(1)

    e = small.explain(batch, "hirescam", target=0, utility=mine)
    assert e.utility_name == "mine"
    assert torch.equal(e.values, small.explain(batch, "hirescam", target=0, utility="logit").values)


def test_the_explainers_utility_holds_where_none_is_given(model, batch):
    logit = shapleycam.Explainer(model, utility="logit")
    assert logit.explain(batch, "hirescam").utility_name == "logit"
    assert logit.explain(batch, "hirescam", utility="rest").utility_name == "rest"
    assert logit.explain(batch, "hirescam").utility_name == "logit"


@pytest.mark.parametrize(
    ("utility", "message"),
    [
        ("logits", "utility 'logits' is unknown; did you mean 'logit' or 'log_odds'?"),
        (5, "utility 5 is a int; expected a name or a callable (output, target)"),
        (lambda z, _: z, "utility '<lambda>' returned shape (3, 5); expected a tensor (3,), one per image"),
        (lambda *_: 1.0, "utility '<lambda>' returned float; expected a tensor (3,), one per image"),
        (lambda z, _: z.detach()[:, 0], "utility '<lambda>'"),
        (lambda *_: torch.zeros(3), "utility '<lambda>'"),
        (lambda z, _: (z[:, 0] - 1e6).log(), "utility '<lambda>'"),  # NaN
    ],
    ids=["unknown", "no function", "all classes", "no tensor", "detached", "constant", "not a number"],
)
def test_a_utility_that_cannot_be_explained_is_refused(utility, message, small, batch):
    with pytest.raises(OptionError) as refused:
        small.explain(batch, "hirescam", utility=utility)
    assert message in str(refused.value)


# Layers


class Own(nn.Module):
    """A module of the user's own inside the model."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return x + self.inner(x).tanh()


@pytest.fixture(scope="module")
def nested() -> nn.Module:
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.GELU())
    return nn.ModuleDict({"stem": stem, "own": Own(), "fc": nn.Linear(8, 5)})


class Chained(nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def forward(self, x):
        return self.parts["fc"](self.parts["own"](self.parts["stem"](x)).mean((2, 3)))


def test_a_layer_is_a_name_or_the_users_own_module(nested, batch):
    model = Chained(nested)
    by_name = shapleycam.Explainer(model, layer="parts.own")
    by_module = shapleycam.Explainer(model, layer=nested["own"])
    assert by_module.layer == by_name.layer == "parts.own"
    assert torch.equal(by_module.explain(batch, "hirescam").values, by_name.explain(batch, "hirescam").values)


def test_without_a_layer_the_one_before_pooling_is_found_at_the_first_images(nested, batch):
    explainer = shapleycam.Explainer(Chained(nested))
    with pytest.raises(LayerError, match="the layer is found at the first images; explain some, or give layer="):
        explainer.find_layer()
    with pytest.raises(LayerError, match=r"the layer is not known yet; call find_layer\(\), explain some images"):
        _ = explainer.layer
    assert explainer.explain(batch, "hirescam").layer == "parts.own"
    assert explainer.layer == explainer.find_layer() == "parts.own"


def test_the_layer_is_found_at_given_images_and_stays(nested, batch):
    explainer = shapleycam.Explainer(Chained(nested))
    assert explainer.find_layer(batch) == explainer.layer == "parts.own"
    copy = explainer.like(Chained(nested))
    assert copy.layer == "parts.own"


def test_with_preprocessing_the_layer_is_found_before_any_image(nested):
    assert shapleycam.Explainer(Chained(nested), preprocess=SMALL).find_layer() == "parts.own"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("parts.owm", "layer 'parts.owm' is not in the model; did you mean 'parts.own'"),
        (nn.ReLU(), "the given ReLU is not a part of the model; give one of its modules"),
    ],
)
def test_a_layer_that_is_not_in_the_model_is_refused(layer, message, nested):
    with pytest.raises(LayerError) as refused:
        shapleycam.Explainer(Chained(nested), layer=layer)
    assert message in str(refused.value)


@pytest.mark.parametrize(("layer", "reason"), [("2", "which is one cell"), ("4", "in which there is no grid")])
def test_a_layer_without_a_grid_is_refused(layer, reason, model, batch):
    with pytest.raises(LayerError, match=rf"layer '{layer}' returns shape .* for images of 24 x 24, {reason}"):
        shapleycam.Explainer(model, layer=layer).explain(batch)


# Model and device


@pytest.mark.parametrize("model", [5, None, torch.zeros(3)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(OptionError, match=r"model is a \w+; expected a name, a Network or a torch\.nn\.Module"):
        shapleycam.Explainer(model)


def test_an_unknown_model_is_refused_with_the_nearest_names():
    with pytest.raises(ModelError, match=r"model 'efficientnet_lite9' is unknown; did you mean .*'efficientnet_lite0'"):
        shapleycam.Explainer("efficientnet_lite9")


def test_a_network_brings_its_preprocessing_and_labels(model, photo):
    network = shapleycam.Network(model, SMALL, LABELS, "mine")
    e = shapleycam.Explainer(network).explain(photo, "hirescam", target="quilt")
    assert e.label() == "quilt"
    assert repr(shapleycam.Explainer(network)).startswith("Explainer(mine, ")


def test_what_is_given_goes_before_what_the_network_brings(model):
    network = shapleycam.Network(model, SMALL, LABELS, "mine")
    explainer = shapleycam.Explainer(network, preprocess=abs, labels=["a", "b"])
    assert explainer.preprocess is abs
    assert explainer.labels == ("a", "b")


@pytest.mark.parametrize("device", ["nonsense", "cuda:999"])
def test_a_device_that_cannot_be_used_is_refused(device, model):
    with pytest.raises(OptionError, match=rf"device '{device}' cannot be used \(.+\); use 'cpu', 'cuda' or 'mps'"):
        shapleycam.Explainer(model, device=device)


def test_an_output_without_classes_is_refused(batch):
    segmenter = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 5, 1))
    with pytest.raises(TargetError, match=r"the model's output has shape \(3, 5, 6, 6\); expected logits"):
        shapleycam.Explainer(segmenter, layer="0").explain(batch)


# Methods


def test_an_unknown_method_is_refused_with_the_nearest_names(small, batch):
    with pytest.raises(OptionError, match=r"method 'shapleycams' is unknown; did you mean 'shapleycam'"):
        small.explain(batch, "shapleycams")


def test_no_methods_are_refused(small, batch):
    with pytest.raises(OptionError, match=r"no methods were given; expected at least one \(shapleycam methods"):
        small.compare(batch, [])


# What is said about a valid result


def warning_text(caught: pytest.WarningsRecorder) -> str:
    (warning,) = (w for w in caught if issubclass(w.category, ShapleyCamWarning))
    return str(warning.message)


def test_a_blank_map_without_evidence_is_told_with_the_reason():
    explainer = explain_at_features(Mean(-1.0, 1.0), labels=["night", "day"])
    with pytest.warns(BlankHeatmapWarning) as caught:
        e = explainer.explain(grey([1.0, 2.0], [3.0, 4.0]), "hirescam", target="night", utility="logit")
    assert warning_text(caught) == (
        "image 0: the hirescam heatmap for 'night' is blank: no position speaks for the class; look at the signed "
        "values, or explain another class"
    )
    assert not e.heatmap.any()
    assert e.values[0].tolist() == [[-0.25, -0.5], [-0.75, -1]]


def test_a_blank_map_of_equal_values_is_told_with_the_reason():
    with pytest.warns(BlankHeatmapWarning) as caught:
        explain_at_features(Mean(1.0, -1.0)).explain(grey([2.0, 2.0], [2.0, 2.0]), "hirescam", 0, "logit")
    assert warning_text(caught) == (
        "image 0: the hirescam heatmap for 'class 0' is blank: all positions have the same value; choose a layer with "
        "a finer grid"
    )


def test_a_blank_map_of_zeros_is_told_with_the_ways_out():
    with pytest.warns(BlankHeatmapWarning) as caught:
        explain_at_features(Mean(1.0, -1.0)).explain(grey([100.0, 200.0], [300.0, 400.0]), "hirescam", 0, "probability")
    assert warning_text(caught) == (
        "image 0: the hirescam heatmap for 'class 0' is blank: every value is zero: nothing speaks for the class, or "
        "utility 'probability' is flat here; try utility 'rest' or another layer"
    )


def test_a_blank_map_of_a_method_without_negative_values_points_to_one_with_them():
    with pytest.warns(BlankHeatmapWarning) as caught:
        explain_at_features(Mean(-1.0, 1.0)).explain(grey([1.0, 2.0], [3.0, 4.0]), "layercam", 0, "rest")
    assert "every value is zero: nothing speaks for the class" in warning_text(caught)
    assert warning_text(caught).endswith("try method 'hirescam' or another layer")


def test_only_the_blank_maps_of_a_batch_are_told():
    pair = torch.cat([grey([1.0, 2.0], [3.0, 4.0]), grey([-1.0, -2.0], [-3.0, -4.0])])
    with pytest.warns(BlankHeatmapWarning) as caught:
        explain_at_features(Mean(1.0, -1.0)).explain(pair, "hirescam", 0, "logit")
    assert warning_text(caught).startswith("image 1: ")


@pytest.mark.parametrize(
    ("weights", "utility", "remedy"),
    [((1.0, -1.0), "logit", "utility 'rest' or an earlier layer"), ((1.0, 1.0), "rest", "an earlier layer")],
)
def test_no_curvature_is_told_with_the_remedy(weights, utility, remedy):
    """The logit is linear here; and ReST too where both classes have the same logit, so that half of all is each's."""
    with pytest.warns(NoCurvatureWarning) as caught:
        e = explain_at_features(Mean(*weights)).explain(grey([1.0, 2.0], [3.0, 4.0]), "shapleycam", 0, utility)
    assert warning_text(caught) == (
        f"utility '{utility}' has no curvature behind layer 'features' (H·A = 0), so shapleycam equals gradcam there, "
        f"shapleycam-h hirescam and so on; for a second order choose {remedy}"
    )
    assert e.curvature.tolist() == [0]


def test_no_curvature_is_not_told_where_no_second_order_was_asked_for():
    explain_at_features(Mean(1.0, -1.0)).explain(grey([1.0, 2.0], [3.0, 4.0]), "gradcam", 0, "logit")


def test_warnings_point_at_the_users_own_line(batch):
    linear = explain_at_features(Mean(1.0, -1.0), utility="logit")
    with pytest.warns(NoCurvatureWarning) as caught:
        linear.explain(batch[:1].abs(), "shapleycam-h", 0)
    assert [w.filename for w in caught] == [__file__]


def test_with_curvature_and_evidence_nothing_is_told(small, batch, recwarn):
    small.explain(batch, "shapleycam-h", target=0)
    assert not [w for w in recwarn if issubclass(w.category, ShapleyCamWarning)]


def test_what_a_user_can_mend_is_one_kind_of_error(small):
    with pytest.raises(ShapleyCamError):
        small.explain("nowhere.jpg")
