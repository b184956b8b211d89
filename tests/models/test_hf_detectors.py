"""Detectors of transformers from a folder: told from classifiers, with the place of a box in the photograph."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from helpers import query_detectors
from shapleycam import Detector
from shapleycam.errors import ImageError, ModelError
from shapleycam.models import zoo
from shapleycam.models.detectors.whole_photograph import WholePhotograph, as_detection_transform

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

SMALL = {"size": {"shortest_edge": 48, "longest_edge": 80}}
PROCESSORS = {
    "detr": lambda: transformers.DetrImageProcessor(**SMALL),
    "rt_detr": lambda: transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}),
    "yolos": lambda: transformers.YolosImageProcessor(**SMALL),
}


@pytest.fixture(params=PROCESSORS)
def folder(request, tmp_path):
    getattr(query_detectors, request.param)().save_pretrained(tmp_path / request.param)
    PROCESSORS[request.param]().save_pretrained(tmp_path / request.param)
    return tmp_path / request.param


def test_a_saved_detector_is_had_with_names_and_the_place_of_its_boxes(folder):
    network = zoo.load_network(f"hf:{folder}")
    own = getattr(query_detectors, folder.name)()
    assert all(torch.equal(weight, own.state_dict()[name]) for name, weight in network.model.state_dict().items())
    photo = Image.effect_noise((128, 96), 60).convert("RGB")
    with torch.no_grad():
        output = own(PROCESSORS[folder.name]()(photo, return_tensors="pt")["pixel_values"])
    detector = Detector(network, device="cpu")
    best = detector.choose(photo)
    query = {"rt_detr": output.logits.sigmoid()}.get(folder.name, output.logits.softmax(-1)[..., :-1])[0]
    assert best.score == pytest.approx(float(query.max()), rel=1e-4)
    assert best.label == ("cat", "dog", "bird")[int(query.amax(0).argmax())]
    centre_x, centre_y, width, height = output.pred_boxes[0, int(query.amax(1).argmax())].tolist()
    assert best.size == (128, 96)
    expected = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
    assert best.box == pytest.approx([e * side for e, side in zip(expected, (128, 96) * 2, strict=True)], abs=0.05)


def test_incomplete_weights_of_a_detector_are_refused(tmp_path):
    model = query_detectors.yolos()
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    without_boxes = {name: weight for name, weight in model.state_dict().items() if "bbox" not in name}
    torch.save(without_boxes, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"6 weights are not in the file .*so it is not a trained detector"):
        zoo.load_network(f"hf:{tmp_path}")


def test_a_detector_untrained_needs_no_weights(tmp_path):
    query_detectors.rt_detr().config.save_pretrained(tmp_path)
    network = zoo.load_network(f"hf:{tmp_path}", pretrained=False)
    assert type(network.model).__name__ == "RTDetrForObjectDetection"
    assert (network.origin, network.preprocess) == ("untrained", None)


# Processors

PHOTOGRAPHS = [(128, 96), (96, 128), (300, 60), (64, 64)]


@pytest.mark.parametrize("size", PHOTOGRAPHS)
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_that_resizes_the_whole_photograph_is_known_as_such(name, size):
    transform = as_detection_transform(PROCESSORS[name]())
    assert isinstance(transform, WholePhotograph)
    assert transform.box(size) == (0, 0, *size)
    photo = Image.new("RGB", size, "red")
    assert torch.equal(transform(photo), PROCESSORS[name]()(photo, return_tensors="pt")["pixel_values"][0])
    labels = torch.arange(size[1] * size[0]).view(size[1], size[0]) // (size[0] * (size[1] // 2))  # the lower half: 1
    inside = transform.crop_labels(labels)
    assert inside.shape == transform(photo).shape[-2:]
    assert float(inside.float().mean()) == pytest.approx(0.5, abs=1 / len(inside))


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"height": 48, "width": 48}, "pad_size": {"height": 64, "width": 64}, "do_pad": True},
        {"do_resize": False},
        {"do_rescale": False},
        {"rescale_factor": 1 / 127.5},
    ],
)
def test_any_other_processor_is_a_function_without_a_known_place(settings):
    transform = as_detection_transform(transformers.DetrImageProcessor(**{**SMALL, **settings}))
    assert not isinstance(transform, WholePhotograph)


class CropsTall:
    """Resizes wide photographs as a whole, and cuts the lower half of tall ones."""

    image_mean, image_std = (0.0,) * 3, (1.0,) * 3
    do_resize, do_rescale, rescale_factor = True, True, 1 / 255

    def __call__(self, photo, return_tensors):
        height = photo.height if photo.width > photo.height else photo.height // 2
        pixels = transformers.RTDetrImageProcessor(size={"height": 32, "width": 32})
        return pixels(photo.crop((0, 0, photo.width, height)), return_tensors=return_tensors)


def test_a_photograph_that_is_not_taken_as_a_whole_is_refused():
    transform = as_detection_transform(CropsTall())
    assert transform.box((128, 96)) == (0, 0, 128, 96)
    with pytest.raises(ImageError, match="crops or pads a photograph of 96 x 128 pixels; expected one that it resizes"):
        transform.box((96, 128))


def test_what_the_processor_raises_is_one_line():
    class Fails(CropsTall):
        def __call__(self, photo, return_tensors):
            if photo.width < 10:
                raise ValueError("no pixel is left\nand so on")
            return super().__call__(photo, return_tensors)

    with pytest.raises(ImageError, match=r"^the image processor cannot take a photograph of 5 x 4 pixels \(ValueError"):
        as_detection_transform(Fails())(Image.new("RGB", (5, 4)))
