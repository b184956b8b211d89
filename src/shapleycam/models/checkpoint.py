"""Checkpoints: read weights without running code from the file, and copy into a model all of them or none."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.foreign_errors import convert_errors
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
    """Return the tensors by name from a .safetensors file, or from a torch file that contains only tensors.

    No code from the file is run, and no more memory is allocated than the file's size (docs/security.md).

    Raises:
        ModelError: the file is missing or damaged, or contains objects that would have to be unpickled.
    """
    _check_path(path)
    try:
        return _read_safetensors(path) if _is_safetensors(path) else _read_torch_file(path)
    except UnusableFileError as error:
        raise ModelError(f"checkpoint {path}: {error}") from None
    except OSError as error:
        raise ModelError(f"checkpoint {path}: cannot be read ({error.strerror or error}); check the file") from None


def fill_model(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy `weights`, tensors by name, into a model; `origin` is the file name for messages.

    The prefixes that DataParallel and torch.compile add to every name are removed. Batch norm's counters
    (`num_batches_tracked`) may be missing, because old files do not have them.

    Raises:
        ModelError: names, shapes or kinds of dtype differ; the model is then unchanged.
    """
    expected = model.state_dict()
    while (prefix := _common_prefix(weights)) and not _common_prefix(expected):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    if differences := _describe_differences(weights, expected):
        raise ModelError(
            f"checkpoint {origin} does not fit the model: tensors {', '.join(differences)}; give weights saved from "
            "this very model, or the model that they are of (path/to/file.py:function where its classes are your own)"
        )
    model.load_state_dict(dict(weights))


def _describe_differences(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return one phrase for each kind of difference between a file's tensors and a model's state dict."""
    missing = sorted(key for key in expected.keys() - weights.keys() if not key.endswith(_COUNTERS))
    unexpected = sorted(weights.keys() - expected.keys())
    wrong_shape = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    wrong_type = [key for key in expected if key in weights and not _is_same_kind(key, weights[key], expected[key])]
    differences = [
        f"{len(names)} {adjective} (first: {names[0]})"
        for names, adjective in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    if wrong_shape:
        key = wrong_shape[0]
        shapes = f"{tuple(weights[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        differences.append(f"{len(wrong_shape)} of another shape (first: {key}, {shapes})")
    if wrong_type:
        key = wrong_type[0]
        types = f"{_type_name(weights[key])} in the file, {_type_name(expected[key])} in the model"
        differences.append(f"{len(wrong_type)} of another type (first: {key}, {types})")
    return differences


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
    """Return whether a file is named .safetensors, or begins like such a file: with the length of its JSON header."""
    if path.suffix.lower() == ".safetensors":
        return True
    with path.open("rb") as file:
        beginning = file.read(9)
    return len(beginning) == 9 and beginning[8:] == b"{" and int.from_bytes(beginning[:8], "little") < 1 << 32


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with convert_errors(
        lambda error: UnusableFileError(f"not a readable safetensors file ({on_one_line(error)[:200]}); {_REMEDY}"),
        OSError,
    ):
        return dict(load_file(path))


def _read_torch_file(path: Path) -> dict[str, Tensor]:
    check_torch_file(path)
    with convert_errors(lambda error: damaged(first_line(error)[:200]), OSError):
        content = torch.load(path, map_location="cpu", weights_only=True)
    return _state_dict_in(content, path)


def _state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in the content of a torch file; training programs often put it into another dict."""
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
    """Return whether both tensors are complex, floating-point, integer or boolean; batch norm's counters may differ.

    Copying from another kind would drop imaginary parts, truncate fractions, or read codes of quantised weights as
    weights; copying within a kind only rounds.
    """
    kinds = (
        (tensor.is_complex(), tensor.is_floating_point(), tensor.dtype is torch.bool) for tensor in (stored, expected)
    )
    return len(set(kinds)) == 1 or name.endswith(_COUNTERS)


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _common_prefix(names: Mapping[str, Tensor]) -> str | None:
    """Return the wrapper's prefix (DataParallel, torch.compile) that all names share, or None."""
    return next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
