"""Ctrl-C at the entrance or exit of any context of an explanation leaves the thread and the process as they were."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
from torch.backends import cuda, mha
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.user_models import Small, pictures
from shapleycam import Explainer
from shapleycam.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
PLACES = 16
"""How many of some hundred places are tried for each method."""


def modes():
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "kernels": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()),
        "fast path": mha.get_fastpath_enabled(),
        "checkpoint": torch.utils.checkpoint.CheckpointFunction,
        "autocast enters by": torch.autocast.__enter__,
        "inference mode enters by": torch.inference_mode.__enter__,
        "filters": list(warnings.filters),
    }


class Interrupter:
    """Raises KeyboardInterrupt where the function of this number, counted from 0, is entered, as a signal may."""

    def __init__(self, place=None):
        self.place, self.count, self.dispatch_exits = place, 0, []

    def __call__(self, frame, event, _):
        code = frame.f_code
        if event != "call" or code.co_name not in {"__enter__", "__exit__", "hold", "run_context", "leave_to"}:
            return
        if code is TorchDispatchMode.__exit__.__code__:
            self.dispatch_exits.append(self.count)
        self.count += 1
        if self.count - 1 == self.place:
            sys.setprofile(None)
            raise KeyboardInterrupt

    def watch(self, call):
        sys.setprofile(self)
        try:
            call()
        finally:
            sys.setprofile(None)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "pathcam", "sampledshapley"])
def test_everything_is_restored(method, autocast):
    explainer, images = Explainer(Small(), layer="body"), pictures()

    def explain():
        explainer.explain(images, method, players=(2, 2) if method == "sampledshapley" else None)

    with torch.autocast("cpu", enabled=autocast):
        for _ in range(2):  # what is proven once, with the first or the second explanation
            explain()
        before, counting = modes(), Interrupter()
        counting.watch(explain)
        # The first is the entrance of the outermost context, the last its exit.
        places = range(0, counting.count, max(1, counting.count // PLACES))
        assert len(places) > 10
        # A dispatch mode that is not left had PyTorch before 2.15 end the process.
        for place in (0, *places, *counting.dispatch_exits[:2], counting.count - 1):
            with pytest.raises(KeyboardInterrupt):
                Interrupter(place).watch(explain)
            assert modes() == before, place
    explain()


def test_an_error_while_the_caller_handles_an_interrupt_is_that_error():
    try:
        sys.exit()
    except SystemExit:
        with pytest.raises(OptionError, match="unknown"):
            Explainer(Small(), layer="body").explain(pictures(), "gradcan")
