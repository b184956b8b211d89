"""PyTorch's attention kernels: the fused ones have no second derivatives, and the fast path passes modules by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from torch.backends import cuda, mha


class _ProcessSwitches:
    """Switches of the whole process: the first thread in sets them, the last one out restores them.

    Another thread's attention is meanwhile computed by another kernel: the same numbers but for rounding.
    """

    def __init__(
        self, switches: Mapping[Callable[[bool], None], Callable[[], bool]], on: Callable[[bool], None] | None
    ) -> None:
        self._switches, self._on = switches, on
        self._guard, self._users = Lock(), 0
        self._before: dict[Callable[[bool], None], bool] = {}

    @contextmanager
    def set(self) -> Iterator[None]:
        """Leave on only the one switch that is wanted, if any."""
        with self._guard:
            if self._users == 0:
                self._before = {switch: is_on() for switch, is_on in self._switches.items()}
                for switch in self._switches:
                    switch(switch is self._on)
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1
                if self._users == 0:
                    for switch, was_on in self._before.items():
                        switch(was_on)


# PyTorch files them under cuda; they hold for the CPU as well.
_KERNELS = _ProcessSwitches(
    {
        cuda.enable_flash_sdp: cuda.flash_sdp_enabled,
        cuda.enable_mem_efficient_sdp: cuda.mem_efficient_sdp_enabled,
        cuda.enable_cudnn_sdp: cuda.cudnn_sdp_enabled,
        cuda.enable_math_sdp: cuda.math_sdp_enabled,
    },
    on=cuda.enable_math_sdp,
)
_FAST_PATH = _ProcessSwitches({mha.set_fastpath_enabled: mha.get_fastpath_enabled}, on=None)

twice_differentiable = _KERNELS.set
"""A context with attention by the math kernel, which can be differentiated twice."""
without_fast_path = _FAST_PATH.set
"""A context in which `nn.TransformerEncoder` calls its modules, in place of one kernel for all of a layer."""
