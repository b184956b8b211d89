"""Weights from a file: read without running anything that is in it, and fitted to a model whole or not at all."""

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

_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
_AGAIN = "get the file again, or save model.state_dict() anew"
_EXPECTED = "expected tensors by name: save model.state_dict()"


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a torch file that holds nothing but tensors.

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
            raise ModelError(f"checkpoint {path}: not a readable safetensors file ({error}); {_AGAIN}") from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"checkpoint {path}: not a file of plain tensors, and objects are never unpickled; "
            "save model.state_dict(), best as .safetensors"
        ) from None
    except Exception as error:  # a damaged file makes torch raise nearly anything
        reason = first_line(error)
        raise ModelError(f"checkpoint {path}: not a readable torch file ({reason}); {_AGAIN}") from error
    return _tensors(found, path)


def fill(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load `weights` into `model`.

    The prefixes that DataParallel and torch.compile add to every name are dropped, and the counters of batches that a
    batch norm has seen may be missing, as in old files.

    Raises:
        ModelError: names or shapes differ; the model is then unchanged.
    """
    expected = model.state_dict()
    while (prefix := _common(weights)) and not _common(expected):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    missing = sorted(key for key in expected.keys() - weights.keys() if not key.endswith("num_batches_tracked"))
    unexpected = sorted(weights.keys() - expected.keys())
    misshapen = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    found = [f"{len(names)} {what} (first: {names[0]})" for names, what in
             ((missing, "missing"), (unexpected, "unexpected")) if names]  # fmt: skip
    if misshapen:
        key = misshapen[0]
        shapes = f"{tuple(weights[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        found.append(f"{len(misshapen)} of another shape (first: {key}, {shapes})")
    if found:
        raise ModelError(
            f"checkpoint {origin} does not fit the model: tensors {', '.join(found)}; give weights saved from this "
            "very model, or the model that they are of (path/to/file.py:function where its classes are your own)"
        )
    model.load_state_dict(dict(weights))


def _tensors(found: object, path: Path) -> dict[str, Tensor]:
    """The state dict in what a torch file held, often wrapped in another dict."""
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict):
        raise ModelError(f"checkpoint {path}: holds a {type(found).__name__}; {_EXPECTED}")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ModelError(f"checkpoint {path}: holds a {type(value).__name__} under {key!r}; {_EXPECTED}")
    return dict(found)


def _common(names: Mapping[str, Tensor]) -> str | None:
    """The prefix of a wrapper that all names have."""
    return next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
