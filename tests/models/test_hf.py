"""Image classifiers of transformers: from a folder, from a hub that is not there, and passed in."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode

import shapleycam
from shapleycam.errors import ModelError
from shapleycam.models import zoo
from shapleycam.models.labels import labels_from_config
from shapleycam.models.transforms import as_transform

transformers = pytest.importorskip("transformers")

NAMES = {0: "tench, Tinca tinca", 1: "goldfish", 2: "bow tie"}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """Keep every test offline."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def config(**options: object):
    size = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    labels = {"id2label": NAMES, "label2id": {name: index for index, name in NAMES.items()}}
    return transformers.ViTConfig(**{**size, "image_size": 24, "patch_size": 6, **labels, **options})


def classifier(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return transformers.ViTForImageClassification(config(**options)).eval()


def processor(kind: str = "ViTImageProcessor", **options: object):
    settings = {"size": {"height": 24, "width": 24}, "image_mean": MEAN, "image_std": STD, "resample": 2, **options}
    return getattr(transformers, kind)(**settings)


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    return classifier()


@pytest.fixture
def folder(tmp_path, vit):
    """What save_pretrained writes: config, weights as safetensors, processor."""
    vit.save_pretrained(tmp_path / "vit")
    processor().save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    levels = torch.randint(0, 256, (5, 8, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return Image.fromarray(levels.numpy()).resize((80, 50), Image.Resampling.BICUBIC)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    weights, expected = first.state_dict(), second.state_dict()
    return weights.keys() == expected.keys() and all(torch.equal(weights[key], expected[key]) for key in weights)


# From a folder


def test_a_folder_holds_weights_labels_and_preprocessing(folder, vit):
    assert (folder / "model.safetensors").is_file()
    network = zoo.load_network(f"hf:{folder}")
    assert same_weights(network.model, vit)
    assert not network.model.training
    assert network.labels == tuple(NAMES.values())
    assert network.name == f"hf:{folder}"
    assert network.origin == f"transformers, {folder}"
    assert network.preprocess == shapleycam.Preprocess(
        (24, 24), (24, 24), tuple(MEAN), tuple(STD), InterpolationMode.BILINEAR
    )


@pytest.mark.filterwarnings(
    "ignore::shapleycam.errors.ShapleyCamWarning"
)  # what an untrained map shows is not the point
def test_a_photograph_is_explained_by_the_name_of_a_folder(folder, vit, photo):
    explainer = shapleycam.Explainer(f"hf:{folder}", device="cpu")
    e = explainer.explain(photo, "hirescam", "bow tie", "log_probability")
    pixels = processor()(photo, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = vit(pixels).logits.log_softmax(1)[0, 2]
    torch.testing.assert_close(e.images, pixels, atol=0.05, rtol=0)  # Pillow's bilinear and torchvision's
    assert float(e.utility) == pytest.approx(float(expected), abs=0.01)
    assert e.values.shape == (1, 4, 4)
    assert e.prefix is not None  # the class token's
    assert e.label() == "bow tie"


def test_a_file_of_tensors_is_read_where_there_are_no_safetensors(folder, vit):
    (folder / "model.safetensors").unlink()
    torch.save(vit.state_dict(), folder / "pytorch_model.bin")
    assert same_weights(zoo.load_network(f"hf:{folder}").model, vit)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("forced", [None, "0"])
def test_objects_in_a_file_are_refused_and_never_made(folder, vit, tmp_path, monkeypatch, forced):
    if forced is not None:
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", forced)
    (folder / "model.safetensors").unlink()
    torch.save({**vit.state_dict(), "trap": Trap(tmp_path / "sprung")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=rf"^model 'hf:{folder}' could not be made \(.*\); give the name of an image"):
        zoo.load_network(f"hf:{folder}")
    assert not (tmp_path / "sprung").exists()
    assert os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD") == forced


def test_code_in_a_folder_is_not_run_and_nobody_is_asked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether code may be run"))
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoConfig": "mine.Mine", "AutoModelForImageClassification": "mine.Mine"}
    settings["model_type"] = "mine"
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Mine: pass\n")
    with pytest.raises(ModelError, match="could not be made"):
        zoo.load_network(f"hf:{folder}")
    assert not (tmp_path / "sprung").exists()


def test_weights_that_are_not_all_there_are_refused(folder, vit):
    (folder / "model.safetensors").unlink()
    backbone = {name: tensor for name, tensor in vit.state_dict().items() if not name.startswith("classifier")}
    torch.save(backbone, folder / "pytorch_model.bin")
    with pytest.raises(ModelError) as refused:
        zoo.load_network(f"hf:{folder}")
    message = str(refused.value)
    assert message.startswith(f"model 'hf:{folder}': 2 weights are not in the file (first: classifier.bias), so it is")
    assert "pretrained=False" in message


def test_untrained_the_weights_of_a_folder_are_not_read(folder, vit):
    (folder / "model.safetensors").write_bytes(b"damaged")
    network = zoo.load_network(f"hf:{folder}", pretrained=False)
    assert network.origin == "untrained"
    assert network.labels == tuple(NAMES.values())
    assert network.model.state_dict().keys() == vit.state_dict().keys()
    with pytest.raises(ModelError, match=r"could not be made \(.*\); give the name of an image classifier or"):
        zoo.load_network(f"hf:{folder}")


def test_a_checkpoint_fills_the_model_of_a_folder(folder, tmp_path):
    other_weights = {name: tensor + 1 for name, tensor in classifier().state_dict().items()}
    torch.save(other_weights, tmp_path / "own.pth")
    network = zoo.load_network(f"hf:{folder}", tmp_path / "own.pth")
    assert torch.equal(network.model.classifier.weight, other_weights["classifier.weight"])
    assert network.origin == str(tmp_path / "own.pth")


def test_without_a_saved_processor_photographs_need_preprocessing(folder, photo):
    (folder / "preprocessor_config.json").unlink()
    network = zoo.load_network(f"hf:{folder}")
    assert network.preprocess is None
    with pytest.raises(shapleycam.ShapleyCamError, match="how this model wants them is not known; give preprocess="):
        shapleycam.Explainer(network).explain(photo)


def test_a_folder_without_a_classifier_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="could not be made") as refused:
        zoo.load_network(f"hf:{tmp_path}", pretrained=False)
    assert "\n" not in str(refused.value)


# From the hub


def test_a_hub_that_cannot_be_reached_is_one_line_with_the_way_out():
    with pytest.raises(ModelError) as refused:
        zoo.load_network("hf:google/not-here-at-all")
    message = str(refused.value)
    assert message.startswith("model 'hf:google/not-here-at-all' could not be made (OSError: ")
    assert "\n" not in message
    for way in ("a folder that save_pretrained wrote", "checkpoint=", "pretrained=False"):
        assert way in message


def test_what_the_loader_raises_is_told(monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("the hub cannot be reached\nand so on, over many lines")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(ModelError, match=r"'hf:a/b' could not be made \(ConnectionError: the hub cannot be reached\);"):
        zoo.load_network("hf:a/b")


@pytest.mark.parametrize("pretrained", [True, False])
def test_without_transformers_the_extra_is_named(monkeypatch, pretrained):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError) as refused:
        zoo.load_network("hf:google/vit-base-patch16-224", pretrained=pretrained)
    assert str(refused.value) == (
        "model 'hf:google/vit-base-patch16-224' needs transformers, which is not installed; "
        "pip install 'shapleycam[hf]'"
    )


def test_other_sources_do_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert zoo.load_network("torchvision:squeezenet1_1", pretrained=False).labels is not None


# Passed in


def test_a_module_of_transformers_brings_its_labels(vit):
    explainer = shapleycam.Explainer(vit)
    assert explainer.labels == tuple(NAMES.values())
    assert explainer.preprocess is None


def test_given_labels_are_preferred(vit):
    assert shapleycam.Explainer(vit, labels=["a", "b", "c"]).labels == ("a", "b", "c")


@pytest.mark.parametrize("names", [{0: "LABEL_0", 1: "LABEL_1"}, {1: "a", 2: "b"}, {}])
def test_numbers_are_not_names(names):
    model = nn.Identity()
    model.config = transformers.PretrainedConfig(id2label=names)
    assert labels_from_config(model) is None


def test_labels_are_in_the_order_of_the_logits():
    model = nn.Identity()
    model.config = transformers.PretrainedConfig(id2label={2: "c", 0: "a", 1: "b"})
    assert labels_from_config(model) == ("a", "b", "c")
    assert labels_from_config(nn.Identity()) is None


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
def test_a_module_and_a_processor_explain_a_photograph(vit, photo):
    explainer = shapleycam.Explainer(vit, preprocess=processor())
    by_photo = explainer.explain(photo, target="goldfish")
    by_tensor = explainer.explain(explainer.preprocess(photo)[None], target=1)
    assert torch.equal(by_photo.values, by_tensor.values)
    assert by_photo.sources[0].box == pytest.approx((0, 0, 80, 50))


# Processors


STANDARD = {
    "squashed": (
        processor,
        shapleycam.Preprocess((24, 24), (24, 24), tuple(MEAN), tuple(STD), InterpolationMode.BILINEAR),
    ),
    "bicubic": (
        lambda: processor(resample=3, size={"height": 20, "width": 30}),
        shapleycam.Preprocess((20, 30), (20, 30), tuple(MEAN), tuple(STD), InterpolationMode.BICUBIC),
    ),
    "cropped": (
        lambda: processor(
            "CLIPImageProcessor",
            size={"shortest_edge": 28},
            crop_size={"height": 24, "width": 24},
            resample=3,
            do_convert_rgb=True,
        ),
        shapleycam.Preprocess(28, (24, 24), tuple(MEAN), tuple(STD), InterpolationMode.BICUBIC),
    ),
}


@pytest.mark.parametrize("kind", STANDARD)
def test_a_standard_processor_is_a_preprocess(kind, photo):
    make, expected = STANDARD[kind]
    transform = as_transform(make())
    assert transform == expected
    theirs = make()(photo, return_tensors="pt")["pixel_values"][0]
    assert transform(photo).shape == theirs.shape
    assert float((transform(photo) - theirs).abs().mean()) < 0.02


OTHER = {
    "not normalised": lambda: processor(do_normalize=False),
    "not rescaled": lambda: processor(do_rescale=False),
    "not resized": lambda: processor(do_resize=False),
    "resized with a crop of the size itself": lambda: processor(
        "ConvNextImageProcessor", size={"shortest_edge": 24}, crop_pct=0.8
    ),
    "another scale": lambda: processor(rescale_factor=1 / 127.5),
}


@pytest.mark.parametrize("kind", OTHER)
def test_any_other_processor_gives_its_own_pixels(kind, photo):
    transform = as_transform(OTHER[kind]())
    assert torch.equal(transform(photo), OTHER[kind]()(photo, return_tensors="pt")["pixel_values"][0])


@pytest.mark.parametrize("function", [len, str.upper])
def test_what_is_no_processor_is_taken_as_it_is(function):
    assert as_transform(function) is function


def test_torchvisions_own_transforms_are_a_preprocess():
    import torchvision

    transform = as_transform(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms())
    assert isinstance(transform, shapleycam.Preprocess)
    assert (transform.resize, transform.crop) == (256, (224, 224))
