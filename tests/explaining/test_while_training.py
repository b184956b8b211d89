"""Explaining while a model is trained changes nothing of the training: all numbers are bit for bit as without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers import training_loops
from helpers.lazy_modules import LazyModule
from shapleycam import Explainer

lightning = LazyModule("lightning")

# Maps of a network that has hardly been trained are often blank; nothing here is about what the maps show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


@pytest.fixture(scope="module")
def differences():
    """What `training_loops` prints: where each training differs from the undisturbed one."""
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "helpers.training_loops"]
    ran = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("precision", ["float32", "autocast"])
@pytest.mark.parametrize("moment", training_loops.MOMENTS)
def test_training_is_the_same_bit_for_bit(moment, precision, differences):
    assert differences[f"{moment}, {precision}"] == ""


@pytest.mark.parametrize("generator", ["torch", "python", "numpy"])
def test_the_comparison_notices_one_more_random_number(generator, differences):
    assert differences[f"one number of {generator}"].startswith("/weights/")


def test_the_maps_are_those_of_the_model_in_eval_mode():
    training_loops.seed_all()
    model = training_loops.Net().train()
    model(training_loops.FIXED)
    while_training = Explainer(model).explain(training_loops.FIXED, "shapleycam", target=1)
    assert all(module.training for module in model.modules())
    evaluated = Explainer(model.eval()).explain(training_loops.FIXED, "shapleycam", target=1)
    assert torch.equal(while_training.values, evaluated.values)
    assert torch.equal(while_training.output, evaluated.output)


# What a module refers to while it is trained


class Log:
    """A file that is closed with the object, as those of profilers and loggers."""

    closed = 0

    def __del__(self):
        Log.closed += 1


class Trained(nn.Module):
    """Refers to its log, and to itself by a proxy, as Lightning's trainer does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features, self.fc = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 2)
        self.log = Log()
        self.runner = type("Runner", (), {})()
        self.runner.module = weakref.proxy(self)
        self.runner.gone = weakref.proxy(Log())

    def forward(self, x):
        return self.fc(self.runner.module.features(x).mean((2, 3)))


def test_a_log_is_closed_by_its_owner_alone():
    model = Trained()
    closed = Log.closed
    e = Explainer(model).explain(torch.rand(1, 3, 16, 16), "gradcam", target=0)
    del e
    assert Log.closed == closed


def test_a_proxy_of_the_model_leads_to_the_copy():
    """Its features are the layer; through a proxy of the user's own module nothing of it would be traced."""
    model = Trained()
    images = torch.rand(1, 3, 16, 16)
    e = Explainer(model, layer="features").explain(images, "hirescam", target=0, utility="logit")
    expected = (model.features(images) * model.fc.weight[0][:, None, None]).sum(1) / 16  # linear behind the layer
    torch.testing.assert_close(e.values, expected.detach(), rtol=1e-4, atol=1e-6)


def test_a_forward_that_overrides_another_packages_is_run():
    """A class of a library's package, here PyTorch's, on top of a class with a forward of its own."""
    base = type("Base", (nn.Module,), {"forward": lambda self, x: self.missing(x), "__module__": "elsewhere"})
    kind = type("Kind", (base,), {"forward": lambda self, x: self.features(x).mean((2, 3)), "__module__": "torch.nn"})
    model = kind()
    model.features = nn.Conv2d(3, 2, 4, 4)
    e = Explainer(model).explain(torch.rand(1, 3, 16, 16), "hirescam", target=0, utility="logit")
    assert e.layer == "features"


def test_a_class_that_exec_defines_is_the_users():
    names = {"nn": nn}
    exec(
        "class Counting(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.features, self.state = nn.Conv2d(3, 2, 4, 4), Counter()\n"
        "    def forward(self, x):\n"
        "        self.state.calls += 1\n"
        "        return self.features(x).mean((2, 3))\n"
        "class Counter:\n"
        "    calls = 0\n",
        names,
    )
    model = names["Counting"]()
    Explainer(model).explain(torch.rand(1, 3, 16, 16), "hirescam", target=0)
    assert model.state.calls == 0


def test_lightning_trains_the_same_with_maps(tmp_path):
    """Maps after each epoch of training and of validation, where the module has a trainer with all that it holds."""

    class Maps(lightning.Callback):
        explainer = None

        def on_train_epoch_end(self, _, module):
            self.explainer = self.explainer or Explainer(module)
            self.explainer.compare(training_loops.FIXED, ["shapleycam", "pathcam"], target=1)
            assert module.training

        def on_validation_epoch_end(self, _, module):
            Explainer(module).explain(training_loops.FIXED, "gradcam", target=1)
            assert not module.training

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            # Without Python's random numbers, from which the shape checks of the tests draw.
            head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 4))
            self.network = nn.Sequential(training_loops.Net().features, head)

        def forward(self, images):
            return self.network(images)

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch, _):
            self.log("loss", self.training_step(batch, _))

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), 0.01)

    def trained(callbacks):
        training_loops.seed_all()
        module = Classifier()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = lightning.Trainer(
            max_epochs=2,
            callbacks=callbacks,
            accelerator="cpu",
            enable_model_summary=False,
            default_root_dir=tmp_path,
            **quiet,
        )
        trainer.fit(module, training_loops.batches(), training_loops.batches())
        return {name: tensor.clone() for name, tensor in module.state_dict().items()}

    training_loops.assert_same(trained([Maps()]), trained([]))
