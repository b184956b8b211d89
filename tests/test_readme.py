"""What the README shows is run: Python as it stands there, commands as a user types them (docs/: test_docs.py)."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import skimage
import timm
import torch
import torchvision
from PIL import Image
from torchvision.models import WeightsEnum

import shapleycam
from helpers import colour_network
from helpers.lazy_modules import LazyModule

transformers = LazyModule("transformers")

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = (ROOT / "docs/your-model.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
SMALL = f"{Path(colour_network.__file__).resolve()}:network"
"""A small network for `fidelity`, `layers`, `ladder` and the layer "input", which take ten seconds and more with the
default one: with that cli/test_fidelity_command.py, layers/test_layers.py and test_docs.py (bridge.md) run them."""
DETECTOR = """
from helpers.detectors import cell_detector
from shapleycam import Network

def network():
    return Network(cell_detector(64), labels=("nothing", "pair"))
"""
"""A small one for `--box`, whose weights need not be loaded from elsewhere."""
SERVERS = {"web"}
"""Commands that do not end by themselves; tests/web starts it."""


def example_files(hopper: Path, folder: Path) -> Path:
    """Put into a folder the files that the examples name; returns the photograph."""
    shutil.copy(hopper, folder / "photo.jpg")
    (folder / "photos").mkdir()
    Image.open(hopper).resize((300, 200)).save(folder / "photos/other.png")
    outlines = {
        "images": [{"id": 0, "file_name": "other.png", "width": 300, "height": 200}],
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "uniform"}],
        "annotations": [
            {"image_id": 0, "category_id": 1, "segmentation": [[110, 40, 180, 40, 180, 110, 110, 110]]},
            {"image_id": 0, "category_id": 2, "bbox": [90, 110, 140, 90]},
        ],
    }
    (folder / "instances.json").write_text(json.dumps(outlines), encoding="utf-8")
    return folder / "photo.jpg"


@pytest.fixture
def photo(hopper, tmp_path):
    return example_files(hopper, tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder for the run of the example, which several commands read."""
    return tmp_path_factory.mktemp("runs")


def evaluate_as_shown(run, folder: Path, runs: Path) -> None:
    """Put into a folder the run that the first `shapleycam evaluate` of the README makes; it is made once."""
    if not any(runs.iterdir()):
        before = set(folder.iterdir())
        run(*shlex.split(next(line for line in COMMANDS if "shapleycam evaluate" in line), comments=True)[1:])
        for path in set(folder.iterdir()) - before:
            shutil.copytree(path, runs / path.name)
    shutil.copytree(runs, folder, dirs_exist_ok=True)


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_command(photo, run, runs, line):
    program, *arguments = shlex.split(line, comments=True)
    assert program == "shapleycam"
    if arguments[0] in SERVERS:
        pytest.skip("it serves until it is stopped")
    if "--box" in arguments:
        Path("detector.py").write_text(DETECTOR, encoding="utf-8")
        picture = Image.new("RGB", (192, 128))
        picture.paste("white", (64, 32, 128, 64))  # what it detects
        picture.save(photo)
        arguments[arguments.index("--model") + 1] = "detector.py:network"
        arguments += ["--layer", "backbone.cells"]
    if "--mosaic" in arguments:  # of these few photographs the default network is less sure than of those that it needs
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
            shutil.copy(Path(skimage.__file__).parent / "data" / name, "photos")
        arguments += ["--confidence", "0.1"]
    if arguments[0] in {"table", "report"}:  # of the run that the line before it makes
        evaluate_as_shown(run, photo.parent, runs)
    if arguments[0] == "fidelity" or {"input", "--check"} & set(arguments):
        arguments += ["--model", SMALL]
    elif arguments[0] in {"layers", "ladder"}:
        arguments[1] = SMALL
    elif arguments[0] == "reproduce":  # which test_docs.py (reproducing.md) lets come to its end
        arguments.append("--plan")
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    assert ran.out


