"""PyTorch's switches for attention: fused kernels have no second derivatives, and the fast path skips the modules.

The switches apply to the whole process, not to a thread (docs/decisions.md, "Attention kernels and the fast path of
transformers are switched for the process, and counted").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch.backends import cuda, mha

from shapleycam.process_switches import ProcessSwitch


class _BackendSwitches:
    """Switches of PyTorch's backends, and their values before they were set.

    While they are set, other threads compute attention with another kernel too: the same numbers up to rounding.
    PyTorch's own context manager `sdpa_kernel` cannot be used: a trace enters the context in one function and leaves it
    in another, and two overlapping contexts would restore each other's values.
    """

    def __init__(self, switches: Mapping[Callable[[bool], None], Callable[[], bool]]) -> None:
        self._switches = switches
        self._before: dict[Callable[[bool], None], bool] = {}

    def set_only(self, enabled: Callable[[bool], None] | None) -> None:
        """Switch the `enabled` switch on, if there is one, and all others off."""
        self._before = {switch: is_on() for switch, is_on in self._switches.items()}
        for switch in self._switches:
            switch(switch is enabled)

    def restore(self) -> None:
        """Set the switches to their earlier values."""
        for switch, was_on in self._before.items():
            switch(was_on)
        self._before = {}


# These switches are in `torch.backends.cuda`, but apply to the CPU as well.
_KERNELS = _BackendSwitches(
    {
        cuda.enable_flash_sdp: cuda.flash_sdp_enabled,
        cuda.enable_mem_efficient_sdp: cuda.mem_efficient_sdp_enabled,
        cuda.enable_cudnn_sdp: cuda.cudnn_sdp_enabled,
        cuda.enable_math_sdp: cuda.math_sdp_enabled,
    }
)
_FAST_PATH = _BackendSwitches({mha.set_fastpath_enabled: mha.get_fastpath_enabled})

math_attention = ProcessSwitch(partial(_KERNELS.set_only, cuda.enable_math_sdp), _KERNELS.restore).hold
"""Context manager: attention is computed by the math kernel, which has second derivatives."""
without_fast_path = ProcessSwitch(partial(_FAST_PATH.set_only, None), _FAST_PATH.restore).hold
"""Context manager: `nn.TransformerEncoder` calls its modules, instead of one kernel for a whole layer."""
