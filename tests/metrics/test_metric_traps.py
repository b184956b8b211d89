"""Cases in which a naive implementation of a metric goes wrong."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from helpers.metric_networks import (
    QUICK,
    boxes,
    explain_at_features,
    log_score_network,
    random_images,
    replace_heatmap,
    small,
)
from helpers.networks import Toy
from helpers.recorded_inputs import inputs_of
from shapleycam import Explainer, utilities
from shapleycam.errors import ModelError, ShapleyCamWarning
from shapleycam.metrics import METRICS, MetricOptions, measure
from shapleycam.metrics.removal import impute_percentiles, rank_pixels, removed_pixels

SOME_METHODS = ["gradcam", "shapleycam-e", "randomcam"]
OF_DRAWS = ["road", "max_sensitivity", "randomisation_spearman", "randomisation_ssim", "smooth_randomisation_spearman"]


@pytest.fixture(autouse=True)
def any_warning_is_an_error():
    """Divisions by zero are to be met, not warned of; what there is to know about a map is not the question here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ShapleyCamWarning)
        yield


def measure_one(name, explainer, images, explanation, options=QUICK, **more):
    return measure(explainer, images, {explanation.method: explanation}, [name], options, **more)[name][
        explanation.method
    ]


# Scores of zero, and maps without content


@pytest.fixture
def hopeless_class():
    """A class of which the softmax probability is exactly 0 in float32, whatever is hidden: e^-200."""
    model = Toy(lambda a: torch.stack([a.flatten(1).sum(1) * 0.01 - 200, torch.zeros(len(a))], 1))
    explainer, images = explain_at_features(model), torch.tensor([[[[4.0, 3], [2, 0]]], [[[1.0, 2], [3, 0]]]])
    return explainer, images, explainer.explain(images, "hirescam", target=0)


@pytest.mark.parametrize("name", ["average_drop", "average_drop_in_deletion", "adcc"])
def test_a_score_of_zero_leaves_drops_undefined(hopeless_class, name):
    assert torch.equal(hopeless_class[2].probabilities(0), torch.tensor([0.0, 1.0]))
    assert measure_one(name, *hopeless_class).isnan().tolist() == [True, True]


def test_a_score_of_zero_has_no_increase_and_a_coherency(hopeless_class):
    assert measure_one("increase_in_confidence", *hopeless_class).tolist() == [0, 0]
    assert measure_one("coherency", *hopeless_class).tolist() == pytest.approx([1, 1], abs=0.1)
    assert measure_one("deletion", *hopeless_class).tolist() == [0, 0]


def test_a_score_of_zero_is_of_its_own_image_alone():
    model = Toy(lambda a: torch.stack([a.flatten(1).sum(1) - 204, torch.zeros(len(a))], 1))
    explainer, images = explain_at_features(model), torch.tensor([[[[2.0, 1], [1, 0]]], [[[100.0, 50], [54, 0]]]])
    explanation = explainer.explain(images, "hirescam", target=0)
    assert measure_one("average_drop", explainer, images, explanation).isnan().tolist() == [True, False]


def test_a_probability_that_vanishes_is_a_drop_of_one_and_no_adcc():
    """Whole, the image of ones has probability 1/2; without any of it, e^-200 = 0."""
    model = Toy(lambda a: torch.stack([-200 * (1 - a).square().flatten(1).sum(1), torch.zeros(len(a))], 1))
    explainer, images = explain_at_features(model), torch.ones(1, 1, 2, 2)
    heat = torch.tensor([[1.0, 0.5], [0.25, 0]])
    explanation = replace_heatmap(explainer.explain(images, "hirescam", target=0), heat)
    assert measure_one("average_drop", explainer, images, explanation).tolist() == [1]
    assert measure_one("adcc", explainer, images, explanation).tolist() == [0]


@pytest.mark.parametrize(
    ("coherency", "complexity", "third"),
    [(0, 0.3, 0.2), (0.9, 1, 0.2), (0, 1, 0.2), (0, 0, 0.5), (0.9, 1, 0)],
)
def test_one_part_of_zero_makes_adcc_and_arcc_zero(coherency, complexity, third):
    parts = [torch.tensor([float(part), 0.5]) for part in (coherency, complexity, third)]
    for name in ("adcc", "arcc"):
        assert METRICS[name].function(*parts)[0] == 0
        assert 0 < METRICS[name].function(*parts)[1] < 1
    dropped = METRICS["adcc"].function(*parts[:2], torch.ones(2))
    assert dropped.tolist() == [0, 0]


