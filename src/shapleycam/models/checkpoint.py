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

_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a torch file that holds nothing but tensors.

    Raises:
        ModelError: missing, damaged, or with objects in it that would have to be unpickled.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path}: no such file; check the path")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"checkpoint {path}: not a readable safetensors file ({error})") from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"checkpoint {path}: not a file of plain tensors, and objects are never unpickled; "
            "save model.state_dict(), best as .safetensors"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"checkpoint {path}: not a readable torch file ({reason})") from None
    return _tensors(found, path)


def fill(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load `weights` into `model`.

    Raises:
        ModelError: names or shapes differ; the model is then unchanged.
    """
    expected = model.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    misshapen = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    found = [f"{len(names)} {what} (first: {names[0]})" for names, what in
             ((missing, "missing"), (unexpected, "unexpected")) if names]  # fmt: skip
    if misshapen:
        key = misshapen[0]
        shapes = f"{tuple(weights[key].shape)} in the file, {tuple(expected[key].shape)} in the model"
        found.append(f"{len(misshapen)} of another shape (first: {key}, {shapes})")
    if found:
        raise ModelError(f"checkpoint {origin} does not fit the model: tensors {', '.join(found)}")
    model.load_state_dict(dict(weights))


def _tensors(found: object, path: Path) -> dict[str, Tensor]:
    """The state dict in what a torch file held: often wrapped, often with the prefix of a parallel wrapper."""
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"checkpoint {path}: expected a dict of tensors (a state dict), found {type(found).__name__}")
    if found and all(key.startswith("module.") for key in found):
        return {key.removeprefix("module."): value for key, value in found.items()}
    return dict(found)
