"""Other threads: a model that serves while it is explained, gives right outputs, and explanations are right too."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

import shapleycam
from helpers.user_models import METHODS, Small, pictures

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
SECONDS = 0.3
"""How long the other thread serves."""


def values(model, method):
    players = (2, 2) if method == "sampledshapley" else None
    return shapleycam.Explainer(model, layer="body").explain(pictures(), method, players=players).values


class Encoder(Small):
    """The small network with a transformer behind it, which serves by PyTorch's fast path."""

    def prepare(self):
        self.encoder = nn.TransformerEncoderLayer(7, 1, 8, batch_first=True)

    def head(self, values):
        return self.fc(self.encoder(values.flatten(2).transpose(1, 2)).mean(1))


class Normed(Small):
    def prepare(self):
        self.norm = nn.BatchNorm2d(7)

    def head(self, values):
        return super().head(self.norm(values))


def compiled_model():
    model = Small()
    model.forward = torch.compile(model.forward, backend="eager")
    return model


MODELS = {
    "plain": lambda: (Small(), torch.float32),
    "batch norm": lambda: (Normed(), torch.float32),
    "attention": lambda: (Encoder(), torch.float32),
    "compiled": lambda: (compiled_model(), torch.float32),
    "bfloat16": lambda: (Small().bfloat16(), torch.bfloat16),
    "float16": lambda: (Small().half(), torch.float16),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_serves_in_another_thread(kind):
    model, dtype = MODELS[kind]()
    model.eval()
    served = pictures(3).to(dtype)
    with torch.no_grad():
        expected = model(served)
    maps, wrong, stop = {method: values(model, method) for method in METHODS}, [], threading.Event()

    def serve():
        while not stop.is_set():
            with torch.no_grad():
                output = model(served)
            if output.dtype != dtype or not torch.allclose(output, expected, atol=1e-5):
                wrong.append(output)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for method in METHODS:
                torch.testing.assert_close(values(model, method), maps[method])
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_two_threads_explain_one_model_while_a_third_draws_numbers():
    model, stop, errors = Small().eval(), threading.Event(), []
    maps = {method: values(model, method) for method in METHODS}

    def draw():
        while not stop.is_set():
            torch.rand(10)

    def explain():
        try:
            for method in METHODS:
                torch.testing.assert_close(values(model, method), maps[method])
        except Exception as error:  # noqa: BLE001  # any, for the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (draw, explain, explain)]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
    assert not errors
