"""What may be asked of metrics, what is refused and how, and the form of what comes out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam.metrics
from helpers.metric_networks import QUICK, boxes, explain_at_features, random_images, replace_heatmap, small
from helpers.networks import Toy
from helpers.planted_networks import Plan, Planted, image_of
from helpers.recorded_inputs import inputs_of
from shapleycam import Explainer, Preprocess
from shapleycam.errors import OptionError
from shapleycam.metrics import METRICS, Metric, MetricOptions, measure, metrics
from shapleycam.metrics.quantities import QUANTITIES
from shapleycam.metrics.table import required_quantities
from shapleycam.models.network import Network
from shapleycam.utilities import similarity


@pytest.fixture(scope="module")
def explainer():
    return Explainer(small(), layer="4")


@pytest.fixture(scope="module")
def images():
    return random_images(3)


@pytest.fixture(scope="module")
def explanations(explainer, images):
    return explainer.compare(images, ["gradcam", "shapleycam", "randomcam"])


def only_line(raised) -> str:
    """Return an error's message after checking that it is one line."""
    message = str(raised.value)
    assert message
    assert "\n" not in message
    return message


# Options


@pytest.mark.parametrize(
    ("choice", "value", "expected"),
    [
        ("mask_space", "pixel", "one of 'normalised', 'pixels'"),
        ("mask_space", None, "one of 'normalised', 'pixels'"),
        ("baseline", "black", "one of 'zero', 'mean', 'blur'"),
        ("steps", 0, "1 or more"),
        ("blur_size", 0, "1 or more"),
        ("blur_size", -3, "1 or more"),
        ("blur_size", 10, "an odd number"),
        ("blur_sigma", 0, "a number above 0"),
        ("blur_sigma", float("nan"), "a number above 0"),
        ("percentiles", (), "numbers between 0 and 100"),
        ("percentiles", (0, 50), "numbers between 0 and 100"),
        ("percentiles", (50, 100), "numbers between 0 and 100"),
        ("percentiles", (-10,), "numbers between 0 and 100"),
        ("percentiles", (float("nan"),), "numbers between 0 and 100"),
        ("road_noise", -0.01, "0 or more"),
        ("pointing_tolerance", -1, "0 or more"),
        ("sensitivity_radius", -0.1, "0 or more"),
        ("sensitivity_radius", float("nan"), "0 or more"),
        ("sensitivity_draws", 0, "1 or more"),
        ("smooth_draws", 0, "1 or more"),
        ("smooth_noise", -0.1, "0 or more"),
        ("randomised_stages", 0, "1 or more"),
        ("shapley_tolerance", 0, "a number above 0"),
    ],
)
def test_a_choice_without_meaning_is_refused(choice, value, expected):
    with pytest.raises(OptionError) as raised:
        MetricOptions(**{choice: value})
    message = only_line(raised)
    assert choice in message
    assert expected in message
    assert str(value) in message


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("steps", 2.5),
        ("steps", "28"),
        ("blur_size", 11.5),
        ("sensitivity_draws", 1.5),
        ("randomised_stages", 2.5),
        ("seed", 1.5),
        ("percentiles", 10),
        ("road_noise", float("inf")),
        ("sensitivity_radius", float("inf")),
    ],
)
def test_a_choice_of_another_type_is_refused(choice, value):
    with pytest.raises(OptionError, match=choice):
        MetricOptions(**{choice: value})


def test_the_defaults_are_the_published_protocol():
    options = MetricOptions()
    assert (options.mask_space, options.baseline) == ("normalised", "zero")
    assert (options.blur_size, options.blur_sigma) == (11, 5)
    assert 224 * 224 / options.steps == 224 * 8
    assert options.percentiles == tuple(range(10, 100, 10))
    assert options.road_noise == 0.01
    assert options.pointing_tolerance == 15
    assert (options.sensitivity_radius, options.sensitivity_draws) == (0.02, 10)


def test_options_stay_as_they_are():
    with pytest.raises(FrozenInstanceError):
        MetricOptions().steps = 3
    assert replace(MetricOptions(), steps=3) == MetricOptions(steps=3)


@pytest.mark.parametrize("option", ["steps", "blur_size", "percentiles", "sensitivity_draws", "randomised_stages"])
def test_the_smallest_choice_is_taken(explainer, images, explanations, option):
    smallest = MetricOptions(**{option: (50,) if option == "percentiles" else 1})
    requested = ["insertion", "deletion", "road", "max_sensitivity", "randomisation_spearman"]
    actual = measure(explainer, images, {"gradcam": explanations["gradcam"]}, requested, smallest)
    assert all(by_method["gradcam"].isfinite().all() for by_method in actual.values())


