"""A network of the user's own: what a function in a file, or in an installed package, returns."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from shapleycam.errors import ModelError, nearest
from shapleycam.models.building import built
from shapleycam.models.hugging_face import labels_from_config
from shapleycam.models.network import Network, preprocess_and_labels_of_timm
from shapleycam.models.wrappers import unwrap_model


def load_from_factory(name: str) -> Network:
    """`path/to/file.py:function` or `package.module:function`, of no arguments, which returns a module or a `Network`.

    Raises:
        ModelError: there is no such file, module or function, or it fails, or it returns something else.
    """
    place, function = name.rsplit(":", 1)
    mend = f"mend {place}, so that {function}() returns a torch.nn.Module"
    module = _imported(place, name, mend)
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    if function not in functions:
        raise ModelError(f"model {name!r}: {place} has no function {function!r}; {nearest(function, functions)}")
    made = built(functions[function], name, mend)
    if isinstance(made, nn.Module):
        made = unwrap_model(made)
        preprocess, labels = preprocess_and_labels_of_timm(made)
        made = Network(made, preprocess, labels or labels_from_config(made), name, place)
    if not isinstance(made, Network):
        raise ModelError(
            f"model {name!r}: the function returned {type(made).__name__}; expected a torch.nn.Module, "
            "or a shapleycam.Network(model, preprocess, labels)"
        )
    model = unwrap_model(made.model).eval()
    return replace(made, model=model, name=made.name or name, origin=made.origin or place)


def is_factory_name(name: str) -> bool:
    """Whether a name is of the form that `load_from_factory` takes: a file, or a module that can be found."""
    place, _, function = name.rpartition(":")
    if place.endswith(".py"):
        return True
    return function.isidentifier() and all(map(str.isidentifier, place.split("."))) and _can_be_found(place)


def _imported(place: str, name: str, mend: str) -> ModuleType:
    make: Callable[[], Any]
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ModelError(f"model {name!r}: no such file as {path}; write path/to/file.py:function")
        make = lambda: _from_file(path)  # noqa: E731
    else:
        make = lambda: importlib.import_module(place)  # noqa: E731
    module: ModuleType = built(make, name, mend)
    return module


def _can_be_found(place: str) -> bool:
    try:
        return importlib.util.find_spec(place) is not None
    except (ImportError, ValueError):
        return False


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shapleycam_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
