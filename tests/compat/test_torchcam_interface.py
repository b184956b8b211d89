"""What a script of torch-cam's meets: names, arguments, refusals in one line; the model as it was found."""

from __future__ import annotations

import inspect
from copy import deepcopy
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer, ShapleyCamError
from shapleycam.compat import grad_cam
from shapleycam.compat.torchcam import methods, metrics, utils
from shapleycam.compat.torchcam.extractor import HookArguments
from shapleycam.errors import ImageError, OptionError, TargetError

peer, peer_metrics, peer_utils = (LazyModule(f"torchcam.{name}") for name in ("methods", "metrics", "utils"))
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
HERE = sorted({*methods.__all__} - {"OutputTarget"})


def network(*tail):
    """A convolution, positive activations, and a classifier behind a coarse pooling."""
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5), *tail]
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), *head).eval()


@pytest.fixture
def model():
    return network()


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def maps_of(library, method, model, images, layer="1", classes=1, **options):
    with getattr(library, method)(model, layer, **options) as extractor:
        return extractor(classes, model(images))


def test_every_name_of_the_package_is_here_or_says_what_to_use_in_its_place():
    package = import_module("torchcam.methods")
    names = {name for name, thing in vars(package).items() if inspect.isclass(thing) and not name.startswith("_")}
    assert names == {*HERE, *methods.MISSING}
    for name in methods.MISSING:
        with pytest.raises(OptionError, match=f"^{name} of torch-cam is not in shapleycam: it [^\n]*$"):
            getattr(methods, name)(None, target_layer="1")
    with pytest.raises(AttributeError, match="no attribute 'NoSuchCAM'"):
        _ = methods.NoSuchCAM
    with pytest.raises(OptionError, match="DeletionInsertionMetric of torch-cam is not in shapleycam"):
        metrics.DeletionInsertionMetric(None)


def test_every_constructor_and_call_takes_what_the_peers_takes():
    hidden = {"kwargs", "base_kwargs", "self"}
    for name in HERE:
        ours, theirs = getattr(methods, name), getattr(peer, name)
        inherited = {*inspect.signature(peer.GradCAM.__mro__[2].__init__).parameters}  # behind **kwargs there
        for function, expected in ((ours.__init__, inherited), (ours.__call__, set())):
            of_peer = {*inspect.signature(getattr(theirs, function.__name__)).parameters} | expected
            of_ours = {*inspect.signature(function).parameters}
            # `hooks` are these, and `base_arguments` go on to the constructor of another extractor.
            of_ours |= {*HookArguments.__annotations__} if of_ours & {"hooks", "base_arguments"} else set()
            assert of_peer - hidden <= of_ours, name


def test_lists_of_classes_and_several_layers(model, images):
    for method in ("GradCAM", "XGradCAM", "LayerCAM"):
        ours, theirs = (maps_of(library, method, model, images, ["0", model[1]], [4, 2]) for library in (methods, peer))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
        for size in (None, (11, 7)):
            fused = [
                getattr(library, method).fuse_cams([m, m[:, ::2, ::2].flip(1)], size)
                for library, m in ((methods, ours[0]), (peer, theirs[0]))
            ]
            torch.testing.assert_close(*fused, rtol=0, atol=1e-5)
    with pytest.raises(OptionError, match="a list of at least one map"):
        methods.GradCAM.fuse_cams([])
    for maps, size in (([ours[0], ours[0][:1]], None), ([ours[0][0], ours[0]], None), (2 * ours, 7), (2 * ours, (7,))):
        with pytest.raises(OptionError, match=r"the maps have shapes .*; expected maps \(b, h, w\) of the same images"):
            methods.GradCAM.fuse_cams(maps, size)