def test_no_radius_no_sensitivity_and_no_noise(explainer, images, explanations):
    actual = measure(explainer, images, explanations, ["max_sensitivity"], MetricOptions(sensitivity_radius=0))
    for method in ("gradcam", "shapleycam"):
        assert actual["max_sensitivity"][method].tolist() == pytest.approx([0, 0, 0], abs=1e-5)


# Where masks multiply, and what they hide behind


MEAN, STD = (0.5, 0.25), (0.5, 2.0)


class Channels(Toy):
    """Two channels; the class has probability σ(Σ over pixels of the first, plus twice the second)."""

    def __init__(self):
        def head(a):
            score = (a * torch.tensor([1.0, 2]).view(2, 1, 1)).flatten(1).sum(1)
            return torch.stack([score, torch.zeros_like(score)], 1)

        super().__init__(head)


@pytest.fixture(scope="module")
def masked_score():
    """Of options, the score of image x·M, where x = 1 0 and 2 -1 in two channels of two pixels, and M = 1/4 1."""
    model = Channels()
    explainer = Explainer(Network(model, Preprocess(1, (1, 2), MEAN, STD)), layer="features", utility="logit")
    images = torch.tensor([[[[1.0, 0]], [[2.0, -1]]]])
    explanation = replace_heatmap(explainer.explain(images, "hirescam", target=0), torch.tensor([[0.25, 1]]))

    def image(name="average_drop", **choices):
        options = MetricOptions(blur_size=1, steps=1, **choices)
        with inputs_of(model) as inputs:
            measure(explainer, images, {"hirescam": explanation}, [name], options)
        return inputs[-1][0, :, 0].flatten().tolist()

    return image


def test_the_normalised_image_is_multiplied(masked_score):
    assert masked_score() == pytest.approx([0.25, 0, 0.5, -1])


def test_pixels_are_multiplied_before_they_are_normalised(masked_score):
    # x·std + mean are the pixels 1 1/2 and 17/4 -7/4; a quarter of the first, (1/4 - 1/2)·2 and (17/16 - 1/4)/2
    assert masked_score(mask_space="pixels") == pytest.approx([-0.5, 0, 13 / 32, -1])


def test_hidden_behind_the_mean_colour(masked_score):
    # x·M + 3/4 of the channel's mean, 1/2 and 1/2
    assert masked_score(baseline="mean") == pytest.approx([0.25 + 0.375, 0, 0.5 + 0.375, -1])


def test_the_mean_colour_is_the_same_in_both_spaces(masked_score):
    assert masked_score(baseline="mean", mask_space="pixels") == pytest.approx([0.25 + 0.375, 0, 0.5 + 0.375, -1])


def test_hidden_behind_a_blur(masked_score):
    # of one pixel, which is no blur: nothing is hidden
    assert masked_score(baseline="blur") == pytest.approx([1, 0, 2, -1])


def test_what_is_deleted_hides_behind_the_rest_of_the_mask(masked_score):
    assert masked_score("average_drop_in_deletion") == pytest.approx([0.75, 0, 1.5, 0])
    hidden = masked_score("average_drop_in_deletion", baseline="mean")
    assert hidden == pytest.approx([0.75 + 0.125, 0.5, 1.5 + 0.125, 0.5])


def test_deletion_ends_at_the_zero_of_its_space(masked_score):
    assert masked_score("deletion") == [0, 0, 0, 0]
    assert masked_score("deletion", mask_space="pixels") == pytest.approx([-1, -1, -0.125, -0.125])


