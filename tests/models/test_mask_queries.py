"""Classes and masks of queries as scores of pixels: by pencil, and as transformers' own post-processing has them."""

from __future__ import annotations

from math import log

import pytest
import torch

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer
from shapleycam.errors import ModelError, TargetError
from shapleycam.models.mask_queries import pixel_scores
from shapleycam.models.outputs import find_logits
from shapleycam.utilities import inside

transformers = LazyModule("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def test_by_pencil():
    """Two queries: one of class 0 for sure, there with 1/2; one of class 0, 1 or nothing with 1/3 each, with 3/4."""
    classes = torch.tensor([[[60.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    masks = torch.tensor([0.0, log(3)]).reshape(1, 2, 1, 1)
    expected = torch.tensor([log(1 / 2 + 1 / 4), log(1 / 4)])
    torch.testing.assert_close(pixel_scores(classes, masks).flatten(), expected)


def test_a_pixel_that_no_query_covers_has_a_finite_score():
    scores = pixel_scores(torch.zeros(1, 1, 3), torch.full((1, 1, 1, 1), -200.0))
    assert bool(torch.isfinite(scores).all())


def test_an_output_of_other_shapes_is_not_taken_for_queries():
    parts = {"class_queries_logits": torch.zeros(1, 4, 3), "masks_queries_logits": torch.zeros(1, 5, 2, 2)}
    with pytest.raises(ModelError, match="of 2 tensors: 'class_queries_logits'"):
        find_logits(parts)


@pytest.fixture(scope="module")
def mask2former():
    torch.manual_seed(0)
    stages = [f"stage{number}" for number in (1, 2, 3, 4)]
    swin = transformers.SwinConfig(
        embed_dim=12, depths=[1] * 4, num_heads=[1, 2, 2, 2], window_size=4, image_size=64, out_features=stages
    )
    sizes = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "dim_feedforward": 16, "num_queries": 6}
    layers = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "encoder_feedforward_dim": 16}
    config = transformers.Mask2FormerConfig(backbone_config=swin, num_labels=5, **sizes, **layers)
    return transformers.Mask2FormerForUniversalSegmentation(config).eval()


IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_the_region_of_a_class_is_that_of_the_models_own_post_processing(mask2former):
    with torch.no_grad():
        output = mask2former(IMAGES)
    processor = transformers.Mask2FormerImageProcessor()
    segmented = torch.stack(processor.post_process_semantic_segmentation(output, [(384, 384)] * 2))
    scores = torch.nn.functional.interpolate(find_logits(output).exp(), (384, 384), mode="bilinear")
    assert float((scores.argmax(1) == segmented).float().mean()) > 0.9  # it resizes masks before they are combined


@pytest.mark.slow
def test_a_region_is_explained_without_an_option(mask2former):
    explainer = Explainer(mask2former, layer="last-conv", utility=inside(utility="log_probability"))
    e = explainer.explain(IMAGES, "hirescam")
    with torch.no_grad():
        scores = find_logits(mask2former(IMAGES))
    predicted = scores.argmax(1)
    for image, target in enumerate(e.target.tolist()):
        assert target == int(predicted[image].flatten().mode().values)  # the class of most pixels
        region = predicted[image] == target
        expected = scores[image].log_softmax(0)[target][region].mean()
        torch.testing.assert_close(e.utility[image], expected, rtol=1e-4, atol=1e-5)


def test_without_a_question_the_shape_is_refused(mask2former):
    with pytest.raises(TargetError, match=r"the model's output has shape \(\d, 5, 16, 16\); expected logits"):
        Explainer(mask2former, layer="last-conv").explain(IMAGES)
