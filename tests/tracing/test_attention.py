"""ShapleyCAM on fused attention, whose kernels have no second derivative."""

from __future__ import annotations

import threading

import pytest
import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from shapleycam import Explainer
from shapleycam.tracing.attention import math_attention


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224").eval()


def kernel_flags():
    cuda = torch.backends.cuda
    return cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()


def test_shapleycam_on_a_vit(vit, images):
    layer, target = "blocks.11.norm1", torch.tensor([3, 5])
    activation = Explainer(vit, layer=layer).game(images).activation

    def logits(leaf):
        handle = vit.blocks[11].norm1.register_forward_hook(lambda *_: leaf)
        try:
            output = vit(images)
        finally:
            handle.remove()
        return output

    def utility(leaf):
        z = logits(leaf).gather(1, target[:, None])[:, 0]
        return (2 * z - logits(leaf).logsumexp(1)).sum()

    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.functional.hvp(utility, activation, activation)
    with sdpa_kernel(SDPBackend.MATH):
        _, product = torch.autograd.functional.hvp(utility, activation, activation)
        gradient = torch.autograd.functional.jacobian(utility, activation)
    before = kernel_flags()
    explanation = Explainer(vit, layer=layer).explain(images, "shapleycam-h", target=target)
    assert kernel_flags() == before
    expected = (activation * (gradient - product / 2)).sum(2)
    torch.testing.assert_close(explanation.values, expected[:, 1:].unflatten(1, (14, 14)), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(explanation.prefix, expected[:, 0], rtol=1e-3, atol=1e-6)
    assert explanation.heatmap.amax((1, 2)).min() > 0.99


def test_the_choice_of_kernel_ends_with_its_last_user():
    before = kernel_flags()
    inside, leave = threading.Barrier(2), threading.Event()

    def hold_math_attention():
        with math_attention():
            inside.wait()
            leave.wait()

    thread = threading.Thread(target=hold_math_attention)
    with math_attention():
        thread.start()
        inside.wait()
    assert kernel_flags() == (False, False, True)  # the other thread is still inside
    leave.set()
    thread.join()
    assert kernel_flags() == before
