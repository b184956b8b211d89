"""Real networks for segmentation, detection, video and several labels, untrained, asked as their users would ask."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from helpers.lazy_modules import LazyModule
from shapleycam import Explainer, utilities
from shapleycam.errors import DerivativeError, TargetError

transformers = LazyModule("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def lraspp() -> nn.Module:
    build = torchvision.models.segmentation.lraspp_mobilenet_v3_large
    return build(weights=None, weights_backbone=None, num_classes=5).eval()


def segformer() -> nn.Module:
    config = transformers.SegformerConfig(num_labels=5, depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 32, 64])
    return transformers.SegformerForSemanticSegmentation(config).eval()


@pytest.mark.parametrize(("build", "layer"), [(lraspp, "backbone.16"), (segformer, "segformer.stages.3")])
def test_segmentation_is_explained_at_the_encoder(build, layer):
    model, images = build(), noise(2, 3, 128, 128)
    mask = torch.zeros(2, 128, 128, dtype=torch.bool)
    mask[0, :64, :64] = mask[1, 64:, 64:] = True
    explainer = Explainer(model, utility=utilities.inside(mask, "logit"))
    comparison = explainer.compare(images, ["gradcam", "shapleycam", "pathcam"], target=3)
    assert explainer.find_layer() == layer
    z = explainer.output(images)
    scale = z.shape[-1] // 2
    expected = [z[0, 3, :scale, :scale].mean(), z[1, 3, scale:, scale:].mean()]
    for e in comparison.values():
        torch.testing.assert_close(e.utility, torch.stack(expected), rtol=1e-4, atol=1e-5)
        assert e.heatmap.shape == (2, 128, 128)
        assert bool(torch.isfinite(e.values).all())
        assert bool(e.values.any())


def test_without_a_place_a_dense_output_is_refused_with_what_to_ask():
    with pytest.raises(TargetError, match=r"output has shape \(1, 5, 64, 64\); .*inside\(mask\)"):
        Explainer(lraspp()).explain(noise(1, 3, 64, 64))


def faster_rcnn() -> nn.Module:
    build = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
    options = {"box_score_thresh": 0.0, "box_detections_per_img": 5, "min_size": 128, "max_size": 128}
    return build(weights=None, weights_backbone=None, num_classes=4, **options).eval()


def detr() -> nn.Module:
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_queries": 9, "num_labels": 3}
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        **layers,
        **sizes,
    )
    return transformers.DetrForObjectDetection(config).eval()


def test_a_two_stage_detector_is_explained_as_it_is():
    model, images = faster_rcnn(), noise(2, 3, 128, 128)
    with torch.no_grad():
        detections = model(list(images))
    explainer = Explainer(model, utility=utilities.box())
    comparison = explainer.compare(images, ["gradcam", "hirescam", "pathcam"])
    assert explainer.find_layer() == "backbone.body.16"
    for e in comparison.values():
        best = torch.stack([image["scores"].max() for image in detections])
        torch.testing.assert_close(e.utility, best, rtol=1e-3, atol=1e-5)
        assert e.target.tolist() == [int(image["labels"][image["scores"].argmax()]) for image in detections]
        assert bool(torch.isfinite(e.values).all())
        assert e.output is None
    with pytest.raises(DerivativeError, match=r"roi_align not supported.*; use a first-order method"):
        explainer.explain(images, "shapleycam")


def test_detr_is_explained_at_its_encoder_and_its_queries_are_no_grid():
    model, images = detr(), noise(2, 3, 128, 128)
    explainer = Explainer(model, utility=utilities.box((0.2, 0.2, 0.9, 0.9)))
    comparison = explainer.compare(images, ["shapleycam", "pathcam-h", "sampledshapley"], target=1, tolerance=0.2)
    assert explainer.find_layer().startswith(("model.encoder", "model.input_projection"))
    e = comparison["sampledshapley"]
    assert e.values.shape == (2, 4, 4)  # not the nine queries
    game = explainer.game(images, target=1)
    torch.testing.assert_close(e.values.sum((1, 2)), game.grand, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "shape", "layer", "grid"),
    [
        (lambda: torchvision.models.video.r3d_18(weights=None), (1, 3, 4, 48, 48), "layer4", (1, 3, 3)),
        (
            lambda: transformers.VideoMAEForVideoClassification(
                transformers.VideoMAEConfig(
                    image_size=32, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=64, patch_size=8,
                )
            ),
            (1, 4, 3, 32, 32),
            "videomae",
            (2, 4, 4),
        ),
    ],
    ids=["r3d", "videomae"],
)  # fmt: skip
def test_videos_are_explained_in_space_and_time(build, shape, layer, grid):
    explainer = Explainer(build().eval())
    comparison = explainer.compare(noise(*shape), ["gradcam", "shapleycam-h", "pathcam-h", "sampledshapley"])
    assert explainer.find_layer() == layer
    for e in comparison.values():
        assert e.values.shape == (1, *grid)
        frames = shape[2] if shape[1] == 3 else shape[1]
        assert e.heatmap.shape == (1, frames, *shape[-2:])
    assert comparison["pathcam-h"].overlay().size == shape[-2:]


def test_every_label_of_an_image_has_its_map_from_one_pass():
    model = torchvision.models.resnet18(weights=None, num_classes=6).eval()
    passes = []
    model.conv1.register_forward_hook(lambda *_: passes.append(1))
    explainer = Explainer(model, layer="layer4", labels=("a", "b", "c", "d", "e", "f"), utility="sigmoid_rest")
    images = noise(2, 3, 64, 64)
    explainer.explain(images)  # proves the layout, once for a model and a size
    passes.clear()
    each = explainer.explain_each(images, ["b", "e", 5])
    assert len(passes) == 1
    assert [e.label() for e in each] == ["b", "e", "f"]
    for e, target in zip(each, [1, 4, 5], strict=True):
        alone = explainer.explain(images, target=target)
        torch.testing.assert_close(e.values, alone.values)
        z = e.output[:, target]
        torch.testing.assert_close(e.utility, z + torch.nn.functional.logsigmoid(z))
        torch.testing.assert_close(e.probabilities(1)[target], z[1].sigmoid())
