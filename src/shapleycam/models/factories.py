"""Networks that a user's own function returns; the function is in a file or in an installed package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from torch import nn

from shapleycam.errors import ModelError
from shapleycam.models.building import build
from shapleycam.models.labels import labels_from_config
from shapleycam.models.network import Network, preprocess_and_labels_of_timm
from shapleycam.models.wrappers import unwrap_model
from shapleycam.names import nearest


def load_from_factory(name: str) -> Network:
    """Call a user's function, which returns a module or a `Network`, and return it as a network.

    Args:
        name: `path/to/file.py:function` or `package.module:function`; the function takes no arguments.

    Raises:
        ModelError: the name has no function; the file, module or function does not exist; or the function fails or
            returns something else.
    """
    if name.endswith(".py"):
        raise ModelError(f"model {name!r}: a file without a function; write {name}:function")
    location, function = name.rsplit(":", 1)
    remedy = f"mend {location}, so that {function}() returns a torch.nn.Module"
    module = _import_module(location, name, remedy)
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    if function not in functions:
        raise ModelError(f"model {name!r}: {location} has no function {function!r}; {nearest(function, functions)}")
    network = build(functions[function], name, remedy)
    if isinstance(network, nn.Module):
        model = unwrap_model(network)
        preprocess, labels = preprocess_and_labels_of_timm(model)
        network = Network(model, preprocess, labels or labels_from_config(model), name, location)
    if not isinstance(network, Network):
        raise ModelError(
            f"model {name!r}: the function returned {type(network).__name__}; expected a torch.nn.Module, "
            "or a shapleycam.Network(model, preprocess, labels)"
        )
    model = unwrap_model(network.model).eval()
    return replace(network, model=model, name=network.name or name, origin=network.origin or location)


def is_factory_name(name: str) -> bool:
    """Return whether `load_from_factory` handles a name: a function in a file, or in a module that can be imported."""
    location, _, function = name.rpartition(":")
    if location.endswith(".py") or name.endswith(".py"):
        return True
    return function.isidentifier() and all(map(str.isidentifier, location.split("."))) and _is_importable(location)


def _import_module(location: str, name: str, remedy: str) -> ModuleType:
    importer: Callable[[], Any] = partial(importlib.import_module, location)
    if location.endswith(".py"):
        path = Path(location)
        if not path.is_file():
            raise ModelError(f"model {name!r}: no such file as {path}; write path/to/file.py:function")
        importer = partial(_import_file, path)
    module: ModuleType = build(importer, name, remedy)
    return module


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


class _SourceLoader(SourceFileLoader):
    """A loader that always compiles the file and never uses Python's cached bytecode.

    Python checks cached bytecode by the file's size and the second of its last change. If a file changes twice within a
    second and keeps its size, the cache would return the older version.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return the code compiled from the file's current text."""
        return self.source_to_code(self.get_data(self.get_filename(fullname)), self.path)


def _import_file(path: Path) -> ModuleType:
    name = f"shapleycam_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look a class's module up there
    spec.loader.exec_module(module)
    return module
