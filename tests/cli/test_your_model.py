"""Options for models that need more information: layer, layout, output and a contrast class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

MODEL = """
import torch
from torch import nn

import shapleycam


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 8, 2, stride=2)
        self.norm, self.fc = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.two(self.one(x).relu()).flatten(2).transpose(1, 2)
        x = torch.cat([x.new_ones(len(x), 19, 8), x], 1)  # nineteen tokens before the image's, undeclared
        strongest = x.norm(dim=2)[0].topk(35).indices.sort().values  # all of them in their order, as numbers decide
        x = self.norm(x[:, strongest])
        return x, self.fc(x).mean(1)


def net():
    preprocess = shapleycam.Preprocess(resize=32, crop=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    return shapleycam.Network(Net(), preprocess=preprocess, labels=("cat", "dog", "heron", "stork"))
"""


@pytest.fixture
def mine(tmp_path) -> tuple[str, ...]:
    """A model whose output must be chosen and whose token layout must be given."""
    (tmp_path / "mine.py").write_text(MODEL)
    return "--model", "mine.py:net"


def test_what_must_be_told_is_asked_for_and_told(run, mine, hopper):
    ran = run("explain", hopper, *mine)
    assert ran.code == 2
    assert "returns a tuple of 2 tensors: 0 (1, 35, 8), 1 (1, 4); say which is explained with --output 0" in ran.err
    ran = run("explain", hopper, *mine, "--output", "1", "--layer", "norm")
    assert ran.code == 2
    assert "layer 'norm' returns shape (1, 35, 8)" in ran.err
    assert "--layout 'tokens 14x14 after 1'" in ran.err
    ran = run("explain", hopper, *mine, "--output", "1", "--layer", "norm", "--layout", "tokens 4x4 after 19", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["layer"] == "norm"
    assert len(document["explained"][0]["values"]["pathcam-h"]) == 4


def test_several_layers_make_one_map(run, mine, hopper, tmp_path):
    both = ("--layer", "one", "--layer", "two", "--output", "1")
    for fuse in ("mean", "maximum", "product"):
        ran = run("explain", hopper, *mine, *both, "--fuse", fuse, "--json", "--method", "hirescam")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert document["layer"] == "one + two"
        assert Path(tmp_path / document["files"][0]).is_file()
    assert run("explain", hopper, *mine, *both, "--fuse", "sum").err.startswith(
        "error: --fuse sum is unknown; known are"
    )


def test_why_this_and_not_that(run, tiny, hopper):
    ran = run("explain", hopper, "--model", tiny, "--target", "cat", "--against", "dog", "--utility", "logit", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["utility"] == "logit against dog"
    ran = run("explain", hopper, "--model", tiny, "--json", "--utility", "logit", "--target", "dog", "--against", "cat")
    reverse = json.loads(ran.out)
    assert document["explained"][0]["utility_value"] == pytest.approx(
        -reverse["explained"][0]["utility_value"], abs=1e-6
    )
    assert "itself" in run("explain", hopper, "--model", tiny, "--target", "dog", "--against", "dog").err
    assert "--top 2 and --against dog" in run("explain", hopper, "--model", tiny, "--top", 2, "--against", "dog").err
    assert run("compare", hopper, "--model", tiny, "--against", "stork", "--target", "cat").code == 0


def test_a_rule_names_the_layer(run, tiny, hopper):
    ran = run("explain", hopper, "--model", tiny, "--layer", "last-conv", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["layer"] == "convolution"


def test_the_layers_of_a_model_whose_output_is_chosen(run, mine, hopper):
    ran = run("layers", "mine.py:net", "--image", hopper, "--output", "1", "--json", "--all")
    assert ran.code == 0, ran.err
    rows = {row["layer"]: row for row in json.loads(ran.out)["layers"]}
    assert rows.keys() == {"input", "one", "two"}
    assert rows["two"]["default"]
