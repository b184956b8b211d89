"""Checkpoints: weights are read without running anything in the file, and fill a model whole or not at all."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.models.torch_file import UnusableFileError, check_torch_file, damaged
from shapleycam.models.wrappers import PREFIXES
from shapleycam.regular_files import regular_file_status
from shapleycam.urls import url_of
from shapleycam.wording import first_line, on_one_line

_STATE_DICT_KEYS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""Keys under which training programs save the state dict."""
_COUNTERS = "num_batches_tracked"
_REMEDY = "get the file again, or save model.state_dict() anew"
_EXPECTED_CONTENT = "expected tensors by name: save model.state_dict()"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors, by name, of a .safetensors file or of a torch file that holds nothing but tensors.

    Nothing in the file is run, and no memory is taken beyond its size (docs/security.md).

    Raises:
        ModelError: missing, damaged, or with objects in it that would have to be unpickled.
    """
    _check_path(path)
    try:
        return _read_safetensors(path) if _is_safetensors(path) else _read_torch_file(path)
    except UnusableFileError as error:
        raise ModelError(f"checkpoint {path}: {error}") from None
    except OSError as error:
        raise ModelError(f"checkpoint {path}: cannot be read ({error.strerror or error}); check the file") from None


def fill_model(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy `weights`, tensors by name, into a model; `origin` is the file that messages name.

    The prefixes that DataParallel and torch.compile add to every name are dropped, and the counters of batches that a
    batch norm has seen may be missing, as in old files.

    Raises:
        ModelError: names, shapes or kinds of numbers differ; the model is then unchanged.
    """
    expected = model.state_dict()
    while (prefix := _common_prefix(weights)) and not _common_prefix(expected):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    missing = sorted(key for key in expected.keys() - weights.keys() if not key.endswith(_COUNTERS))
    unexpected = sorted(weights.keys() - expected.keys())
    misshapen = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    mistyped = [key for key in expected if key in weights and not _is_same_kind(key, weights[key], expected[key])]
    differences = [
        f"{len(names)} {adjective} (first: {names[0]})"
        for names, adjective in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    if misshapen:
        key = misshapen[0]
        shapes = f"{tuple(weights[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        differences.append(f"{len(misshapen)} of another shape (first: {key}, {shapes})")
    if mistyped:
        key = mistyped[0]
        types = f"{_type_name(weights[key])} in the file, {_type_name(expected[key])} in the model"
        differences.append(f"{len(mistyped)} of another type (first: {key}, {types})")
    if differences:
        raise ModelError(
            f"checkpoint {origin} does not fit the model: tensors {', '.join(differences)}; give weights saved from "
            "this very model, or the model that they are of (path/to/file.py:function where its classes are your own)"
        )
    model.load_state_dict(dict(weights))


def _check_path(path: Path) -> None:
    if (url := url_of(path)) is not None:
        raise ModelError(f"checkpoint {url}: a URL, and URLs are not fetched; download it, and name the file")
    try:
        regular_file_status(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"checkpoint {path}: no such file; check the path") from None
    except IsADirectoryError:
        raise ModelError(f"checkpoint {path}: a folder, where a file was expected; name the file in it") from None
    except OSError as error:
        raise ModelError(f"checkpoint {path}: cannot be read ({error.strerror}); name a file") from None


def _is_safetensors(path: Path) -> bool:
    """Return whether a file is called .safetensors, or begins as one: with the length of its JSON."""
    if path.suffix.lower() == ".safetensors":
        return True
    with path.open("rb") as file:
        beginning = file.read(9)
    return len(beginning) == 9 and beginning[8:] == b"{" and int.from_bytes(beginning[:8], "little") < 1 << 32


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except OSError:
        raise
    except Exception as error:  # safetensors raises errors of several types for a damaged header
        raise UnusableFileError(f"not a readable safetensors file ({on_one_line(error)[:200]}); {_REMEDY}") from error


def _read_torch_file(path: Path) -> dict[str, Tensor]:
    check_torch_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise damaged(first_line(error)[:200]) from error
    return _state_dict_in(content, path)


def _state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in the content of a torch file, which is often wrapped in another dict."""
    for key in _STATE_DICT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict):
        raise ModelError(f"checkpoint {path}: holds a {type(content).__name__}; {_EXPECTED_CONTENT}")
    for key, value in content.items():
        if not isinstance(key, str) or type(value) not in {Tensor, nn.Parameter}:
            kind, name = type(value).__name__, reprlib.repr(key)
            raise ModelError(f"checkpoint {path}: holds a {kind} under {name}; {_EXPECTED_CONTENT}")
    return dict(content)


def _is_same_kind(name: str, stored: Tensor, expected: Tensor) -> bool:
    """Return whether a tensor can be copied without losing more than digits; counters of batches may be of any kind.

    Copying would drop imaginary parts, cut fractions off, or take the codes of quantised weights for weights.
    """
    kinds = (
        (tensor.is_complex(), tensor.is_floating_point(), tensor.dtype is torch.bool) for tensor in (stored, expected)
    )
    return len(set(kinds)) == 1 or name.endswith(_COUNTERS)


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _common_prefix(names: Mapping[str, Tensor]) -> str | None:
    """Return the prefix of a wrapper (DataParallel, torch.compile) that all names have, None without one."""
    return next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
