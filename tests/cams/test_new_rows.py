"""A method of a new kind is one row and one function: nothing else knows the kinds of methods."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import interpolate

from helpers.networks import linear, logits
from shapleycam import METHODS, Explainer, fidelity, methods
from shapleycam.cams.bases import Basis, Cost
from shapleycam.cams.heatmaps import min_max
from shapleycam.cams.spreads import MEAN
from shapleycam.cams.table import Method, expand_methods
from shapleycam.experiments.results.styles import style_of
from shapleycam.explaining.inputs import batch_of
from shapleycam.report import make_pages, render_photographs


def masked_scores(game, _):
    """Weights as Score-CAM's: the utility of the image under each channel's map, one pass of the model each."""
    positions = game.layout.positions(game.activation)
    channels = positions.movedim(2, 1).unflatten(2, game.layout.grid)
    size = game.images.shape[2:]
    everyone = torch.arange(len(game.images))
    weights = []
    for k in range(channels.shape[1]):
        mask = min_max(interpolate(channels[:, k : k + 1], size=size, mode="bilinear", align_corners=False))
        weights.append(game.score_images(game.images * mask, everyone))
    return torch.stack(weights, 1)[:, None].expand(positions.shape)


MASKED = Basis(
    "masked images",
    masked_scores,
    lambda _players, _nodes: Cost(model_passes=512),
    "masked images",
    "#123456",
    needs_model_passes=True,
)
ROW = Method("maskedcam", MASKED, MEAN, "a test", "channels weighted by the score under their mask", in_units=False)


@pytest.fixture
def masked(monkeypatch):
    monkeypatch.setitem(METHODS, ROW.name, ROW)


def test_by_pencil(masked):
    """Score Σ w·a of an image of two channels; masks are the channels on [0, 1], as the features are the image."""
    image = torch.tensor([[[[0.0, 2.0]], [[4.0, 8.0]]]])
    model = linear(torch.tensor([[[[1.0, 1.0]], [[0.5, 0.25]]]]))
    explanation = Explainer(model, layer="features", utility="logit").explain(image, "maskedcam", target=0)
    # Both masks are (0, 1), so that 2 + 0.25 * 8 = 4 is the score under each: the value is 4 times the channels' sum.
    torch.testing.assert_close(explanation.values, torch.tensor([[[4 * 4.0, 4 * 10.0]]]), rtol=1e-5, atol=1e-5)


def test_changed_images_are_scored_as_the_images_themselves():
    torch.manual_seed(0)
    images = torch.rand(3, 2, 4, 4)
    game = Explainer(linear(torch.rand(1, 2, 4, 4)), layer="features").game(images, target=[0, 1, 0])
    torch.testing.assert_close(game.score_images(images, torch.arange(3)), game.full)
    torch.testing.assert_close(game.score_images(images[[2, 0, 0]], torch.tensor([2, 0, 0])), game.full[[2, 0, 0]])


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
def test_changed_images_are_scored_by_logits_of_a_model_that_returns_probabilities():
    torch.manual_seed(0)
    images, weight = torch.rand(2, 2, 4, 4), torch.rand(1, 2, 4, 4)
    plain = linear(weight)
    model = linear(weight)
    model.head = lambda a: logits((a * weight).flatten(1).sum(1)).softmax(1)
    scores = []
    for each in (plain, model):
        game = Explainer(each, layer="features", utility="logit").game(images, target=0)
        scores.append(game.score_images(0.5 * images, torch.arange(2)))
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_is_explained_measured_listed_drawn_and_reported(masked, explainer, hopper, run, tmp_path):
    names = ["gradcam", "maskedcam"]
    cheap = replace(MASKED, compute=lambda game, _: game.layout.positions(game.gradient()))
    METHODS["maskedcam"] = replace(ROW, basis=cheap)
    batch = batch_of(hopper, explainer.preprocess, explainer.model)
    compared = explainer.compare(batch, names)
    torch.testing.assert_close(compared["maskedcam"].values, compared["gradcam"].values)
    (distance,) = fidelity.fidelity(explainer, [batch], methods=["maskedcam"], players=(2, 2)).distances
    assert distance.error is None
    assert b"maskedcam" in render_photographs(make_pages(explainer, batch, names), [])
    assert style_of("maskedcam").colour == "#123456"
    listed = {row["name"]: row for row in json.loads(run("methods", "--json").out)}
    assert listed["maskedcam"]["needs_model_passes"]
    assert listed["maskedcam"]["derivative"] == "masked images"
    assert ROW.description in run("methods").out
    assert "maskedcam" in expand_methods(["all"])


def test_a_row_that_gives_a_derivative_and_has_no_spread_is_refused(masked, explainer, hopper):
    METHODS["maskedcam"] = replace(ROW, basis=METHODS["gradcam"].basis, spread=None)
    with pytest.raises(TypeError, match="method 'maskedcam': its basis gives a derivative, so that its row needs a sp"):
        explainer.explain(hopper, "maskedcam")


def test_all_leaves_out_what_nobody_would_wait_for():
    limits = {row.name: row.most_players for row in methods() if row.most_players is not None}
    alone = {"leaveoneout": 2**16, "reciprocam": 2**16}
    assert limits == {
        "sampledshapley": 256,
        "exactshapley": 16,
        "owen": 256,
        "banzhaf": 4095,
        "occlusion": 2048,
        **alone,
    }
    dear = replace(ROW, basis=replace(MASKED, cost=lambda players, _: Cost(head_evaluations=players * players)))
    assert dear.most_players == 256
    assert dear.is_affordable(256)
    assert not dear.is_affordable(257)


def test_costs_follow_players_and_nodes():
    assert METHODS["pathcam"].basis.cost_of(49, 16) == Cost(head_gradients=16)
    assert METHODS["pathcam"].basis.cost_of(49, "auto") == Cost(head_gradients=64)
    assert METHODS["exactshapley"].basis.cost_of(10).runs == 1024
    assert METHODS["gradcam"].basis.cost_of(784).runs == 1
    assert METHODS["scorecam"].basis.cost_of(49, channels=2048) == Cost(model_passes=2048)
    assert METHODS["iscam"].basis.cost_of(49, channels=96) == Cost(model_passes=960)
    assert METHODS["ablationcam"].basis.cost_of(49, channels=96) == Cost(head_evaluations=96)
    assert [METHODS["scorecam"].is_affordable(49, channels) for channels in (2048, 2049)] == [True, False]


def test_rows_as_data_keep_their_keys():
    keys = ["name", "derivative", "spread", "source", "in_units", "in_paper", "most_players"]
    for row in methods():
        assert list(row.as_data())[: len(keys)] == keys
        assert row.description
        json.dumps(row.as_data())
