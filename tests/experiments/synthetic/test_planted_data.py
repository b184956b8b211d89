"""Pictures with one bright patch as a dataset: exact methods have no error, and the patch is found."""

from __future__ import annotations

import pytest
import torch

from shapleycam import Explainer, values
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, RunSettings, evaluate
from shapleycam.experiments.synthetic import PlantedLayout, planted_dataset, planted_values


@pytest.mark.parametrize("layout", [PlantedLayout("NCHW", (2, 3)), PlantedLayout("NHWC", (3, 2))], ids=str)
def test_the_closed_form_is_what_all_coalitions_give(layout):
    network, dataset = planted_dataset(layout, count=3)
    images = torch.stack([network.preprocess(dataset.open(index)) for index in range(3)])
    game = Explainer(network, layer="cells", utility="logit").game(images, target=0)
    exact = values.exact(game).values.view(3, *layout.grid)
    torch.testing.assert_close(exact, planted_values(layout, images), rtol=1e-4, atol=1e-6, check_dtype=False)


def test_evaluated_the_patch_is_where_the_values_are(tmp_path):
    network, dataset = planted_dataset(PlantedLayout("NCHW", (4, 6)), count=5)
    names = ("pointing_game", "relevance_mass", "best_box_iou", "shapley_error")
    protocol = Protocol(utilities=("logit",), methods=("pathcam-h",), metrics=names, class_rule="label")
    rows = evaluate(network, dataset, tmp_path, protocol, settings=RunSettings(workers=0)).rows()
    assert rows["pointing_game"].to_list() == [1] * 5
    # Noise below 2/255 in 23 cells, beside a patch of 1; a box is two cells wide where the map falls to half.
    assert rows["relevance_mass"].min() > 0.85
    assert rows["best_box_iou"].min() > 0.5
    assert rows["shapley_error"].max() < 0.01


@pytest.mark.parametrize(
    ("layout", "count", "message"),
    [
        (PlantedLayout("NCDHW", (2, 2, 2)), 1, "expected one of pictures"),
        (PlantedLayout("NCHW", (2, 2)), 5, "count is 5; expected 1 to 4"),
    ],
)
def test_what_cannot_be_is_refused(layout, count, message):
    with pytest.raises(OptionError, match=message):
        planted_dataset(layout, count)