def test_a_wide_blur_hides_behind_the_neighbourhood():
    """3 x 3 pixels in equal parts, mirrored at the edge: of 4 3 / 2 0 they are 14 19 / 22 26, over 9."""
    model = Toy(lambda a: torch.stack([a.flatten(1).sum(1), torch.zeros(len(a))], 1))
    explainer, images = explain_at_features(model), torch.tensor([[[[4.0, 3], [2, 0]]]])
    explanation = replace_heatmap(explainer.explain(images, "hirescam", target=0), torch.tensor([[1.0, 0], [0.5, 0]]))
    options = MetricOptions(baseline="blur", blur_size=3, blur_sigma=1e6)
    with inputs_of(model) as inputs:
        measure(explainer, images, {"hirescam": explanation}, ["average_drop"], options)
    expected = [4, 19 / 9, (2 + 22 / 9) / 2, 26 / 9]
    assert inputs[-1].flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_black_in_a_real_network():
    """Pixels and zero: the mask multiplies what the photograph holds, and then it is normalised."""
    photo = Image.effect_noise((24, 24), 90).convert("RGB")
    preprocess = Preprocess(24, (24, 24), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    explainer = Explainer(small(), layer="4", preprocess=preprocess)
    explanation = explainer.explain(photo, "gradcam")
    actual = measure(explainer, photo, {"gradcam": explanation}, ["average_drop"], MetricOptions(mask_space="pixels"))
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (preprocess.mean, preprocess.std))
    pixels = explanation.images * std + mean
    masked_images = (pixels * explanation.heatmap[:, None] - mean) / std
    target = int(explanation.target)
    with torch.no_grad():
        score, masked_score = (
            float(explainer.model(x).softmax(1)[0, target]) for x in (explanation.images, masked_images)
        )
    assert float(actual["average_drop"]["gradcam"]) == pytest.approx(max(0, score - masked_score) / score, abs=1e-5)


@pytest.mark.parametrize("preprocess", [None, lambda photo: torch.zeros(3, 24, 24)], ids=["none", "a function"])
@pytest.mark.parametrize("name", ["average_drop", "coherency", "average_drop_in_deletion", "deletion"])
def test_pixels_where_the_normalisation_is_not_known(images, name, preprocess):
    explainer = Explainer(small(), layer="4", preprocess=preprocess)
    explanations = {"gradcam": explainer.explain(images, "gradcam")}
    with pytest.raises(OptionError) as raised:
        measure(explainer, images, explanations, [name], MetricOptions(mask_space="pixels"))
    assert "preprocess=shapleycam.Preprocess(" in only_line(raised)
    assert "'normalised'" in str(raised.value)


# What is refused


@pytest.mark.parametrize("name", ["pointing_game", "energy_pointing"])
def test_pointing_without_objects(explainer, images, explanations, name):
    with pytest.raises(OptionError) as raised:
        measure(explainer, images, explanations, ["complexity", name])
    message = only_line(raised)
    assert name in message
    assert "complexity" not in message
    assert "objects=" in message


def test_the_paper_needs_no_objects(explainer, images, explanations):
    assert len(measure(explainer, images, explanations, ["paper"])) == 6


@pytest.mark.parametrize(
    "objects",
    [boxes(3)[0], boxes(2), boxes(1), boxes(3)[:, :12], boxes(3, 48)],
    ids=lambda objects: "x".join(map(str, objects.shape)),
)
def test_objects_of_another_shape(explainer, images, explanations, objects):
    with pytest.raises(OptionError, match="objects"):
        measure(explainer, images, explanations, ["pointing_game"], objects=objects)


def test_objects_of_numbers(explainer, images, explanations):
    """Are refused, or taken as what they say where they are not zero."""
    try:
        actual = measure(explainer, images, explanations, ["pointing_game"], objects=boxes(3).float())
    except OptionError:
        return
    expected = measure(explainer, images, explanations, ["pointing_game"], objects=boxes(3))
    assert actual["pointing_game"]["gradcam"].tolist() == expected["pointing_game"]["gradcam"].tolist()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x[[1, 0, 2]], id="order"),
        pytest.param(lambda x: x + 1e-3, id="content"),
        pytest.param(lambda x: x[:2], id="fewer"),
        pytest.param(lambda x: x[..., :20], id="size"),
    ],
)
def test_other_images_are_refused(explainer, images, explanations, change):
    with pytest.raises(OptionError, match="not those that were explained"):
        measure(explainer, change(images), explanations, ["complexity"])


def test_another_layer_is_refused(images, explanations):
    with pytest.raises(OptionError) as raised:
        measure(Explainer(small(), layer="2"), images, explanations, ["complexity"])
    assert "'4'" in only_line(raised)
    assert "'2'" in str(raised.value)


def test_no_explanations_are_refused(explainer, images):
    with pytest.raises(OptionError, match=r"no explanations.*Explainer\.compare"):
        measure(explainer, images, {})