def blocks_of(heading: str) -> list[str]:
    """Return the Python blocks under a heading of the README."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
def test_python_of_the_readme(photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    names: dict[str, object] = {}
    blocks = [*blocks_of("In Python"), *blocks_of("Your own model")]
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["comparison"]["pathcam"].values.shape == (2, 7, 7)
    assert names["explainer"].find_layer() == "layer4"
    assert (photo.parent / "signed.png").is_file()


YOUR_MODEL = {"torchvision": 1, "timm and transformers": 2, "CLIP": 1, "segmentation": 1, "why A and not B": 2}
"""The examples of docs/your-model.md in their order, and how many explainers each makes or uses."""


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("example", YOUR_MODEL)
def test_your_model(example, photo, monkeypatch, hubs):
    monkeypatch.chdir(photo.parent)
    blocks = dict(zip(YOUR_MODEL, re.findall(r"```python\n(.*?)```", EXAMPLES, re.DOTALL), strict=True))
    names: dict[str, object] = {"shapleycam": shapleycam, "torch": torch, "torchvision": torchvision}
    exec(compile(blocks[example], "your-model.md", "exec"), names)
    e = names["explainer"].explain("photo.jpg") if "explainer" in names else None
    assert e is None or bool(torch.isfinite(e.heatmap).all())
    if example == "timm and transformers":
        assert names["explainer"].find_layer() == "vit.layers.11.layernorm_before + vit.layers.8"
        assert names["e"].prefix is not None
    if example == "CLIP":
        assert names["network"].labels == tuple(names["texts"])


@pytest.fixture
def hubs(monkeypatch):
    """Replace published weights by those of an untrained model, as the hubs cannot be reached.

    Transformers have their layers and positions, but are narrow, or have fewer layers where none is named: nothing here
    depends on the numbers.
    """
    untrained = torchvision.models.get_model

    def of_torchvision(weights, **_):
        name = next(n for n in torchvision.models.list_models() if weights in torchvision.models.get_model_weights(n))
        return (
            untrained(name, weights=None, weights_backbone=None).state_dict()
            if "raspp" in name
            else untrained(name, weights=None).state_dict()
        )

    monkeypatch.setattr(WeightsEnum, "get_state_dict", of_torchvision)
    make = timm.create_model
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: make("convnext_tiny").state_dict()
    )
    narrow = {"hidden_size": 96, "num_attention_heads": 4, "intermediate_size": 192}
    config = transformers.ViTConfig(id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1}, **narrow)
    vit = transformers.ViTForImageClassification(config)
    monkeypatch.setattr(
        transformers.AutoModelForImageClassification, "from_pretrained", lambda *_, **__: (vit, {"missing_keys": []})
    )
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda *_, **__: config)
    monkeypatch.setattr(
        transformers.AutoImageProcessor, "from_pretrained", lambda *_, **__: transformers.ViTImageProcessor()
    )
    import open_clip

    published = open_clip.get_model_config("ViT-B-32")
    few_layers = {part: {**published[part], "layers": 3} for part in ("vision_cfg", "text_cfg")}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", {**published, **few_layers})
    clip = open_clip.create_model_and_transforms
    monkeypatch.setattr(open_clip, "create_model_and_transforms", lambda name, **_: clip(name, pretrained=None))


def test_the_readme_is_short():
    assert len(README.splitlines()) < 200


def test_the_readme_names_every_method():
    from shapleycam import METHODS

    assert not [name for name in METHODS if not re.search(rf"\b{re.escape(name)}(?![\w-])", README)]


def test_no_command_of_the_cli_is_missing_from_the_readme(run):
    commands = re.findall(r"^  (\w+)  ", run("--help").out.split("Commands")[1], re.MULTILINE)
    assert commands
    assert [name for name in commands if f"shapleycam {name}" not in README] == []
