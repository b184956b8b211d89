"""What a script of pytorch-grad-cam's meets: names, arguments, refusals in one line; the model as it was found."""

from __future__ import annotations

import inspect
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import METHODS, Explainer, ShapleyCamError
from shapleycam.compat import grad_cam
from shapleycam.compat.grad_cam import GradCAM, missing
from shapleycam.compat.grad_cam.utils.model_targets import (
    ClassifierOutputTarget,
    RawScoresOutputTarget,
    SemanticSegmentationTarget,
)
from shapleycam.compat.grad_cam.utils.reshape_transforms import swinT_reshape_transform, vit_reshape_transform
from shapleycam.errors import BlankHeatmapWarning, ImageError, LayerError, OptionError, TargetError

peer = LazyModule("pytorch_grad_cam")
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    )


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_every_class_of_the_package_is_here_or_says_what_to_use_in_its_place():
    classes = [name for name, thing in vars(import_module("pytorch_grad_cam")).items() if inspect.isclass(thing)]
    assert len(classes) > 20
    for name in [*classes, "run_dff_on_image"]:
        found = getattr(grad_cam, name)
        if name in missing.MISSING:
            with pytest.raises(OptionError, match=f"^{name} of pytorch-grad-cam is not in shapleycam: it ") as caught:
                found(model=None, target_layers=[])
            assert "\n" not in str(caught.value)
        elif hasattr(found, "method"):
            assert found.method in METHODS
    with pytest.raises(AttributeError, match="no attribute 'NoSuchCAM'"):
        _ = grad_cam.NoSuchCAM


def test_every_constructor_and_call_takes_what_the_peers_takes():
    """But for what says how that package works inside."""
    inner = {"self", "compute_input_gradient", "uses_gradients", "detach", "kernel", "gamma", "k", "args", "kwargs"}
    layers = {"AblationLayer", "AblationLayerVit"}  # hold nothing here
    for name in sorted({*dir(grad_cam)} - {*missing.MISSING, *layers, "BaseCAM"}):
        ours, theirs = getattr(grad_cam, name), getattr(peer, name)
        pairs = [(ours.__init__, theirs.__init__), (ours.__call__, getattr(theirs, "forward", theirs.__call__))]
        for our_function, their_function in pairs:
            expected = {*inspect.signature(their_function).parameters} - inner
            assert expected <= {*inspect.signature(our_function).parameters}, (name, expected)


def test_the_model_is_as_it_was(model, images):
    model.train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cam = GradCAM(model=model, target_layers=[model[0]])
    cam(images, [ClassifierOutputTarget(1)] * 2, aug_smooth=True)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_channels_that_are_removed_behind_a_relu(model, images):
    """The layer's smallest number is zero there, which is what the other package puts in place of a channel."""
    targets = [ClassifierOutputTarget(1)] * 2
    layer = grad_cam.AblationLayerVit()
    ours = grad_cam.AblationCAM(model, [model[1]], None, layer, 4)(images, targets)
    theirs = peer.AblationCAM(model, [model[1]])(images, targets)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    with pytest.raises(OptionError, match=r"ratio_channels_to_ablate is 0\.5; expected 1"):
        grad_cam.AblationCAM(model, [model[1]], ratio_channels_to_ablate=0.5)


def test_an_error_within_the_block_is_not_swallowed(model):
    with pytest.raises(IndexError), GradCAM(model, [model[0]]):
        raise IndexError


def test_the_outputs_of_an_augmented_map_are_those_of_the_images_themselves(model, images):
    """The peer's are those of the image that it changed last: mirrored, and 1.1 times as bright."""
    targets = [ClassifierOutputTarget(1)] * 2
    with GradCAM(model=model, target_layers=[model[1]]) as cam:
        cam(images, targets, aug_smooth=True)
    assert torch.allclose(cam.outputs, model(images))
    with peer.GradCAM(model=model, target_layers=[model[1]]) as theirs:
        theirs(images, targets, aug_smooth=True)
    assert torch.allclose(theirs.outputs, model(images.flip(3) * 1.1))