def test_no_metrics_are_refused(explainer, images, explanations):
    with pytest.raises(OptionError, match="no metrics"):
        measure(explainer, images, explanations, [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [("averagedropp", "average_drop"), ("increase_of_confidence", "increase_in_confidence"), ("ROADS", "road"),
     ("coherence", "coherency"), ("randomization_ssim", "randomisation_ssim")],
)  # fmt: skip
def test_a_mistyped_metric(explainer, images, explanations, name, meant):
    with pytest.raises(OptionError) as raised:
        measure(explainer, images, explanations, ["complexity", name])
    message = only_line(raised)
    assert repr(name) in message
    assert meant in message


def test_one_name_by_itself(explainer, images, explanations):
    """Is taken as that metric, or refused as what it is."""
    try:
        actual = list(measure(explainer, images, explanations, "average_drop"))
    except OptionError as error:
        actual = [name for name in METRICS if name in str(error).split(";")[0]]
    assert actual == ["average_drop"]


def test_names_are_taken_once_and_in_their_order(explainer, images, explanations):
    actual = measure(explainer, images, explanations, ["complexity", "average_drop", "complexity"])
    assert list(actual) == ["complexity", "average_drop"]
    assert list(actual["complexity"]) == list(explanations)
    sets = measure(explainer, images, explanations, ["complexity", "paper"])
    assert next(iter(sets)) == "complexity"
    assert len(sets) == 6


def test_heatmaps_of_volumes_are_refused():
    plan = Plan("NCDHW", (2, 3, 3))
    explainer = Explainer(Planted(plan), layer="cells", layout="NCDHW", utility="logit", images="volume")
    volume = image_of(plan, (1, 1, 1))
    explanation = explainer.explain(volume, "hirescam", target=0)
    assert explanation.heatmap.dim() == 4
    with pytest.raises(OptionError) as raised:
        measure(explainer, volume, {"hirescam": explanation}, ["complexity"])
    assert "(b, h, w)" in only_line(raised)


def others_than_the_first(explainer, images):
    return {
        "target": explainer.explain(images, "hirescam", target=(explainer.explain(images).target + 1) % 5),
        "layer": Explainer(explainer.model, layer="2").explain(images, "hirescam"),
        "images": explainer.explain(images.flip(0), "hirescam"),
        "utility": explainer.explain(images, "hirescam", utility="probability"),
        "fewer": explainer.explain(images[:2], "hirescam"),
    }


@pytest.mark.parametrize("difference", ["target", "layer", "images", "utility", "fewer"])
def test_explanations_of_different_questions_are_refused(explainer, images, explanations, difference):
    second_explanation = others_than_the_first(explainer, images)[difference]
    with pytest.raises(OptionError):
        measure(
            explainer, images, {"gradcam": explanations["gradcam"], "hirescam": second_explanation}, ["average_drop"]
        )


def test_a_mistyped_effort_is_refused(explainer, images, explanations):
    with pytest.raises(TypeError):
        measure(explainer, images, explanations, ["complexity"], nodez=3)


class Numbers(nn.Module):
    """One number an image, of a regression."""

    def __init__(self):
        super().__init__()
        self.net = small()

    def forward(self, x):
        return self.net(x)[:, :1]


@pytest.mark.parametrize("utility", ["value", "similarity"])
def test_scores_of_what_has_no_classes_are_refused(images, utility):
    choice = similarity(torch.arange(5.0)) if utility == "similarity" else utility
    model, layer = (small(), "4") if utility == "similarity" else (Numbers(), "net.4")
    explainer = Explainer(model, layer=layer, utility=choice)
    explanations = {"hirescam": explainer.explain(images, "hirescam", target=None if utility == "similarity" else 0)}
    assert explanations["hirescam"].probabilities() is None
    with pytest.raises(OptionError, match="not of classes"):
        measure(explainer, images, explanations, ["average_drop"])


def test_metrics_of_maps_need_no_classes(images):
    explainer = Explainer(Numbers(), layer="net.4", utility="value")
    explanations = {"hirescam": explainer.explain(images, "hirescam", target=0)}
    actual = measure(explainer, images, explanations, ["complexity", "coherency", "max_sensitivity"], QUICK)
    assert all(by_method["hirescam"].isfinite().all() for by_method in actual.values())


def test_a_game_is_of_one_layer(images):
    explainer = Explainer(small(), layer=["2", "4"])
    explanations = explainer.compare(images, ["gradcam"])
    assert measure(explainer, images, explanations)["coherency"]["gradcam"].isfinite().all()
    with pytest.raises(OptionError, match="2 layers"):
        measure(explainer, images, explanations, ["shapley_error"])


def test_the_score_is_of_the_utility_that_was_explained(images):
    """Labels beside others: their sigmoid, not softmax, also where the explainer itself is of another utility."""
    explainer = Explainer(small(), layer="4")
    explanation = explainer.explain(images, "gradcam", target=2, utility="sigmoid_rest")
    actual = measure(explainer, images, {"gradcam": explanation}, ["average_drop", "coherency"])
    kept_images = images * explanation.heatmap[:, None]
    with torch.no_grad():
        score, masked_score = (explainer.model(x)[:, 2].sigmoid() for x in (images, kept_images))
    expected = (score - masked_score).clamp(min=0) / score
    torch.testing.assert_close(actual["average_drop"]["gradcam"], expected, atol=1e-5, rtol=0)
    second_heatmap = explainer.explain(kept_images, "gradcam", target=2, utility="sigmoid_rest").heatmap
    coherency = METRICS["coherency"].function(explanation.heatmap, second_heatmap)
    torch.testing.assert_close(actual["coherency"]["gradcam"], coherency, atol=1e-5, rtol=0)


def test_a_function_that_the_explainer_does_not_know_is_refused_with_what_to_do(images, explainer):
    def first_less_second(output, target):
        return output[:, 0] - output[:, 1]

    explanation = explainer.explain(images, "gradcam", target=0, utility=first_less_second)
    with pytest.raises(OptionError, match=r"first_less_second.*utility="):
        measure(explainer, images, {"gradcam": explanation}, ["coherency"])


def test_the_explainers_own_function_is_asked_again(images):
    explainer = Explainer(small(), layer="4", utility=lambda output, target: output[:, 0] - output[:, 1])
    explanation = explainer.explain(images, "gradcam", target=0)
    actual = measure(explainer, images, {"gradcam": explanation}, ["coherency"])["coherency"]["gradcam"]
    second_heatmap = explainer.explain(images * explanation.heatmap[:, None], "gradcam", target=0).heatmap
    expected = METRICS["coherency"].function(explanation.heatmap, second_heatmap)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


# Each row as a function, and the table


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_by_itself(explainer, images, explanations, name):
    function = getattr(shapleycam.metrics, name)
    explanation = explanations["shapleycam"]
    alone = function(explainer, images, explanation, QUICK, boxes(3))
    together = measure(explainer, images, explanations, [name], QUICK, boxes(3))[name]["shapleycam"]
    torch.testing.assert_close(alone, together, equal_nan=True, atol=1e-6, rtol=0)
    assert function.__name__ == name
    assert function.__doc__.split("\n")[0].strip()
    assert METRICS[name].source in function.__doc__
    assert f"{METRICS[name].better} is good" in function.__doc__
    assert name in dir(shapleycam.metrics)


def test_effort_is_handed_on():
    """Values of regions need the same regions again."""
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanation = explainer.explain(images, "exactshapley", players=(2, 2))
    error = shapleycam.metrics.shapley_error(explainer, images, explanation, players=(2, 2))
    assert (error < 1e-5).all()


def test_no_metric_of_another_name():
    with pytest.raises(AttributeError, match="averagedrop"):
        shapleycam.metrics.averagedrop  # noqa: B018


def test_metrics_are_data():
    assert metrics() == tuple(METRICS.values())
    assert all(isinstance(metric, Metric) and METRICS[metric.name] is metric for metric in metrics())
    assert all(metric.title and metric.source and metric.needs for metric in metrics())
    assert all((metric.function.__doc__ or "").strip() for metric in metrics())
    titles = [metric.title for metric in metrics()]
    assert len(set(titles)) == len(titles)


def test_the_package_has_metrics_without_a_further_import():
    code = "import shapleycam; print(len(shapleycam.metrics.METRICS))"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.stdout.strip() == str(len(METRICS))


# What comes out


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METRICS)
def test_one_number_an_image(name, precision):
    explainer, images = Explainer(small().to(precision), layer="4"), random_images(3).to(precision)
    explanations = explainer.compare(images, ["gradcam", "randomcam"])
    actual = measure(explainer, images, explanations, [name], QUICK, boxes(3))[name]
    for method, values in actual.items():
        assert isinstance(values, torch.Tensor)
        assert values.shape == (3,)
        assert values.is_floating_point()
        assert values.device == explanations[method].heatmap.device
        assert not values.requires_grad


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_full(precision):
    explainer, images = Explainer(small().to(precision), layer="4"), random_images(2).to(precision)
    explanations = explainer.compare(images, ["gradcam"])
    names = [name for name in METRICS if "randomisation" not in name]
    actual = measure(explainer, images, explanations, names, QUICK, boxes(2))
    assert all(by_method["gradcam"].isfinite().all() for by_method in actual.values())
    assert next(explainer.model.parameters()).dtype == precision


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_half_precision_is_randomised(precision):
    explainer, images = Explainer(small().to(precision), layer="4"), random_images(2).to(precision)
    explanations = explainer.compare(images, ["gradcam"])
    actual = measure(explainer, images, explanations, ["randomisation_spearman"], QUICK)
    assert actual["randomisation_spearman"]["gradcam"].isfinite().all()


