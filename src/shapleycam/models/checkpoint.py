"""Checkpoints: weights are read without running anything in the file, and fill a model whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.models.wrappers import PREFIXES
from shapleycam.urls import url_of
from shapleycam.wording import first_line

_STATE_DICT_KEYS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""Keys under which training programs save the state dict."""
_REMEDY = "get the file again, or save model.state_dict() anew"
_EXPECTED_CONTENT = "expected tensors by name: save model.state_dict()"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors, by name, of a .safetensors file or of a torch file that holds nothing but tensors.

    Raises:
        ModelError: missing, damaged, or with objects in it that would have to be unpickled.
    """
    if (url := url_of(path)) is not None:
        raise ModelError(f"checkpoint {url}: a URL, and URLs are not fetched; download it, and name the file")
    if not path.is_file():
        raise ModelError(f"checkpoint {path}: no such file; check the path")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"checkpoint {path}: not a readable safetensors file ({error}); {_REMEDY}") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"checkpoint {path}: not a file of plain tensors, and objects are never unpickled; "
            "save model.state_dict(), best as .safetensors"
        ) from None
    except Exception as error:  # a damaged file makes torch raise nearly anything
        reason = first_line(error)
        raise ModelError(f"checkpoint {path}: not a readable torch file ({reason}); {_REMEDY}") from error
    return _state_dict_in(content, path)


def fill_model(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy `weights`, tensors by name, into a model; `origin` is the file that messages name.

    The prefixes that DataParallel and torch.compile add to every name are dropped, and the counters of batches that a
    batch norm has seen may be missing, as in old files.

    Raises:
        ModelError: names or shapes differ; the model is then unchanged.
    """
    expected = model.state_dict()
    while (prefix := _common_prefix(weights)) and not _common_prefix(expected):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    missing = sorted(key for key in expected.keys() - weights.keys() if not key.endswith("num_batches_tracked"))
    unexpected = sorted(weights.keys() - expected.keys())
    misshapen = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    differences = [
        f"{len(names)} {adjective} (first: {names[0]})"
        for names, adjective in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    if misshapen:
        key = misshapen[0]
        shapes = f"{tuple(weights[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        differences.append(f"{len(misshapen)} of another shape (first: {key}, {shapes})")
    if differences:
        raise ModelError(
            f"checkpoint {origin} does not fit the model: tensors {', '.join(differences)}; give weights saved from "
            "this very model, or the model that they are of (path/to/file.py:function where its classes are your own)"
        )
    model.load_state_dict(dict(weights))


def _state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in the content of a torch file, which is often wrapped in another dict."""
    for key in _STATE_DICT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict):
        raise ModelError(f"checkpoint {path}: holds a {type(content).__name__}; {_EXPECTED_CONTENT}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ModelError(f"checkpoint {path}: holds a {type(value).__name__} under {key!r}; {_EXPECTED_CONTENT}")
    return dict(content)


def _common_prefix(names: Mapping[str, Tensor]) -> str | None:
    """Return the prefix of a wrapper (DataParallel, torch.compile) that all names have, None without one."""
    return next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