def test_cam_where_the_mean_is_followed_by_a_linear_layer(images):
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    for options in ({}, {"normalized": False}):
        maps = []
        for library in (methods, peer):
            with library.CAM(pooled, "0", "3") as extractor, torch.inference_mode():
                pooled(images)
                maps.append(extractor([4, 0], **options)[0])
        torch.testing.assert_close(*maps, rtol=0, atol=1e-5)
    with pytest.raises(OptionError, match="fc_layer is not the model's classifier, '3'"):
        methods.CAM(pooled, "0", pooled[0])
    with pytest.raises(OptionError, match="CAM is given 2 layers"):
        methods.CAM(pooled, ["0", "1"])
    with methods.CAM(pooled, "0") as extractor:
        pooled(images)
        with pytest.raises(OptionError, match="CAM explains a class"):
            extractor(targets=lambda row: row[0])


def test_cam_elsewhere_is_refused_where_the_peer_multiplies_what_does_not_belong_together(images):
    """Behind a pooling to 1 × 2 a channel has two weights, and the peer takes whichever fit by number."""
    torch.manual_seed(0)
    curved = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softplus(), nn.Linear(4, 5)
    ).eval()
    with methods.CAM(curved, "0") as extractor:
        curved(images)
        with pytest.raises(OptionError, match="method 'cam' needs a model that averages the positions"):
            extractor(1)


def test_noisy_gradients_are_those_of_the_method(model, images):
    [ours] = maps_of(methods, "SmoothGradCAMpp", model, images)
    values = Explainer(model, layer="1", utility="logit").explain(images, "smoothgradcam++", 1).values.relu()
    shifted = values - values.amin((1, 2), keepdim=True)
    torch.testing.assert_close(ours, shifted / shifted.amax((1, 2), keepdim=True), rtol=0, atol=1e-4)
    with pytest.raises(OptionError, match=r"num_samples=8, std=0\.3; expected num_samples=4, std=0\.3, which"):
        methods.SmoothGradCAMpp(model, "1", num_samples=8)