def test_one_image_and_an_image_that_is_not_square():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 20, 36)
    explainer = Explainer(small(), layer="4")
    objects = torch.zeros(1, 20, 36, dtype=torch.bool)
    objects[:, 4:9, 30:] = True
    explanations = explainer.compare(images, ["gradcam"])
    actual = measure(explainer, images, explanations, ["all"], QUICK, objects)
    pointing = {"pointing_game", "energy_pointing", "relevance_rank", "relevance_mass"}
    pointing |= {"best_box_iou", "best_any_box_iou"}
    assert set(measure(explainer, images, explanations, ["all"], QUICK)) == set(actual) - pointing
    assert all(by_method["gradcam"].shape == (1,) for by_method in actual.values())
    assert all(by_method["gradcam"].isfinite().all() for by_method in actual.values())


def test_pointing_reads_rows_and_columns_of_an_image_that_is_not_square():
    heat = torch.zeros(1, 20, 36)
    heat[0, 3, 30] = 1
    game, energy = METRICS["pointing_game"].function, METRICS["energy_pointing"].function
    inside, outside = torch.zeros(1, 20, 36, dtype=torch.bool), torch.zeros(1, 20, 36, dtype=torch.bool)
    inside[0, 3, 30], outside[0, 19, 3] = True, True
    assert [float(game(heat, where, torch.tensor(0.0))) for where in (inside, outside)] == [1, 0]
    assert [float(energy(heat, where)) for where in (inside, outside)] == [1, 0]