def test_tta_transforms_of_the_users_own(model, images):
    class Darker:
        def augment_image(self, image):
            return image / 2

        def deaugment_mask(self, mask):
            return mask.flip(2)

    targets = [ClassifierOutputTarget(1)] * 2
    cam = GradCAM(model, [model[0]], tta_transforms=[Darker(), Darker()])
    plain = GradCAM(model, [model[0]])(images / 2, targets)
    np.testing.assert_allclose(cam(images, targets, aug_smooth=True), plain[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(cam(images, targets), GradCAM(model, [model[0]])(images, targets), atol=1e-6)


class Tokens(nn.Module):
    """Patches as tokens behind a class token, mixed by attention."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, stride=2)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).mT
        tokens = self.norm(torch.cat([tokens.mean(1, keepdim=True), tokens], 1))
        return self.head(self.attention(tokens, tokens, tokens)[0][:, 0])


def test_a_reshape_transform_says_the_layout_and_need_not_be_given(images):
    torch.manual_seed(0)
    model, targets = Tokens(), [ClassifierOutputTarget(1)] * 2
    given = GradCAM(model, [model.norm], lambda tensor: vit_reshape_transform(tensor, 4, 4))(images, targets)
    np.testing.assert_array_equal(given, GradCAM(model, [model.norm])(images, targets))
    expected = Explainer(model, layer="norm", utility="logit", layout="tokens 4x4 after 1").explain(
        images, "gradcam", 1
    )
    np.testing.assert_allclose(given, expected.heatmap, atol=1e-6)


def test_layers_of_two_grids_are_explained_without_a_reshape_transform(images):
    """One layout is asked for by a transform; those that are found may differ."""

    class Stages(Tokens):
        def forward(self, images):
            fine = self.norm(self.patches(images).flatten(2).mT).tanh()
            coarse = nn.functional.avg_pool2d(fine.mT.unflatten(2, (4, 4)), 2).flatten(2).mT
            return self.head(self.attention.out_proj(coarse).tanh().mean(1))

    def square(tokens):
        side = int(tokens.shape[1] ** 0.5)
        return tokens.unflatten(1, (side, side)).permute(0, 3, 1, 2)

    torch.manual_seed(0)
    model, targets = Stages(), [ClassifierOutputTarget(1)] * 2
    layers = [model.norm, model.attention.out_proj]
    with pytest.raises(OptionError, match="the layers have layouts 'tokens 4 x 4' and 'tokens 2 x 2'"):
        GradCAM(model, layers, square)(images, targets)
    ours = GradCAM(model, layers)(images, targets)
    theirs = peer.GradCAM(model, layers, square)(images.clone(), targets)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


RESHAPES = {
    "another size": (lambda t: swinT_reshape_transform(t, 7, 7), "raised RuntimeError for the layer's activation"),
    "other numbers": (lambda t: vit_reshape_transform(t, 4, 4).abs(), "not its numbers as they are in reading order"),
    "turned": (lambda t: vit_reshape_transform(t, 4, 4).mT, "not its numbers as they are in reading order"),
    "no map": (lambda t: t[:, 1:], "expected (b, c, h, w)"),
    "no tensor": (lambda t: {"a": t}, "makes dict of the layer's activation"),
}


@pytest.mark.parametrize("case", RESHAPES)
def test_a_reshape_transform_that_does_something_else_is_refused(images, case):
    reshape, message = RESHAPES[case]
    model = Tokens()
    with pytest.raises(OptionError) as caught:
        GradCAM(model, [model.norm], reshape)(images)
    assert str(caught.value).startswith("reshape_transform ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([ClassifierOutputTarget(1)], "targets= has 1 of ClassifierOutputTarget, and there are 2 images"),
        ([1, 2], "targets= has 2 of int"),
        ([RawScoresOutputTarget()] * 2, "RawScoresOutputTarget returned shape (5,); expected one number"),
        ([lambda output: 3.0] * 2, "function returned float; expected one number"),
        ([ClassifierOutputTarget(5)] * 2, "ClassifierOutputTarget raised IndexError: index 5 is out of bounds"),
        ([lambda output: output.missing] * 2, "function raised "),
        (ClassifierOutputTarget(1), "targets= is a ClassifierOutputTarget; expected a list with one callable"),
        ([], "targets= has 0 of nothing, and there are 2 images"),
    ],
)
def test_targets_that_mean_no_number_an_image(model, images, targets, message):
    with pytest.raises(ShapleyCamError) as caught:
        GradCAM(model, [model[0]])(images, targets)
    assert str(caught.value).startswith(message)


def test_what_the_model_returns_is_explained_as_it_is(images):
    """Probabilities too, where an explainer's own utility takes the logits behind them."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    model = nn.Sequential(*layers, nn.Softmax(1))
    ours = grad_cam.HiResCAM(model, [model[0]])(images, [ClassifierOutputTarget(1)] * 2)
    theirs = peer.HiResCAM(model, [model[0]])(images.clone(), [ClassifierOutputTarget(1)] * 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_more_images_than_classes(model, images):
    many = torch.cat([images, images.flip(2), images.flip(3), 2 * images])
    targets = [ClassifierOutputTarget(number % 5) for number in range(8)]
    ours = grad_cam.XGradCAM(model, [model[0]])(many, targets)
    theirs = peer.XGradCAM(model, [model[0]])(many.clone(), targets)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_layer_of_one_cell_has_a_blank_map_as_there(images):
    """An explainer refuses such a layer; here the map is zero with a warning, as all places have the same value."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4, 5))
    targets = [ClassifierOutputTarget(1)] * 2
    with pytest.warns(BlankHeatmapWarning):
        ours = GradCAM(model, [model[0]])(images, targets)
    np.testing.assert_array_equal(ours, peer.GradCAM(model, [model[0]])(images.clone(), targets))


def test_segmentation(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 2, 3, padding=1))
    mask = np.zeros((8, 8), np.float32)
    mask[2:5, 1:4] = 1
    targets = [SemanticSegmentationTarget(1, mask)] * 2
    cam = GradCAM(model, [model[0]])
    ours, theirs = cam(images, targets), peer.GradCAM(model, [model[0]])(images.clone(), targets)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert cam.outputs.shape == (2, 2, 8, 8)
    with pytest.raises(OptionError, match="the mirror image too, and utility 'the target' is of an output with places"):
        cam(images, targets, aug_smooth=True)
    with pytest.raises(ShapleyCamError, match=r"the model returns shape \(2, 2, 8, 8\); without targets= expected"):
        cam(images)


def test_a_method_of_the_users_own_is_refused_and_not_ignored():
    with pytest.raises(OptionError, match="Mine defines get_cam_weights, which BaseCAM of "):
        type("Mine", (grad_cam.BaseCAM,), {"get_cam_weights": lambda *_: 1})
    with pytest.raises(OptionError, match="BaseCAM has no method"):
        grad_cam.BaseCAM(nn.Identity(), [])


@pytest.mark.parametrize("layers", [nn.ReLU(), nn.Sequential(nn.ReLU()), "1", None, [], ()])
def test_target_layers_that_are_no_list_are_refused(model, layers):
    """An empty list would let a layer be chosen, and a container would give the mean over its parts."""
    with pytest.raises(LayerError, match=r"^target_layers is .*; expected (a list|at least one) of the model's"):
        GradCAM(model, layers)


@pytest.mark.parametrize("images", [None, [torch.zeros(3, 8, 8)], np.zeros((1, 3, 8, 8)), torch.zeros(3, 8, 8)])
def test_images_that_are_no_batch_are_refused(model, images):
    cam = GradCAM(model, [model[0]])
    finer = grad_cam.FinerCAM(model, [model[0]])
    guided = grad_cam.GuidedBackpropReLUModel(model)
    factorisation = grad_cam.DeepFeatureFactorization(model, model[0])
    for explain in (cam, finer, guided, factorisation):
        with pytest.raises(ImageError, match=r"^input_\w+ (is a|has shape) .*; expected .*\(b, c, h, w\)"):
            explain(images)


def test_what_finercam_does_not_compare(model, images):
    finer = grad_cam.FinerCAM(model, [model[0]])
    with pytest.raises(TargetError, match="target_idx=5; expected a class from 0 to 4"):
        finer(images, target_idx=5)
    with pytest.raises(OptionError, match=r"comparison_categories=\[7\]; expected places of other classes"):
        finer(images, comparison_categories=[7])
    with pytest.raises(OptionError, match="targets= has 0 of nothing"):
        finer(images, [])
    maps = nn.Sequential(*model[:2])
    with pytest.raises(TargetError, match=r"the model returns shape \(2, 4, 8, 8\); without targets= expected"):
        grad_cam.FinerCAM(maps, [maps[0]])(images)


class Heads(nn.Module):
    """Returns two outputs, the tuple of which is as long as a batch of two images."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second = nn.Linear(4, 5), nn.Linear(4, 2)

    def forward(self, images):
        pooled = self.features(images).tanh().mean((2, 3))
        return self.first(pooled), self.second(pooled)


@pytest.mark.parametrize("method", ["GradCAM", "EigenCAM", "ScoreCAM"])
def test_outputs_as_many_as_images_are_no_rows_of_images(images, method):
    """The other package asks the first target of the first output, and so on: the mean over images of two questions."""
    model = Heads()
    with pytest.raises(TargetError, match=r"^the model returns a tuple of shapes \(2, 5\), \(2, 2\) for 2 images"):
        getattr(grad_cam, method)(model, [model.features])(images, [lambda output: output[:, 1].sum()] * 2)


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 8), (8,), (1, 1), (4, 4)])
def test_a_mask_of_another_size_is_not_broadcast(images, shape):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 2, 3, padding=1))
    targets = [SemanticSegmentationTarget(1, np.ones(shape, np.float32))] * 2
    with pytest.raises(TargetError, match=r"^the mask has shape .* and the model returns \(8, 8\) for a class"):
        GradCAM(model, [model[0]])(images, targets)
