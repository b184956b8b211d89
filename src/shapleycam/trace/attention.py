"""Second derivatives of attention: PyTorch's fused kernels have none, its plain one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from torch.backends import cuda

# PyTorch files them under cuda; they hold for the CPU as well.
_SWITCHES: dict[Callable[[bool], None], Callable[[], bool]] = {
    cuda.enable_flash_sdp: cuda.flash_sdp_enabled,
    cuda.enable_mem_efficient_sdp: cuda.mem_efficient_sdp_enabled,
    cuda.enable_cudnn_sdp: cuda.cudnn_sdp_enabled,
    cuda.enable_math_sdp: cuda.math_sdp_enabled,
}
_guard = Lock()
_users = 0
_before: dict[Callable[[bool], None], bool] = {}


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Attention by the math kernel.

    PyTorch keeps this choice for the whole process, so the first thread in makes it and the last one out
    undoes it; another thread's attention is meanwhile slower, and right.
    """
    global _users  # noqa: PLW0603
    with _guard:
        if _users == 0:
            _before.update({switch: is_on() for switch, is_on in _SWITCHES.items()})
            for switch in _SWITCHES:
                switch(switch is cuda.enable_math_sdp)
        _users += 1
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0:
                for switch, was_on in _before.items():
                    switch(was_on)