def test_adcc_of_an_unknown_drop_is_unknown_even_beside_a_zero():
    actual = METRICS["adcc"].function(torch.zeros(1), torch.zeros(1), torch.tensor([torch.nan]))
    assert actual.isnan().all()


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_map_has_no_coherency(level):
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanation = replace_heatmap(explainer.explain(images, "gradcam"), torch.full((24, 24), level))
    assert measure_one("coherency", explainer, images, explanation).tolist() == [0, 0]
    assert measure_one("adcc", explainer, images, explanation).tolist() == [0, 0]
    assert measure_one("pointing_game", explainer, images, explanation, objects=boxes(2)).tolist() == [0, 0]


def test_a_map_whose_second_cam_is_constant_has_no_coherency():
    """Nothing of image x·M speaks for the class: it is zero where the weight is positive."""
    weight = torch.tensor([[[1.0, 1], [1, -1]]])
    explainer, images = explain_at_features(log_score_network(weight)), torch.tensor([[[[1.0, 1], [1, 0.5]]]])
    explanation = replace_heatmap(explainer.explain(images, "hirescam", target=0), torch.tensor([[0.0, 0], [0, 1]]))
    assert measure_one("coherency", explainer, images, explanation).tolist() == [0]
    assert measure_one("coherency", explainer, images, explanation).isfinite().all()


def test_the_second_cam_is_of_the_class_that_was_explained_not_of_the_new_prediction():
    """Of x·M the second class is predicted; its own map would lie on the other side."""

    def head(a):
        left, right = a[..., 0].sum((1, 2)), a[..., 1].sum((1, 2))
        return torch.stack([2 * left - 7, right], 1)  # 1 against 0.5 of the image; after the mask -2.4 against 0.5

    explainer, images = explain_at_features(Toy(head)), torch.tensor([[[[3.0, 0.25], [1, 0.25]]]])
    heat = torch.tensor([[0.7, 1], [0.2, 1]])
    explanation = replace_heatmap(explainer.explain(images, "hirescam"), heat)
    assert explanation.target.tolist() == [0]
    # CAM of class 0 of x·M = 2.1 .25 / .2 .25 is 1 0 / 0.2/2.1 0
    second_map = torch.tensor([[1.0, 0], [0.2 / 2.1, 0]])
    expected = (np.corrcoef(heat.flatten(), second_map.flatten())[0, 1] + 1) / 2
    assert float(measure_one("coherency", explainer, images, explanation)) == pytest.approx(expected, abs=1e-5)


def test_increase_is_strict():
    explainer, images = Explainer(small(), layer="4"), random_images(3)
    explanation = replace_heatmap(explainer.explain(images, "gradcam"), torch.ones(24, 24))
    assert measure_one("increase_in_confidence", explainer, images, explanation).tolist() == [0, 0, 0]
    assert measure_one("average_drop", explainer, images, explanation).tolist() == [0, 0, 0]
    same, more = torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5 + 1e-7])
    assert METRICS["increase_in_confidence"].function(same, more).tolist() == [0, 1]


# Ranks where much is exactly zero


@pytest.mark.parametrize("most_first", [True, False])
def test_equal_pixels_rank_in_reading_order(most_first):
    heat = torch.tensor([[[0.0, 1, 0], [0, 0.5, 1], [0, 0, 0.5]]])
    expected = [[[4, 0, 5], [6, 2, 1], [7, 8, 3]]] if most_first else [[[0, 7, 1], [2, 5, 8], [3, 4, 6]]]
    assert rank_pixels(heat, most_first=most_first).tolist() == expected


@pytest.mark.parametrize("most_first", [True, False])
@pytest.mark.parametrize("percentile", [10, 20, 30, 40, 50, 60, 70, 80, 90])
def test_a_percentile_is_that_share_also_of_zeros(percentile, most_first):
    heat = torch.rand(2, 40, 50, generator=torch.Generator().manual_seed(0)) - 0.8
    heat = heat.relu()  # four fifths are zero
    heat[1] = 0
    gone = removed_pixels(heat, percentile, most_first=most_first)
    assert gone.flatten(1).sum(1).tolist() == [20 * percentile, 20 * percentile]


