"""`--smooth`: the library's smoothing in explain, compare and report, and refused in one line."""

from __future__ import annotations

import json

import pytest
import torch

from shapleycam.explanations.explanation import Explanation

LAYER = ("--model", "tiny.py:network", "--layer", "convolution")


@pytest.fixture
def network(tiny, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)


def test_explain_smooths_says_so_and_saves_it(network, run, hopper, tmp_path):
    ran = run("explain", hopper, *LAYER, "--method", "hirescam", "--smooth", "augment,eigen", "--save", "--quiet")
    assert ran.code == 0, ran.err
    assert "by augment, eigen: the values divide no score" in " ".join(ran.out.split())
    (file,) = tmp_path.glob("*.npz")
    smooth = Explanation.load(file)
    assert smooth.smooth == ("augment", "eigen")
    plain = run("explain", hopper, *LAYER, "--method", "hirescam", "--json", "--quiet")
    values = torch.tensor(json.loads(plain.out)["explained"][0]["values"]["hirescam"])
    assert not torch.allclose(smooth.values[0], values, rtol=0.01, atol=0.01)


def test_compare_says_so(network, run, hopper):
    ran = run("compare", hopper, *LAYER, "--method", "gradcam", "--smooth", "noise", "--json", "--quiet")
    assert (ran.code, json.loads(ran.out)["smooth"]) == (0, ["noise"])
    ran = run("compare", hopper, *LAYER, "--method", "gradcam", "--smooth", "noise", "--quiet")
    assert "by noise: the values divide no score" in " ".join(ran.out.split())


def test_a_report_says_so(network, run, hopper, tmp_path):
    arguments = (hopper, *LAYER, "--method", "hirescam", "--smooth", "augment", "--quiet")
    assert run("report", *arguments).code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "maps smoothed by augment" in page
    assert "not in units of the score" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--smooth", "blur"), "--smooth blur is unknown; known are augment, eigen, noise"),
        (("--smooth", "eigen", "--method", "sampledshapley"), "--smooth eigen takes the first component"),
        (("--smooth", "augment", "--players", "2x2"), "--smooth augment explains the mirror image too"),
    ],
)
def test_refusals_name_the_option(network, run, hopper, arguments, message):
    ran = run("explain", hopper, *LAYER, *arguments, "--quiet")
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert message in " ".join(ran.err.split())
