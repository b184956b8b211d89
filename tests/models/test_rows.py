"""One row of the output for each image, however the model squeezes; or refused with what was found."""

from __future__ import annotations

import pytest
import torch

from helpers.networks import Toy
from shapleycam import Explainer
from shapleycam.errors import ModelError, OptionError
from shapleycam.models.outputs import check_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning"),
]
IMAGES = torch.tensor([[1.0, 3.0, 2.0], [0.5, -1.0, 2.0], [2.0, 0.0, 1.0]]).reshape(3, 1, 1, 3)
"""The features are the image itself, and their three numbers the logits."""
METHODS = ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley"]


def explainer_of(function, layer="features", **options):
    return Explainer(Toy(lambda a: function(a.flatten(1))), layer=layer, **options)


SQUEEZES = {
    "squeeze": torch.squeeze,
    "first of one": lambda z: z[0] if len(z) == 1 else z,
    "of the features": lambda z: z.squeeze(0) * torch.ones(3),
    "squeezed twice": lambda z: z[:, :, None, None].squeeze(),
}


@pytest.mark.parametrize("function", SQUEEZES.values(), ids=SQUEEZES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_head_that_squeezes_is_read_the_same_for_images_and_coalitions(function, count):
    plain, squeezed = explainer_of(lambda z: z), explainer_of(function)
    expected, explanations = plain.compare(IMAGES[:count], METHODS), squeezed.compare(IMAGES[:count], METHODS)
    for name in METHODS:
        assert explanations[name].target.tolist() == [1, 2, 0][:count]
        torch.testing.assert_close(explanations[name].values, expected[name].values, atol=1e-6, rtol=1e-5)
        assert explanations[name].output.shape == (count, 3)
    coalitions = torch.tensor([[True, False, True], [True, True, True]])
    for some in (coalitions, coalitions[:1]):
        games = [explainer.game(IMAGES[:count], target=1) for explainer in (squeezed, plain)]
        values = [game.value(some) for game in games]
        torch.testing.assert_close(*values)


@pytest.mark.parametrize("function", [torch.squeeze, lambda z: z[:, 0], lambda z: z])
@pytest.mark.parametrize("count", [1, 3])
def test_one_logit_an_image_may_have_lost_its_dimension(function, count):
    explainer = explainer_of(lambda z: function(z.sum(1, keepdim=True)), utility="logit")
    explanations = explainer.compare(IMAGES[:count] - 1, METHODS)
    for e in explanations.values():
        assert e.target.tolist() == [1, 0, 0][:count]  # 1 + 3 + 2 - 3 is yes; the others sum to -1.5 and 0
        assert e.utility.tolist() == [3.0, 1.5, 0.0][:count]
        torch.testing.assert_close(e.values[0, 0], IMAGES[0, 0, 0] - 1)


WRONG = {
    "one row for all": (
        lambda z: z[:1],
        2,
        r"the model returns shape \(1, 3\) for 2 images; expected one row for each",
    ),
    "mean over images": (lambda z: z.mean(0), 2, r"the model returns shape \(3,\) for 2 images"),
    "transposed": (lambda z: z.T, 2, r"the model returns shape \(3, 2\) for 2 images"),
    "transposed, one": (lambda z: z.T, 1, r"the model returns shape \(3, 1\) for 1 image; expected one row for each"),
    "transposed square": (lambda z: z.T, 3, r"the model returns shape \(3, 1\) for 1 image"),
    "mean, as many classes as images": (
        lambda z: z.mean(0),
        3,
        r"the model returns shape \(3,\) for 3 images and \(1, 3\) for one alone; expected one row for each",
    ),
    "flattened": (torch.flatten, 2, r"the model returns shape \(6,\) for 2 images"),
    "crops": (lambda z: z.repeat_interleave(5, 0), 2, r"the model returns shape \(10, 3\) for 2 images"),
    "crops of one": (lambda z: z.repeat_interleave(5, 0), 1, r"the model returns shape \(5, 3\) for 1 image"),
    "nothing": (lambda z: z.sum(), 2, r"the model returns shape \(\) for 2 images"),
    "batch second": (lambda z: z[None], 2, r"the model returns shape \(1, 2, 3\) for 2 images"),
}


@pytest.mark.parametrize(("function", "count", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("utility", ["rest", "value"])
def test_another_number_of_rows_is_refused_with_what_was_found(function, count, message, utility):
    with pytest.raises(ModelError, match=message) as refused:
        explainer_of(function, utility=utility).explain(IMAGES[:count], "hirescam", target=0)
    assert "mend the model" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_flattened_batch_is_refused_for_coalitions_too():
    explainer = explainer_of(torch.flatten)
    assert explainer.explain(IMAGES[:1], "hirescam").target.tolist() == [1]
    with pytest.raises(ModelError, match=r"the model returns shape \(\d+,\) for \d+ coalitions; expected one row"):
        explainer.explain(IMAGES[:1], "exactshapley")


def test_output_says_so_too():
    with pytest.raises(ModelError, match=r"the model returns shape \(1, 3\) for 2 images"):
        explainer_of(lambda z: z[:1]).output(IMAGES[:2])
    assert explainer_of(torch.squeeze).output(IMAGES[:1]).shape == (1, 3)


def test_output_says_how_rows_are_made():
    crops = explainer_of(lambda z: z.repeat_interleave(5, 0), output=lambda z: z.reshape(-1, 5, 3).mean(1))
    e = crops.explain(IMAGES[:2], "hirescam")
    torch.testing.assert_close(e.values, explainer_of(lambda z: z).explain(IMAGES[:2], "hirescam").values)


def test_a_function_may_make_its_own_of_crops_but_not_of_one_row_for_all():
    def of_crops(output, target):
        return output.reshape(len(target), 5, 3).mean(1)[:, 0]

    e = explainer_of(lambda z: z.repeat_interleave(5, 0)).explain(IMAGES[:2], "hirescam", utility=of_crops)
    assert e.values[:, 0].tolist() == [[1, 0, 0], [0.5, 0, 0]]
    with pytest.raises(ModelError, match=r"the model returns shape \(1, 3\) for 2 images"):
        explainer_of(lambda z: z[:1]).explain(IMAGES[:2], utility=lambda z, c: z[:, 0] + 0 * c)
    with pytest.raises(OptionError, match=r"returned shape \(10,\); expected a tensor \(2,\)"):
        explainer_of(lambda z: z.repeat_interleave(5, 0)).explain(IMAGES[:2], utility=lambda z, _: z[:, 0])


@pytest.mark.parametrize(
    ("shape", "rows", "expected"),
    [((), 1, (1,)), ((5,), 1, (1, 5)), ((1,), 1, (1,)), ((1, 5), 1, (1, 5)), ((3,), 3, (3,)), ((3, 2, 4, 4), 3, None)],
)
def test_rows(shape, rows, expected):
    assert check_rows(torch.zeros(shape), rows).shape == (expected or shape)