def test_the_images_themselves_lose_that_share():
    """Seen where they enter the network: a constant colour is no clue to imputation, but the noise is."""
    images = random_images(1)
    heat = torch.zeros(1, 24, 24)
    heat[0, :4, :4] = 1
    changed = impute_percentiles(images, heat, (10, 50), torch.ones_like(images), most_first=True)
    shares = [(imputed != images).any(1).float().mean().item() for imputed in changed]
    assert shares == pytest.approx([round(57.6) / 576, 0.5])


def test_deletion_of_a_map_with_zeros_takes_equal_steps():
    model = small()
    explainer, images = Explainer(model, layer="4"), random_images(1) + 5  # no pixel is zero
    heat = torch.zeros(24, 24)
    heat[3, 3] = 1
    explanation = replace_heatmap(explainer.explain(images, "gradcam"), heat)
    with inputs_of(model) as seen:
        measure_one("deletion", explainer, images, explanation, MetricOptions(steps=4))
    assert [int((image == 0).all(1).sum()) for image in seen] == [0, 144, 288, 432, 576]
    assert (seen[1][0, :, 3, 3] == 0).all()
    assert (seen[1][0, :, :6].flatten(1) == 0).sum() == 3 * 144  # the others from the top on, row 3 among them


# An image's numbers are its own: not of its place in the batch, its mates, or the engine


def assert_same(actual, expected, tolerance):
    for name, by_method in expected.items():
        for method, values in by_method.items():
            torch.testing.assert_close(
                actual[name][method], values, atol=tolerance, rtol=tolerance, equal_nan=True, msg=f"{name} of {method}"
            )


def join_batches(parts):
    return {
        name: {method: torch.cat([part[name][method] for part in parts]) for method in by_method}
        for name, by_method in parts[0].items()
    }


def test_every_metric_is_of_the_image_alone():
    """By methods of a gradient, of random weights and of sampled values; each method alone: tests/cams."""
    explainer, images = Explainer(small().double(), layer="4"), random_images(3).double()
    methods, objects = ["gradcam", "randomcam", "sampledshapley"], boxes(3)
    objects[1] = False
    objects[2] = objects[2].roll(5, 0)
    options = MetricOptions(steps=4, sensitivity_draws=2, randomised_stages=2, smooth_draws=2, shapley_tolerance=0.05)

    def measured(places):
        chosen = images[places]
        explanations = explainer.compare(chosen, methods)
        return measure(explainer, chosen, explanations, ["all"], options, objects[places])

    together = measured([0, 1, 2])
    alone = join_batches([measured([place]) for place in range(3)])
    assert_same(alone, together, 1e-5)
    backwards = measured([2, 0])
    assert_same(backwards, {n: {m: v[[2, 0]] for m, v in of.items()} for n, of in together.items()}, 1e-5)
    assert together["pointing_game"]["gradcam"].isnan().tolist() == [False, True, False]


def test_every_metric_of_the_default_model_is_of_the_image_alone(explainer, images):
    two = nn.functional.avg_pool2d(0.3 * images[:, :, :128, :128], 9, 1, padding=4) * 9
    options = MetricOptions(
        steps=3, percentiles=(30,), sensitivity_draws=2, randomised_stages=1, smooth_draws=1, shapley_tolerance=0.05
    )
    objects = boxes(2, 128)

    def measured(places):
        explanations = explainer.compare(two[places], ["shapleycam"])
        return measure(explainer, two[places], explanations, ["all"], options, objects[places])

    together = measured([1, 0])
    assert_same(measured([0]), {n: {m: v[[1]] for m, v in of.items()} for n, of in together.items()}, 1e-5)


@pytest.mark.parametrize("name", OF_DRAWS)
def test_draws_are_of_the_seed(name):
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanation = explainer.explain(images, "gradcam")

    def measured(seed, seed_outside):
        torch.manual_seed(seed_outside)
        draws = {"sensitivity_draws": 2, "randomised_stages": 1, "smooth_draws": 2}
        noisy = MetricOptions(road_noise=0.5, percentiles=(50,), seed=seed, **draws)
        return measure_one(name, explainer, images, explanation, noisy)

    first = measured(0, 0)
    assert torch.equal(first, measured(0, 99))
    assert (first != measured(1, 0)).all()


