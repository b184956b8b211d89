"""Second derivatives of attention: PyTorch's fused kernels have none, its plain one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from torch.nn.attention import SDPBackend, sdpa_kernel

_guard = Lock()
_users = 0
_choice = ExitStack()


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Attention by the math kernel.

    PyTorch keeps this choice for the whole process, so the first thread in makes it and the last one out
    undoes it; another thread's attention is meanwhile slower, and right.
    """
    global _users  # noqa: PLW0603
    with _guard:
        if _users == 0:
            _choice.enter_context(sdpa_kernel(SDPBackend.MATH))
        _users += 1
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0:
                _choice.close()
