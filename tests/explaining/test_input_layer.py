"""The layer "input": the preprocessed image as the activation, with the whole model as the head."""

from __future__ import annotations

import warnings

import pytest
import timm
import torch
import torchvision
from scipy.ndimage import gaussian_filter
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer, trace
from shapleycam.errors import InputModuleWarning, LayerError, OptionError, ReplayError
from shapleycam.explanations import Explanation
from shapleycam.layers import audit, layers_to_list

captum_attr = LazyModule("captum.attr")

SIZE = 64
QUICK = ["hirescam", "gradcam", "layercam", "shapleycam-h", "pathcam-h", "eigencam", "liftcam"]


def pictures(count=2, size=SIZE, dtype=torch.float64):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=dtype)


def small(*first):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    return nn.Sequential(*first, *layers)


def network(name):
    torch.manual_seed(0)
    if name == "vit":
        model = timm.create_model("vit_tiny_patch16_224", img_size=SIZE, num_classes=7, depth=3)
    else:
        model = getattr(torchvision.models, name)(num_classes=7)
    return model.eval().double()


def blurred(images):
    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, 6, 6)))


BASELINES = {"zero": torch.zeros_like, "tensor": lambda x: x.flip(3) / 2, "blurred": blurred}


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ScaleInvariantHeadWarning")
class TestCaptum:
    """Captum attributes each colour of a pixel by itself; a pixel is worth their sum."""

    @pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit"])
    @pytest.mark.slow
    def test_input_x_gradient(self, name):
        model, images = network(name), pictures()
        values = Explainer(model, layer="input", utility="logit").explain(images, "hirescam", 3).values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = captum_attr.InputXGradient(model).attribute(images.clone(), target=3).sum(1)
        assert float((values - expected).norm() / expected.norm()) < 1e-6

    @pytest.mark.parametrize(
        ("name", "baseline"), [("vit", "zero"), ("mobilenet_v2", "tensor"), ("resnet18", "blurred")]
    )
    @pytest.mark.slow
    def test_integrated_gradients(self, name, baseline):
        model, images = network(name), pictures(1)
        removed = BASELINES[baseline](images)
        explainer = Explainer(model, layer="input", utility="logit", removal=removed)
        values = explainer.explain(images, "pathcam-h", 3, nodes=8).values
        gradients = captum_attr.IntegratedGradients(model)
        expected = gradients.attribute(images, removed, 3, n_steps=8, method="gausslegendre").sum(1)
        assert float((values - expected).norm() / expected.norm()) < 1e-6


def test_every_method_is_that_of_an_identity_in_front():
    model, images = small(), pictures(2, 12, torch.float32)
    at_input = Explainer(model, layer="input").compare(images, QUICK)
    behind_identity = Explainer(nn.Sequential(nn.Identity(), model), layer="0").compare(images, QUICK)
    for method in QUICK:
        torch.testing.assert_close(at_input[method].values, behind_identity[method].values, rtol=1e-5, atol=1e-6)
        assert at_input[method].layer == "input"


def test_the_activation_is_the_image_and_the_head_the_model():
    model, images = small().eval(), pictures(2, 12, torch.float32)
    traced = trace(model, images, "input", replay=True)
    assert torch.equal(traced.activation, images)
    assert traced.reads_activation_alone
    others = pictures(5, 12, torch.float32) * 2
    samples = torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(traced.head(others, samples), model(others))


def test_a_model_that_writes_into_its_images_sees_each_coalition_whole():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, images):
            images.mul_(2)
            return self.inner(images)

    images = pictures(1, 12, torch.float32)
    game, plain = (Explainer(m, layer="input").game(images, 1, "logit", (2, 2)) for m in (Writes(), small()))
    coalitions = torch.tensor([[True, False, True, False], [False, True, True, True]])
    presence = torch.nn.functional.interpolate(coalitions.float().unflatten(1, (2, 2))[:, None], 12)
    expected = small()(2 * images * presence)[:, 1] - small()(torch.zeros_like(images))[:, 1]
    for _ in range(2):
        torch.testing.assert_close(game.value(coalitions)[0], expected.detach())
    assert plain.grand != game.grand


@pytest.mark.parametrize("keyword", [False, True])
def test_further_inputs_stay_with_their_image(keyword):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small()

        def forward(self, pixel_values, scale):
            return self.inner(pixel_values) * scale[:, None]

    images, scale = pictures(2, 12, torch.float32), torch.tensor([1.0, 3.0])
    inputs = {"scale": scale} if keyword else (scale,)
    values = Explainer(Scaled(), layer="input").explain(images, "pathcam-h", 1, "logit", inputs=inputs).values
    plain = Explainer(small(), layer="input").explain(images, "pathcam-h", 1, "logit").values
    torch.testing.assert_close(values, plain * scale[:, None, None])


def test_a_hook_before_the_model_belongs_to_what_is_explained():
    model, images = small(), pictures(1, 12, torch.float32)
    plain = Explainer(small(), layer="input").explain(images * 2, "hirescam", 1, "logit").values
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))
    torch.testing.assert_close(Explainer(model, layer="input").explain(images, "hirescam", 1, "logit").values, plain)