@pytest.mark.parametrize("name", ["max_sensitivity", "randomisation_spearman"])
def test_draws_are_of_the_content(name):
    """Two images, the second all but the first: it is drawn for anew. The same image twice has the same draws."""
    explainer, image = Explainer(small(), layer="4"), random_images(1)
    images = torch.cat([image, image + 1e-6, image])
    actual = measure_one(name, explainer, images, explainer.explain(images, "gradcam"))
    assert actual[0] == pytest.approx(float(actual[2]), abs=1e-6)
    assert abs(actual[0] - actual[1]) > 1e-4


# Gradients inside an evaluation that is otherwise without, and a model that is left as it was


@pytest.mark.parametrize("name", METRICS)
def test_inside_the_callers_context(name):
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanation = explainer.explain(images, "shapleycam")
    outside = measure_one(name, explainer, images, explanation, objects=boxes(2))
    for context in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        with context():
            inside = measure_one(name, explainer, images.clone(), explanation, objects=boxes(2))
            second_explanation = explainer.explain(images.clone(), "shapleycam")
            of_second = measure_one(name, explainer, images.clone(), second_explanation, objects=boxes(2))
        assert torch.equal(inside, outside), context
        assert torch.equal(of_second, outside), context
        assert not inside.requires_grad, context


@pytest.mark.parametrize("name", METRICS)
def test_no_graph_is_left_where_images_and_weights_want_gradients(name):
    model, images = small(), random_images(2).requires_grad_()
    explainer = Explainer(model, layer="4")
    actual = measure_one(name, explainer, images, explainer.explain(images, "shapleycam"), objects=boxes(2))
    assert not actual.requires_grad
    assert images.grad is None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def fingerprint(model):
    """Return what a metric could change of a model: tensors and their versions, modes, hooks, attributes."""
    return {
        "tensors": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "identities": [id(tensor) for tensor in (*model.parameters(), *model.buffers())],
        "gradients": [(p.requires_grad, p.grad) for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "attributes": [
            sorted(name for name in vars(module) if name != "_compiled_call_impl") for module in model.modules()
        ],
        "hooks": [
            (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
            for module in model.modules()
        ],
    }


def random_states():
    """Python's own is left out: beartype, which checks shapes while the tests run, draws from it."""
    return torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002


OF_THE_MAP_ALONE = {"complexity", "gini", "sparsity", "effective_complexity"}
RUN_THE_MODEL = (
    set(METRICS)
    - OF_THE_MAP_ALONE
    - {"pointing_game", "energy_pointing", "relevance_rank", "relevance_mass", "best_box_iou", "best_any_box_iou"}
)


@pytest.mark.parametrize("fails", [False, True], ids=["measured", "raised"])
@pytest.mark.parametrize("name", METRICS)
def test_the_model_is_left_as_it_was(name, fails):
    model = small()
    model.train()
    model[4].eval()  # modes differ, and BatchNorm would learn from a pass in train mode
    model[7].weight.requires_grad = False
    model[2].register_forward_hook(lambda *_: None)
    explainer, images = Explainer(model, layer="4"), random_images(2)
    methods = ["shapleycam", "pathcam", "sampledshapley"]
    explanations = explainer.compare(images, methods)
    before, states, mode = fingerprint(model), random_states(), torch.is_grad_enabled()
    if fails:
        gone = model[7].register_forward_hook(raise_stopped)
        with pytest.raises(ModelError, match="stopped") if name in RUN_THE_MODEL else nullcontext():
            measure(explainer, images, explanations, [name], QUICK, boxes(2))
        gone.remove()
    else:
        measure(explainer, images, explanations, [name], QUICK, boxes(2))
    after = fingerprint(model)
    tensors, tensors_after = before.pop("tensors"), after.pop("tensors")
    assert before == after
    assert tensors.keys() == tensors_after.keys()
    assert all(torch.equal(tensors[key], tensors_after[key]) for key in tensors)
    assert all(map(np.array_equal, states, random_states()))
    assert torch.is_grad_enabled() == mode


def raise_stopped(*_):
    raise RuntimeError("stopped")


def test_explanations_and_images_are_left_as_they_were():
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanations = explainer.compare(images, SOME_METHODS)
    copies = (
        images.clone(),
        {m: (e.heatmap.clone(), e.values.clone(), e.images.clone()) for m, e in explanations.items()},
    )
    measure(explainer, images, explanations, ["all"], QUICK, boxes(2))
    assert torch.equal(images, copies[0])
    for method, tensors in copies[1].items():
        now = explanations[method]
        assert all(map(torch.equal, tensors, (now.heatmap, now.values, now.images)))


# Randomisation is of the same question


class Named(nn.Module):
    """Two outputs of the same form: what is found without being told is the first."""

    def __init__(self):
        super().__init__()
        self.net = small()

    def forward(self, x):
        z = self.net(x)
        return {"logits": z.flip(1), "other": z}


@pytest.mark.parametrize("choice", ["output", "layout"])
def test_randomised_models_are_asked_as_the_model_was(choice):
    if choice == "output":
        reported, plain = Explainer(Named(), layer="net.4", output="other"), Explainer(small(), layer="4")
    else:
        # the layer's 6 channels of 6 x 6 cells could lie either way, and what it is does not say
        reported, plain = ambiguous(nn.Identity(), layout="NCHW"), ambiguous(nn.MaxPool2d(1))
    images = random_images(2)
    actual = [
        measure_one("randomisation_spearman", explainer, images, explainer.explain(images, "gradcam"))
        for explainer in (reported, plain)
    ]
    torch.testing.assert_close(*actual)


def ambiguous(layer, layout=None):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 4, stride=4), layer, nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)
    )
    return Explainer(model.eval(), layer="1", layout=layout)