@pytest.mark.parametrize(("away", "hits"), [((0, 15), True), ((0, 16), False), ((9, 12), True), ((11, 11), False)])
def test_the_tolerance_is_a_circle_of_15_pixels(away, hits):
    heat = torch.zeros(1, 40, 40)
    heat[0, 5, 6] = 1
    objects = torch.zeros(1, 40, 40, dtype=torch.bool)
    objects[0, 5 + away[0], 6 + away[1]] = True
    assert bool(METRICS["pointing_game"].function(heat, objects, torch.tensor(15.0))) is hits


def test_an_image_without_objects_has_no_pointing(explainer, images, explanations):
    objects = boxes(3)
    objects[1] = False
    actual = measure(explainer, images, explanations, ["pointing_game", "energy_pointing"], objects=objects)
    for by_method in actual.values():
        assert by_method["gradcam"].isnan().tolist() == [False, True, False]


# Quantities


class TestQuantities:
    @pytest.mark.parametrize("name", QUANTITIES)
    def test_needs_are_quantities(self, name):
        assert set(QUANTITIES[name].needs) <= QUANTITIES.keys()

    @pytest.mark.parametrize("name", METRICS)
    def test_needs_of_metrics_are_quantities_or_metrics(self, name):
        assert set(METRICS[name].needs) <= QUANTITIES.keys() | METRICS.keys()

    def test_those_of_a_metric_include_what_its_quantities_and_metrics_need(self):
        assert required_quantities(["efficiency_gap"]) == {"player_values", "grand", "game"}
        assert required_quantities(["adcc"]) == {
            *("score", "heatmap", "hidden", "masked_images", "kept_score", "kept_heatmap")
        }

    @pytest.mark.parametrize("name", METRICS)
    def test_the_game_is_required_where_values_are_compared_with_it(self, name):
        of_the_game = name in {"shapley_error", "shapley_spearman", "efficiency_gap"}
        assert ("game" in required_quantities([name])) == of_the_game


def test_every_metric_says_in_words_what_it_measures():
    assert [metric.name for metric in metrics() if not metric.summary] == []
