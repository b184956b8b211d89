"""Detectors of torchvision, transformers and ultralytics: their own boxes are found again among all that they score."""

from __future__ import annotations

from math import log
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import detection

from helpers.lazy_modules import LazyModule
from shapleycam import Detector
from shapleycam.errors import ModelError, TargetError
from shapleycam.models import zoo
from shapleycam.models.detectors import as_box_scores
from shapleycam.models.detectors.query_outputs import chosen_places, read_queries
from shapleycam.models.detectors.yolo_outputs import read_anchors

query_detectors = LazyModule("helpers.query_detectors")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

SMALL = {"weights": None, "weights_backbone": None, "num_classes": 4}
ONE_STAGE = {"score_thresh": 0.0, "detections_per_img": 5, "min_size": 96, "max_size": 150}
TWO_STAGE = {"box_score_thresh": 0.0, "box_detections_per_img": 5, "min_size": 96, "max_size": 150}
BUILDERS = {
    "retinanet": lambda: detection.retinanet_resnet50_fpn(**SMALL, **ONE_STAGE),
    "fcos": lambda: detection.fcos_resnet50_fpn(**SMALL, **ONE_STAGE),
    "ssdlite": lambda: detection.ssdlite320_mobilenet_v3_large(**SMALL, score_thresh=0.0, detections_per_img=5),
    "fasterrcnn": lambda: detection.fasterrcnn_mobilenet_v3_large_fpn(**SMALL, **TWO_STAGE),
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def spread_logits(model: nn.Module) -> nn.Module:
    """Make an untrained detector's scores differ, so that no two boxes are alike."""
    for name, weight in model.named_parameters():
        if "cls_logits" in name or "cls_score" in name or "classification_head" in name:
            weight.data.copy_(torch.randn_like(weight) * 0.5)
    return model.eval()


@pytest.mark.parametrize("name", BUILDERS)
def test_the_boxes_of_torchvision_are_its_own(name):
    model = spread_logits(BUILDERS[name]())
    image = torch.rand(3, 80, 110)
    with torch.no_grad():
        (own,) = model([image])
    detector = Detector(model)
    found = detector.detect(image)
    assert len(found) == 5
    torch.testing.assert_close(torch.tensor([each.box for each in found]), own["boxes"], rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(torch.tensor([each.score for each in found]), own["scores"], rtol=1e-3, atol=1e-5)
    assert [each.target for each in found] == own["labels"].tolist()
    for each in found:
        assert detector.choose(image, each) == each  # its score is read at its anchor


def test_torchvisions_names_are_networks_with_labels():
    network = zoo.load_network("torchvision:ssdlite320_mobilenet_v3_large", pretrained=False)
    assert network.labels[1] == "person"
    assert network.preprocess.fixed == (320, 320)
    assert isinstance(network.model, torchvision.models.detection.ssd.SSD)


# transformers


def output_of(kind: str, **fields: torch.Tensor) -> object:
    return type(kind, (SimpleNamespace,), {})(**fields)


def test_the_class_of_an_output_says_how_scores_are_made():
    logits = torch.tensor([[[0.0, log(2), 0.0]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4]]])
    corners, scores = read_queries(output_of("YolosObjectDetectionOutput", logits=logits, pred_boxes=boxes))
    torch.testing.assert_close(scores, torch.tensor([[[1 / 4, 1 / 2]]]))  # the third is no object
    torch.testing.assert_close(corners, torch.tensor([[[0.4, 0.3, 0.6, 0.7]]]))
    _, scores = read_queries(output_of("DabDetrObjectDetectionOutput", logits=logits, pred_boxes=boxes))
    torch.testing.assert_close(scores, torch.tensor([[[1 / 2, 2 / 3, 1 / 2]]]))
    with pytest.raises(TargetError, match="the model returns a OwlViTObjectDetectionOutput; expected"):
        read_queries(output_of("OwlViTObjectDetectionOutput", logits=logits, pred_boxes=boxes))
    with pytest.raises(TargetError, match=r"a dict with logits, pred_boxes; expected .* a softmax"):
        read_queries({"logits": logits, "pred_boxes": boxes})


def test_queries_that_are_chosen_in_a_way_that_is_not_told_are_refused():
    two_stage = output_of(
        "DeformableDetrObjectDetectionOutput",
        logits=torch.zeros(1, 2, 3),
        pred_boxes=torch.zeros(1, 2, 4),
        enc_outputs_class=torch.zeros(1, 9, 3),
    )
    with pytest.raises(TargetError, match="DeformableDetrObjectDetectionOutput, whose queries are chosen anew"):
        chosen_places(two_stage)


@pytest.mark.parametrize(("name", "softmax"), [("rt_detr", False), ("yolos", True), ("detr", True)])
def test_transformers_detectors_are_explained_at_a_query(name, softmax):
    model, image = getattr(query_detectors, name)(), torch.randn(3, 64, 64)
    with torch.no_grad():
        logits = model(image[None]).logits[0]
    scores = logits.softmax(-1)[:, :-1] if softmax else logits.sigmoid()
    detector = Detector(model)
    found = detector.detect(image)
    best = scores.amax(1).sort(descending=True).values
    torch.testing.assert_close(torch.tensor([each.score for each in found]), best, rtol=1e-4, atol=1e-6)
    e = detector.explain(image, 1, "hirescam")
    assert float(e.utility[0]) == pytest.approx(float(best[1]), rel=1e-4)
    assert float(e.values.abs().sum()) > 1e-6


# ultralytics


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(1, 300, 6), r"a tensor \(1, 300, 6\); expected \(b, 6, anchors\), a box and 2 scores at each"),
        ((torch.zeros(1, 85, 7), {}), r"a tuple of a tensor \(1, 85, 7\), a dict with nothing"),
        ({"boxes": torch.zeros(1, 4, 7)}, "a dict with boxes"),
        (torch.full((1, 6, 7), 3.0), "class scores are from 3 to 3; expected sigmoids"),
    ],
)
def test_other_outputs_than_yolos_are_refused_with_their_form(output, message):
    with pytest.raises(TargetError, match=message):
        read_anchors(output, 2)


