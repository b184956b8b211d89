"""Whether a model, the images, the generators and PyTorch's switches are what they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Snapshot:
    """What must not change while a model is explained; `changes` names what has since it was taken."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self._model, self._images = model, images
        self._before = self._state()

    def changes(self) -> list[str]:
        """Return the names of what is not as it was."""
        after = self._state()
        names = dict.fromkeys((*self._before, *after))
        return [name for name in names if not _alike(self._before.get(name), after.get(name))]

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"the images": self._images.clone()}
        state |= {name: read() for name, read in PROCESS.items()}
        for name, module in self._model.named_modules():
            for key, value in vars(module).items():
                where = f"{name}.{key}"
                if key in {"_parameters", "_buffers"}:
                    state |= {f"{where}.{part}": _held(tensor) for part, tensor in value.items()}
                elif isinstance(value, dict):  # the modules inside, hooks of every kind
                    state[where] = [(part, id(thing)) for part, thing in value.items()]
                elif isinstance(value, Tensor):
                    state[where] = _held(value)
                else:
                    state[where] = value if isinstance(value, (bool, int, float, str)) else id(value)
        return state


def _held(tensor: Tensor | None) -> Any:
    """A tensor's identity, numbers, gradient and whether it wants one."""
    if tensor is None:
        return None
    gradient = None if not tensor.is_leaf or tensor.grad is None else tensor.grad.clone()
    return id(tensor), tensor.requires_grad, tensor.detach().clone(), gradient


def _kernels() -> tuple[bool, ...]:
    cuda, mha = torch.backends.cuda, torch.backends.mha
    fused = (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled())
    return (*fused, cuda.math_sdp_enabled(), mha.get_fastpath_enabled())


def _of_numpy() -> list[int]:
    return list(np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


PROCESS: dict[str, Callable[[], Any]] = {
    "torch's random numbers": torch.get_rng_state,
    "numpy's random numbers": _of_numpy,
    "Python's random numbers": random.getstate,
    "gradients on or off": lambda: (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    "autocast on or off": lambda: torch.is_autocast_enabled("cpu"),
    "attention kernels": _kernels,
}
"""What there is one of for all: the generators and PyTorch's switches."""


def _alike(before: Any, after: Any) -> bool:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return before.shape == after.shape and bool(torch.equal(before, after) or _same_with_nan(before, after))
    if isinstance(before, tuple) and isinstance(after, tuple):
        return len(before) == len(after) and all(map(_alike, before, after))
    return type(before) is type(after) and bool(before == after)


def _same_with_nan(before: Tensor, after: Tensor) -> bool:
    return before.is_floating_point() and torch.equal(before.nan_to_num(7), after.nan_to_num(7))