def test_the_users_model_keeps_no_trace():
    model = small()
    before = {module: set(vars(module)) for module in model.modules()}
    Explainer(model, layer="input").explain(pictures(1, 12, torch.float32), "pathcam-h")
    assert {module: set(vars(module)) for module in model.modules()} == before


class TestNames:
    def test_any_spelling_and_wrappers(self):
        images = pictures(1, 12, torch.float32)
        for model, layer in ((small(), "Input"), (nn.DataParallel(small()), "input"), (small(), "INPUT")):
            explainer = Explainer(model, layer=layer)
            assert explainer.layer == explainer.explain(images, "hirescam").layer == "input"

    def test_a_module_of_that_name_is_meant_itself_and_that_is_said(self):
        model = nn.Sequential()
        model.add_module("input", nn.Conv2d(3, 4, 3))
        model.add_module("rest", small()[1:])
        images = pictures(1, 12, torch.float32)
        with pytest.warns(InputModuleWarning, match="the model's own module of that name, Conv2d, and not the image"):
            explainer = Explainer(model, layer="input")
        assert explainer.explain(images, "hirescam").values.shape == (1, 10, 10)
        by_module = Explainer(model, layer=model.input)  # it is clear what is meant: a warning would be an error
        assert by_module.layer == "input"
        with pytest.raises(LayerError, match=r"layer 'Input' is not in the model"):
            Explainer(model, layer="Input")
        names = [c.name for c in layers_to_list(audit(model, images), model, "input")]
        assert names.count("input") == 1
        for choice in ({"removal": "blur"}, {"players": "superpixels:4"}):
            with pytest.raises(OptionError, match=r"'input' is inside the model; expected layer 'input' of Sequential"):
                by_module.explain(images, "leaveoneout", **choice)
            of_image = Explainer(nn.Sequential(model), layer="input").explain(images, "leaveoneout", **choice)
            assert of_image.values.shape == (1, 12, 12)

    def test_a_condition_of_the_whole_batch_makes_no_game(self):
        """Alone, an image without content is not rescaled; beside others it would be."""

        class Rescaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = small()

            def forward(self, x):
                return self.model((x + 1) / 2 if float(x.min()) < 0 else x)

        images = pictures(1, 12, torch.float32) - 0.5
        with pytest.raises(ReplayError, match="rows of a batch influence each other"):
            Explainer(Rescaled().eval(), layer="input").explain(images, "exactshapley", players=(2, 2))

    def test_a_mistyped_name_is_told_of_it(self):
        with pytest.raises(LayerError, match=r"layer 'imput' is not in the model; did you mean 'input'"):
            Explainer(small(), layer="imput")


class TestRefusals:
    def test_videos_have_no_layout(self):
        model = nn.Sequential(nn.Flatten(2), nn.Linear(3 * 64, 4), nn.Flatten(), nn.Linear(20, 3))
        with pytest.raises(LayerError, match=r"channels are not the second dimension; expected images"):
            Explainer(model, layer="input", images="video").explain(torch.rand(1, 5, 3, 8, 8), "hirescam")

    def test_another_layout(self):
        with pytest.raises(LayerError, match=r"layout 'NHWC' was given for layer 'input', .* 'NCHW 12 x 12'; leave"):
            Explainer(small(), layer="input", layout="NHWC").explain(pictures(1, 12), "hirescam")

    def test_one_pixel(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten())
        with pytest.raises(LayerError, match=r"have one pixel; expected several places"):
            Explainer(model, layer="input").explain(torch.rand(1, 3, 1, 1), "hirescam")

    def test_bfloat16_before_the_image(self):
        with pytest.raises(LayerError, match="nothing before layer 'input' runs in bfloat16"):
            Explainer(small(), layer="input", precision="bfloat16").explain(pictures(1, 12, torch.float32), "hirescam")

    def test_a_matrix_of_all_pairs_of_pixels(self):
        with pytest.raises(OptionError, match=r"kpcacam compares each two of 16,900 positions, a matrix of 2 GiB"):
            Explainer(small(), layer="input").explain(pictures(1, 130, torch.float32), "kpcacam")


def test_volumes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(1, 3, 2), nn.Tanh(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 2))
    volumes = torch.rand(2, 1, 4, 5, 6)
    values = Explainer(model, layer="input").explain(volumes, "hirescam", 0, "logit").values
    leaf = volumes.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(values, (volumes * gradient)[:, 0])


def test_saved_and_loaded(tmp_path):
    explanation = Explainer(small(), layer="input").explain(pictures(2, 12, torch.float32), "hirescam")
    loaded = Explanation.load(explanation.save(tmp_path / "e.npz"))
    assert loaded.layer == "input"
    assert torch.equal(loaded.values, explanation.values)


def test_fused_with_another_layer():
    images = pictures(1, 12, torch.float32)
    explanation = Explainer(small(), layer=["input", "0"]).explain(images, "gradcam-e")
    assert explanation.layer == "input + 0"
    assert explanation.heatmap.shape == (1, 12, 12)