@pytest.mark.parametrize("of_each_image", ["players", "embeddings"])
def test_randomisation_where_each_image_has_data_of_its_own(of_each_image):
    images, model = random_images(3), small()
    if of_each_image == "players":
        regions = torch.zeros(3, 6, 6, dtype=torch.long)
        regions[:, 3:] = 1
        regions[1] = regions[1].T.clone()
        explainer, effort = Explainer(model, layer="4"), {"players": regions}
    else:
        embeddings = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
        explainer, effort = Explainer(model, layer="4", utility=utilities.similarity(embeddings)), {}
    method = "exactshapley" if of_each_image == "players" else "gradcam"
    explanations = explainer.compare(images, [method], **effort)
    actual = measure(explainer, images, explanations, ["randomisation_spearman"], QUICK, **effort)
    assert actual["randomisation_spearman"][method].isfinite().all()


def test_sampled_values_are_measured_against_orders_they_did_not_draw():
    explainer, images = Explainer(small(), layer="4"), random_images(1)
    options = MetricOptions(shapley_tolerance=0.02)
    explanations = explainer.compare(images, ["sampledshapley"], tolerance=0.02, seed=0)
    actual = measure(explainer, images, explanations, ["shapley_error"], options, tolerance=0.02, seed=0)
    assert 1e-6 < actual["shapley_error"]["sampledshapley"] < 0.05


def test_sampled_values_of_another_seed_too():
    explainer, images = Explainer(small(), layer="4"), random_images(1)
    explanations = explainer.compare(images, ["sampledshapley"], tolerance=0.02, seed=1)
    options = MetricOptions(shapley_tolerance=0.02)
    actual = measure(explainer, images, explanations, ["shapley_error"], options, tolerance=0.02, seed=1)
    assert actual["shapley_error"]["sampledshapley"] > 1e-5  # not the very same but for rounding


def test_rounding_is_no_positive_evidence():
    """Where all that is there speaks against the class, dust elsewhere must not count as the whole."""
    values = torch.tensor([[[-1.0, 1e-8], [0.0, 0.0]], [[-1.0, 1e-3], [0.0, 0.0]]])
    objects = torch.zeros(2, 4, 4, dtype=torch.bool)
    objects[:, :2, 2:] = True
    share = METRICS["relevance_mass"].function
    assert share(values, objects).isnan().tolist() == [True, False]
    assert float(share(values, objects)[1]) == 1


def test_a_position_belongs_to_the_object_by_its_area():
    """Three columns of positions on four of pixels: the middle one has its halves on both sides."""
    values, objects = torch.tensor([[[1.0, 4.0, 3.0]]]), torch.zeros(1, 2, 4, dtype=torch.bool)
    objects[..., 2:] = True
    assert float(METRICS["relevance_mass"].function(values, objects)) == pytest.approx((4 / 2 + 3) / 8)