def test_scorecam_but_for_the_order_of_resizing_and_scaling(model, images):
    """At a layer of the image's size there is nothing to resize, and the maps are the same."""
    [ours], [theirs] = (
        maps_of(library, "ScoreCAM", model, images, classes=[1, 3], batch_size=3) for library in (methods, peer)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    targets = [lambda row: row[1].square(), lambda row: row[2] - row[3]]
    maps = []
    for library in (methods, peer):
        with library.ScoreCAM(model, "1") as extractor:
            model(images)
            maps.append(extractor(targets=targets)[0])
    torch.testing.assert_close(*maps, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["SSCAM", "ISCAM"])
def test_other_masks_are_those_of_the_methods(model, images, name):
    extractor_class = getattr(methods, name)
    with extractor_class(model, "1") as extractor:
        model(images)
        [ours] = extractor([1, 3])
    method = extractor_class.method
    values = Explainer(model, layer="1", utility="logit").explain(images, method, [1, 3]).values.relu()
    shifted = values - values.amin((1, 2), keepdim=True)
    torch.testing.assert_close(ours, shifted / shifted.amax((1, 2), keepdim=True), rtol=0, atol=1e-4)
    with pytest.raises(OptionError, match=r"num_samples=35.*; expected num_samples=10"):
        extractor_class(model, "1", num_samples=35)


def test_the_layer_before_pooling_where_none_is_named(model, images, caplog):
    extractors = [library.GradCAM(model, input_shape=(3, 8, 8)) for library in (methods, peer)]
    ours, theirs = extractors
    assert ours.target_names == theirs.target_names == ["2"]
    assert "thus set to '2'" in caplog.text
    assert repr(ours) == repr(theirs) == "GradCAM(target_layer=['2'])"
    theirs.remove_hooks()
    [default] = ours(1, model(images))
    torch.testing.assert_close(default, maps_of(peer, "GradCAM", model, images, "2")[0], rtol=0, atol=1e-5)


def test_no_graph_is_needed_for_the_models_own_output(model, images):
    with methods.GradCAM(model, "1") as extractor:
        with torch.inference_mode():
            scores = model(images)
        [ours] = extractor(1, scores)
    torch.testing.assert_close(ours, maps_of(peer, "GradCAM", model, images)[0], rtol=0, atol=1e-5)


def test_passes_of_other_explainers_of_the_model_are_not_the_users(model, images):
    """Of copies of the model; an extractor that takes no scores would explain their images in silence."""
    others = torch.rand(1, 3, 8, 8)
    with methods.ScoreCAM(model, "1") as extractor, methods.ScoreCAM(model, "0") as second:
        model(images)
        expected = extractor(1)[0]
        Explainer(model, layer="1").compare(others, ["gradcam", "scorecam"], target=1)
        grad_cam.GradCAM(model, [model[1]])(others)
        metrics.ClassificationMetric(second, lambda output: output.softmax(1)).update(others)
        deepcopy(model)(others)
        torch.testing.assert_close(extractor(1)[0], expected, rtol=0, atol=0)
        model(others)
        assert len(extractor(1)[0]) == 1


def test_an_extractor_that_is_refused_leaves_no_hook(model):
    for arguments in (("nothing",), ([],), (None, "no shape"), ([model[1], nn.ReLU()],)):
        with pytest.raises(ShapleyCamError):
            methods.GradCAM(model, *arguments)
    assert not model._forward_hooks


def test_a_changed_model_is_noticed_where_a_class_is_left_out(images):
    """Its logit is -infinity, and a share of that allows everything."""

    class WithoutLast(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network()

        def forward(self, pixels):
            return self.network(pixels).index_fill(1, torch.tensor([4]), -torch.inf)

    left_out = WithoutLast().eval()
    with methods.GradCAM(left_out, "network.1") as extractor:
        scores = left_out(images)
        torch.testing.assert_close(extractor(1, scores), maps_of(methods, "GradCAM", network(), images))
        with torch.no_grad():
            left_out.network[4].weight.neg_()
        with pytest.raises(OptionError, match="now returns something else than it did"):
            extractor(1, scores)


class Answer(dict):
    """What transformers' models return, in outline."""

    @property
    def logits(self):
        return self["logits"]


class Wrapped(nn.Module):
    """A model that returns more than scores, and takes a second input by name."""

    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, pixels, scale=None):
        scores = self.network(pixels)
        return Answer(logits=scores if scale is None else scores * scale, extra=pixels.mean((2, 3)))


def test_scores_within_what_the_model_returns_and_further_inputs(images):
    model, scale = Wrapped().eval(), torch.tensor([[2.0], [-1.0]])
    for options in ({}, {"scale": scale}):
        maps = []
        for library in (methods, peer):
            with library.GradCAM(model, "network.1") as extractor:
                maps.append(extractor([3, 0], model(images, **options).logits)[0])
        torch.testing.assert_close(*maps, rtol=0, atol=1e-5)
    with methods.GradCAM(model, "network.1") as extractor:
        answer = model(images)
        with pytest.raises(ShapleyCamError, match=r"the model returns Answer; with class_idx expected \(b, classes\)"):
            extractor(1, answer)


def test_the_model_is_as_it_was_and_passes_are_seen_until_the_hook_is_removed(model, images):
    model.requires_grad_(requires_grad=False)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extractor = methods.GradCAM(model, "1")
    first = extractor(1, model(images))[0]
    second = extractor(1, model(2 * images))[0]
    assert (first - second).abs().max() > 1e-3
    assert len(model._forward_hooks) == 1
    deepcopy(model)(3 * images)  # the copy's hook is the same, as in every copy of a model with hooks
    extractor.disable_hooks()
    model(images)
    extractor.enable_hooks()
    extractor.reset_hooks()
    with pytest.raises(OptionError, match="no forward pass was seen"):
        extractor(1, first)
    extractor.remove_hooks()
    assert not model._forward_hooks
    model(images)
    with pytest.raises(OptionError, match="no forward pass was seen"):
        extractor(1)
    assert not any(module.training or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_the_images_of_the_pass_are_explained_though_their_memory_is_used_again(model, images):
    expected = maps_of(methods, "GradCAM", model, images.clone())[0]
    with methods.GradCAM(model, "1") as extractor:
        scores = model(images)
        images.zero_()
        torch.testing.assert_close(extractor(1, scores)[0], expected)


def _ask(model, images, class_idx=1, scores=None, **options):
    with methods.GradCAM(model, "1") as extractor:
        output = model(images)
        extractor(class_idx, output if scores is None else scores(output), **options)


REFUSED = {
    "class and targets": ({"targets": lambda row: row[0]}, "either class_idx or targets="),
    "neither": ({"class_idx": None}, "either class_idx or targets="),
    "another number": ({"class_idx": [1]}, "1 classes or targets are given for 2 images"),
    "below zero": ({"class_idx": -1}, "class_idx has -1; expected whole numbers from 0"),
    "too large": ({"class_idx": [0, 5]}, "class_idx has 5; expected less than the model's 5 classes"),
    "a bool": ({"class_idx": True}, "class_idx has True"),
    "a tensor": ({"class_idx": torch.tensor([1, 2])}, "class_idx has Tensor; expected whole numbers"),
    "without a graph": ({"scores": lambda output: output.detach().softmax(1)}, "scores are not the output of the"),
    "a target that raises": (
        {"class_idx": None, "targets": lambda row: row[99]},
        "function raised IndexError: index 99",
    ),
    "a target of other scores that raises": (
        {"class_idx": None, "targets": lambda row: row.missing, "scores": lambda output: output.softmax(1)},
        "for what the model returns for one image, shape (5,)",
    ),
    "no target": (
        {"class_idx": None, "targets": [1, 2], "scores": lambda output: output.softmax(1)},
        "targets= has int; expected functions",
    ),
    "of one image": ({"scores": lambda output: output.softmax(1)[:1]}, "scores are given as shape (1, 5) for 2 images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_questions_that_are_refused(model, images, case):
    arguments, message = REFUSED[case]
    with pytest.raises((OptionError, TargetError)) as caught:
        _ask(model, images, **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_other_types_and_scores_of_another_dtype(model, images):
    [expected] = maps_of(methods, "GradCAM", model, images, classes=[1, 2])
    for classes in (np.array([1, 2]).tolist(), tuple(np.array([1, 2])), [torch.tensor(1), torch.tensor(2)]):
        torch.testing.assert_close(maps_of(methods, "GradCAM", model, images, classes=classes)[0], expected)
    with methods.GradCAM(model, "1") as extractor:
        torch.testing.assert_close(extractor([1, 2], model(images).double())[0], expected, rtol=0, atol=1e-5)


def test_an_extractor_of_the_users_own_is_refused_and_not_ignored():
    with pytest.raises(OptionError, match="Mine defines _get_weights, which extractors of "):
        type("Mine", (methods.GradCAM,), {"_get_weights": lambda *_: 1})


def test_scores_that_were_changed_in_place_are_refused(model, images):
    with methods.GradCAM(model, "1") as extractor, torch.no_grad():
        scores = model(images).div_(2)
        with pytest.raises(OptionError, match="now returns something else than it did"):
            extractor(1, scores)


def test_scores_of_an_earlier_pass_are_refused(model, images):
    with methods.GradCAM(model, "1") as extractor:
        before = model(images)
        model(2 * images)
        with pytest.raises(OptionError, match="scores are not the output of the model's last forward pass"):
            extractor(1, before)
        with pytest.raises(OptionError, match="scores are missing"):
            extractor(1)


def test_a_pass_that_cannot_be_repeated_is_refused(images):
    dropping = network(nn.Dropout(0.5))
    dropping.train()
    with pytest.raises(OptionError, match=r"now returns something else than it did.*model\.eval\(\)"):
        _ask(dropping, images)
    dropping.eval()
    with methods.GradCAM(dropping, "1") as extractor:
        scores = dropping(images)
        with torch.no_grad():
            dropping[4].weight.mul_(2)
        with pytest.raises(OptionError, match="now returns something else"):
            extractor(1, scores)


def test_methods_of_the_models_output_refuse_other_scores(model, images):
    with methods.SmoothGradCAMpp(model, "1") as extractor:
        scores = model(images)
        with pytest.raises(OptionError, match="SmoothGradCAMpp explains the model's output, and other scores"):
            extractor(1, scores.softmax(1))


def test_calls_that_cannot_be_read(model, images):
    wrapped = Wrapped()
    message = "called with no positional argument; expected the images"
    with methods.GradCAM(wrapped, "network.1"), pytest.raises(OptionError, match=message):
        wrapped(pixels=images)
    with pytest.raises(ShapleyCamError, match="layer 'nothing'"):
        methods.GradCAM(model, "nothing")
    with pytest.raises(OptionError, match="reshape_transform is given without target_layer"):
        methods.GradCAM(model, reshape_transform=lambda tensor: tensor)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_map_over_a_picture(mode):
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 255, (9, 8, 3), dtype=np.uint8)).convert(mode)
    heat = Image.fromarray(generator.random((4, 5), dtype=np.float32))
    for options in ({}, {"colormap": "viridis", "alpha": 0.3}):
        ours, theirs = (library.overlay_mask(picture, heat, **options) for library in (utils, peer_utils))
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    bytes_of_heat = Image.fromarray((255 * np.asarray(heat)).astype(np.uint8))  # their squares overflow
    for arguments in (
        (np.zeros((2, 2)), heat),
        (picture, heat, "jet", 1.0),
        (picture, heat, "no such map"),
        (picture.convert("RGBA"), heat),
        (picture.convert("L").convert("F"), heat),
        (picture, bytes_of_heat),
        (picture, bytes_of_heat.convert("RGB")),
        (picture, bytes_of_heat.convert("F")),
        (picture, Image.fromarray(np.full((4, 5), np.nan, np.float32))),
    ):
        with pytest.raises(OptionError, match="expected"):
            utils.overlay_mask(*arguments)


QUESTIONS = {
    "predicted": {},
    "one class": {"class_idx": 2},
    "a class for each": {"class_idx": [0, 4]},
    "a target": {"targets": lambda row: row[1]},
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_drop_and_increase_in_confidence(model, images, question):
    options, summaries = QUESTIONS[question], []
    for library, measure in ((methods, metrics), (peer, peer_metrics)):
        with library.LayerCAM(model, ["0", "1"]) as extractor:
            metric = measure.ClassificationMetric(extractor, lambda output: output.softmax(1))
            metric.update(images, **options)
            metric.update(images[:1].flip(2), **{name: v if name == "targets" else 3 for name, v in options.items()})
            summaries.append(metric.summary())
    assert summaries[0] == pytest.approx(summaries[1], abs=1e-5)
    metric.reset()


def test_a_metric_without_images(model):
    metric = metrics.ClassificationMetric(methods.SmoothGradCAMpp(model, "1"))
    with pytest.raises(OptionError, match="the metric has seen no images"):
        metric.summary()
    with pytest.raises(OptionError, match=r"the scores are dict; expected \(b, classes\)"):
        metrics.ClassificationMetric(methods.GradCAM(model, "1"), lambda output: {"a": output}).update(
            torch.zeros(1, 3, 8, 8)
        )
    metric = metrics.ClassificationMetric(methods.GradCAM(model, "1"), lambda output: output.missing)
    with pytest.raises(OptionError, match=r"logits_fn raised .*, for what the model returns, Tensor; expected"):
        metric.update(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ImageError, match="input_tensor is a list; expected preprocessed images, a tensor"):
        metric.update([torch.zeros(3, 8, 8)])


# RefineCAM and FinerCAM


def test_refinecam_is_the_product_of_scaled_maps(model, images):
    scores = model(images)
    with methods.LayerCAM(model, ["0", "1"]) as extractor:
        extractor.enable_hooks()
        model(images)
        first, second = extractor(1, scores)
    with methods.RefineCAM(model, ["0", "1"], base_method=methods.LayerCAM) as refined:
        [product] = refined(1, model(images), normalized=False)
        [scaled] = refined(1, scores, target_shape=(16, 16))
    torch.testing.assert_close(product, first * second)
    assert scaled.shape == (2, 16, 16)
    assert repr(refined) == "RefineCAM(base_method=LayerCAM, target_layer=['0', '1'])"
    assert not model._forward_hooks


def test_finercam_compares_with_the_classes_that_are_nearest_or_given(model, images):
    with torch.inference_mode(), methods.FinerCAM(model, "1", gamma=0.5, num_references=2) as finer:
        scores = model(images)
        [nearest] = finer([1, 2], scores)
        distances = [(row - row[own]).abs() for row, own in zip(scores, [1, 2], strict=True)]
        others = [each.argsort()[1:3].tolist() for each in distances]  # the nearest is the class itself
        [given] = finer([1, 2], scores, comparison_idx=others)
        [by_hand] = finer.base_cam(
            scores=scores,
            targets=[lambda row, own=own, rest=rest: row[own] - 0.5 * row[rest].mean()
                     for own, rest in zip([1, 2], others, strict=True)],
        )  # fmt: skip
    torch.testing.assert_close(nearest, given)
    torch.testing.assert_close(nearest, by_hand)
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: methods.RefineCAM(model, ["1"]), "expected a list of two or more layers to multiply"),
        (lambda model: methods.RefineCAM(model, ["0", "1"], base_method=len), "base_method is <built-in function len>"),
        (lambda model: methods.FinerCAM(model, "1", base_method=methods.ScoreCAM), "base_method is ScoreCAM; expected"),
        (lambda model: methods.FinerCAM(model, "1", gamma=-1), "gamma=-1; expected a number from 0"),
        (lambda model: methods.FinerCAM(model, "1", num_references=0), "num_references=0; expected a whole number"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_and_leaves_no_hook(model, make, message):
    with pytest.raises(OptionError, match=f"^[^\n]*{message}[^\n]*$"):
        make(model)
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_idx": 9}, r"class_idx has 9; expected whole numbers from 0 to 4"),
        ({"comparison_idx": [1, 2]}, r"comparison_idx has \[1, 2\] for class 1; expected other classes, each once"),
        ({"comparison_idx": [2, 2]}, r"comparison_idx has \[2, 2\] for class 1"),
        ({"comparison_idx": [[2]]}, r"comparison_idx=\[\[2\]\] for 2 images"),
        ({"comparison_idx": 7}, r"comparison_idx has 7; expected whole numbers from 0 to 4"),
        ({"targets": len}, "FinerCAM explains a class"),
    ],
)
def test_classes_that_cannot_be_compared_are_refused(model, images, options, message):
    with methods.FinerCAM(model, "1") as finer, pytest.raises(OptionError, match=message):
        finer(**{"class_idx": 1, "scores": model(images), **options})


def test_scores_as_many_as_images_are_no_rows_of_images(images):
    """Two outputs of a batch of two: each target would be asked of one of them, and of all images."""

    class Heads(nn.Sequential):
        def forward(self, images):
            scores = super().forward(images)
            return scores[:, :3], scores[:, 3:]

    model = Heads(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    targets = [lambda scores: scores[:, 0].sum()] * 2
    with methods.GradCAM(model, "0") as extractor:
        scores = model(images)
        with pytest.raises(TargetError, match=r"^the model returns a tuple of shapes \(2, 3\), \(2, 2\) for 2 images"):
            extractor(scores=scores, targets=targets)
        doubled = tuple(2 * each for each in scores)
        with pytest.raises(OptionError, match=r"^scores are given as a tuple of shapes .* for 2 images; expected one"):
            extractor(scores=doubled, targets=targets)
