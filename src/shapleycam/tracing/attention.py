"""PyTorch's attention switches: the fused kernels have no second derivatives, the fast path skips the modules inside.

Both kinds of switch belong to the whole process, not to a thread (docs/decisions.md, "Attention kernels and the fast
path of transformers are switched for the process, and counted").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from torch.backends import cuda, mha


class _ProcessSwitches:
    """Switches of the whole process, shared by all threads that need them.

    The first thread that enters sets the switches, the last one that leaves restores them. The attention of other
    threads is computed by another kernel meanwhile: the same numbers but for rounding. PyTorch's own context manager
    `sdpa_kernel` cannot be used, since a trace enters the context in one function and leaves it in another, and two
    overlapping contexts would restore each other's values.
    """

    def __init__(
        self,
        switches: Mapping[Callable[[bool], None], Callable[[], bool]],
        enabled: Callable[[bool], None] | None,
    ) -> None:
        self._switches, self._enabled = switches, enabled
        self._lock, self._users = Lock(), 0
        self._before: dict[Callable[[bool], None], bool] = {}

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Set all switches but the `enabled` one to off while the context is open."""
        with self._lock:
            if self._users == 0:
                self._before = {switch: is_on() for switch, is_on in self._switches.items()}
                for switch in self._switches:
                    switch(switch is self._enabled)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for switch, was_on in self._before.items():
                        switch(was_on)


# PyTorch keeps these switches under `cuda`; they hold for the CPU as well.
_KERNELS = _ProcessSwitches(
    {
        cuda.enable_flash_sdp: cuda.flash_sdp_enabled,
        cuda.enable_mem_efficient_sdp: cuda.mem_efficient_sdp_enabled,
        cuda.enable_cudnn_sdp: cuda.cudnn_sdp_enabled,
        cuda.enable_math_sdp: cuda.math_sdp_enabled,
    },
    enabled=cuda.enable_math_sdp,
)
_FAST_PATH = _ProcessSwitches({mha.set_fastpath_enabled: mha.get_fastpath_enabled}, enabled=None)

math_attention = _KERNELS.hold
"""Context manager: attention is computed by the math kernel, which has second derivatives."""
without_fast_path = _FAST_PATH.hold
"""Context manager: `nn.TransformerEncoder` calls its modules, and not one kernel for a whole layer."""
