"""What depends on kernels: memory formats, batch norm of one image, a model that serves meanwhile; on each device."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from shapleycam import Explainer

NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=NO_CUDA)]
METHODS = ["hirescam", "shapleycam-h", "pathcam-h"]


class NormsBehindTokens(nn.Module):
    """As CvT: a batch norm whose output becomes tokens, so that one image's gradient comes with transposed strides."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features, self.norm = nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6)
        self.mix, self.fc = nn.Linear(6, 8), nn.Linear(8, 5)
        nn.init.uniform_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)

    def forward(self, x):
        tokens = self.normed(self.features(x)).flatten(2).transpose(1, 2)
        return self.fc(torch.tanh(self.mix(tokens)).amax(1))

    def normed(self, a):
        return self.norm(a)


class ByPencil(NormsBehindTokens):
    """The same, with the batch norm written out."""

    def normed(self, a):
        scale = (self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt())[:, None, None]
        return a * scale + (self.norm.bias - self.norm.running_mean * scale[:, 0, 0])[:, None, None]


def images(count, device):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(device)


def values(model, batch, method):
    return Explainer(model, layer="features", utility="logit").explain(batch, method, target=2).values


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 2])
def test_batch_norm_behind_tokens_is_the_affine_map(device, method, count):
    batch = images(count, device)
    expected = values(ByPencil().eval().to(device), batch, method)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(
        values(NormsBehindTokens().eval().to(device), batch, method), expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", METHODS)
def test_channels_last_gives_the_same_values(device, method):
    batch = images(1, device)
    expected = values(NormsBehindTokens().eval().to(device), batch, method)
    model = NormsBehindTokens().eval().to(device, memory_format=torch.channels_last)
    actual = values(model, batch.to(memory_format=torch.channels_last), method)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    assert model.features.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_that_serves_in_another_thread_gives_right_outputs(device):
    model, batch = NormsBehindTokens().eval().to(device), images(4, device)
    with torch.no_grad():
        expected = model(batch)
    done, outputs = threading.Event(), []

    def serve():
        with torch.no_grad():
            while not done.is_set():
                outputs.append(model(batch))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        for method in METHODS * 3:
            values(model, batch[:2], method)
    finally:
        done.set()
        thread.join()
    assert outputs
    for output in outputs:
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