def test_segmentation_heads_have_numbers_behind_their_scores():
    output = torch.rand(1, 4 + 2 + 32, 7)
    boxes, scores = read_anchors(((output, torch.zeros(1, 32, 8, 8)), {}), 2, 32)
    assert (boxes.shape, scores.shape) == ((1, 7, 4), (1, 7, 2))
    torch.testing.assert_close(scores[0, :, 1], output[0, 5])


def test_without_ultralytics_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    with pytest.raises(ModelError, match=r"needs ultralytics, which .*; pip install ultralytics \(licence: AGPL-3.0\)"):
        zoo.load_network("ultralytics:yolov8n.yaml")


def test_weights_of_ultralytics_are_not_read_since_they_run_code():
    with pytest.raises(ModelError, match="is a pickle, which runs code when it is read"):
        zoo.load_network("ultralytics:yolov8n.pt")


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo11n.yaml", "yolov8n-seg.yaml"])
def test_the_boxes_of_ultralytics_are_its_own(name, tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    pytest.importorskip("ultralytics", reason="ultralytics (AGPL) is not installed")
    from ultralytics.utils import nms

    network = zoo.load_network(f"ultralytics:{name}", pretrained=False)
    for head in network.model.model[-1].cv3:  # so that scores differ
        nn.init.normal_(head[-1].weight, std=2.0)
    detector, image = Detector(network), torch.rand(3, 96, 128)
    with torch.no_grad():
        output = network.model(image[None])[0]
    (own,) = nms.non_max_suppression(output, conf_thres=0.0, iou_thres=0.7, max_det=300, nc=80)
    found = detector.detect(image)
    torch.testing.assert_close(torch.tensor([each.score for each in found]), own[:, 4], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(torch.tensor([found[0].box]), own[:1, :4], rtol=1e-3, atol=1e-2)
    e = detector.explain(image, 0, "hirescam")
    assert float(e.utility[0]) == pytest.approx(found[0].score, abs=1e-3)


def test_a_head_that_chooses_inside_is_refused():
    from helpers.detectors import DetectionModel

    model = DetectionModel()
    model.model[-1].end2end = True
    with pytest.raises(ModelError, match=r"chooses its boxes inside .*; set model\.model\[-1\]\.end2end = False"):
        as_box_scores(model)
