"""What there is to choose from: `models`, `methods`, `layers`, `--help` and `--version`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import groupby

import pytest
import torch

import shapleycam
from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.cams.table import DEFAULT_METHOD
from shapleycam.utilities import UTILITIES


class TestMethods:
    def test_json_is_the_table(self, run):
        ran = run("methods", "--json")
        assert json.loads(ran.out) == [row.as_data() for row in shapleycam.methods()]

    def test_every_row_is_printed_uncut(self, run):
        out = run("methods").out
        for row in shapleycam.methods():
            (line,) = [line for line in out.splitlines() if line.split()[0] == row.name]
            assert row.basis.name in line
            assert row.spread_name in line
            assert row.description in line
            assert line.rstrip().endswith(row.source)
            assert row.group in line
            assert (", ".join(row.sets) or "by name") in line
        assert "Sets: paper, all (" in out

    def test_they_are_grouped_by_family_and_each_family_has_a_line(self, run):
        out = run("methods").out
        rows = {row.name: row for row in shapleycam.methods()}
        printed = [line.split()[0] for line in out.splitlines() if line.split()[0] in rows]
        groups = [rows[name].group for name in printed]
        assert [family for family, _ in groupby(groups)] == list(dict.fromkeys(groups)) == list(methods_by_family())
        for family in dict.fromkeys(groups):
            assert re.search(rf"^{family}: {re.escape(FAMILIES[family])}$", out, re.MULTILINE)

    @pytest.mark.parametrize(
        ("method", "runs"),
        [
            *(("gradcam", "gradients 1"), ("pathcam", "gradients 8"), ("leaveoneout", "head 49")),
            *(
                ("exactshapley", "head 2^49"),
                ("banzhaf", "head 1,024"),
                ("owen", "head 12,544"),
                ("eigencam", "factorisation "),
            ),
            *(("scorecam", "passes 512"), ("rise", "passes 1,000"), ("channelshapley", "head 1,048,576")),
        ],
    )
    def test_the_price_is_printed(self, run, method, runs):
        (line,) = [line for line in run("methods").out.splitlines() if line.split()[0] == method]
        assert f"  {runs}  " in line


class TestModels:
    def test_overview_names_each_source(self, run):
        out = run("models").out
        for name in ("efficientnet_lite0", "timm:NAME", "torchvision:NAME", "path/to/file.py:function"):
            assert name in out

    def test_word_lists_the_names_with_it(self, run):
        names = run("models", "mobilenet_v3").out.splitlines()
        assert "torchvision:mobilenet_v3_large" in names
        assert all("mobilenet_v3" in name for name in names)

    def test_case_does_not_matter(self, run):
        assert run("models", "ResNet50").out == run("models", "resnet50").out != ""

    def test_json_is_by_source(self, run):
        names = json.loads(run("models", "efficientnet_lite0", "--json").out)
        assert names["default"] == ["efficientnet_lite0"]
        assert "timm:tf_efficientnet_lite0" in names["timm"]
        assert names["torchvision"] == []

    def test_word_in_no_name(self, refused):
        message = refused("models", "resnet5O")
        assert message.startswith("no network has 'resnet5O' in its name; did you mean 'resnet50'")


class TestLayers:
    @pytest.fixture
    def rows(self, run, tiny, hopper):
        def listed(*args: str) -> dict[str, dict]:
            ran = run("layers", tiny, "--image", hopper, "--json", *args)
            assert (ran.code, ran.err) == (0, "")
            document = json.loads(ran.out)
            assert document["model"] == tiny
            return {row["layer"]: row for row in document["layers"]}

        return listed

    def test_layers_that_matter_with_the_one_before_pooling_marked(self, rows):
        layers = rows()
        assert list(layers) == ["input", "convolution", "activation"]  # idle never runs; nothing depends on aside
        assert (layers["input"]["shape"], layers["input"]["layout"]) == ([3, 32, 32], "NCHW 32 x 32")
        for name in ("convolution", "activation"):
            assert layers[name]["shape"] == [6, 4, 4]
            assert layers[name]["layout"] == "NCHW 4 x 4"
        assert [name for name, row in layers.items() if row["default"]] == ["activation"]

    def test_gradient_norm_before_pooling(self, rows, hopper):
        row = rows()["activation"]
        network = vars(sys.modules["shapleycam_user_tiny"])["network"]()
        target = shapleycam.Explainer(network).explain(hopper).target
        # The logit is w · mean over 16 cells, so its gradient is w/16 in each of the 16: |w| / 4.
        expected = float(network.model.classifier.weight.detach()[target].norm()) / 4
        assert row["gradient_norm"] == pytest.approx(expected, rel=1e-5)

    def test_curvature_is_that_of_an_explanation(self, rows, hopper):
        layers = rows()
        network = vars(sys.modules["shapleycam_user_tiny"])["network"]()
        for name, row in layers.items():
            explanation = shapleycam.Explainer(network, layer=name).explain(hopper, "shapleycam")
            assert row["curvature"] == pytest.approx(float(explanation.curvature), abs=1e-6)
            assert row["curvature"] > 0

    def test_linear_head_has_no_curvature(self, rows):
        assert rows("--utility", "logit")["activation"]["curvature"] == 0

    def test_blocks_or_every_layer(self, run, tiny):
        def names(*args: str) -> list[str]:
            ran = run("layers", "tiny.py:blocks", "--json", *args)
            return [row["layer"] for row in json.loads(ran.out)["layers"]]

        # 0 is all blocks and so what 0.1 returns, 1 the pooling; the last layer of a block returns what the block does
        assert names() == ["input", "0.0", "0"]
        assert names("--all") == ["input", "0.0.0", "0.0.1", "0.0", "0.1.0", "0.1.1", "0"]

    def test_layers_inside_windows_are_not_listed(self, run, tiny):
        # as in Swin: four windows of an image are four rows of the batch there, which no explanation can be given for
        ran = run("layers", "tiny.py:windows", "--json", "--all")
        assert (ran.code, ran.err) == (0, "")
        assert [row["layer"] for row in json.loads(ran.out)["layers"]] == ["input", "convolution", "activation"]

    def test_table_for_people(self, run, tiny):
        ran = run("layers", tiny, "--quiet")
        assert "measured on grace_hopper.jpg" in ran.out
        (line,) = [line for line in ran.out.splitlines() if line.split()[0] == "activation"]
        assert line.split()[:2] == ["activation", "6x4x4"]
        assert line.rstrip().endswith("default")

    def test_wrong_choices(self, refused, tiny):
        assert refused("layers", "resnet").startswith("model 'resnet' is unknown; ")
        assert refused("layers", tiny, "--image", "missing.jpg") == "missing.jpg: no such file; check the path"
        assert refused("layers", "tiny.py:model").startswith("model 'tiny.py:model' does not say how it wants")

    def test_weights_that_are_not_numbers(self, refused, tiny, run):
        run("layers", tiny, "--quiet")
        weights = vars(sys.modules["shapleycam_user_tiny"])["model"]().state_dict()
        weights["classifier.bias"][0] = torch.nan
        torch.save(weights, "broken.pth")
        message = refused("layers", tiny, "--checkpoint", "broken.pth")
        assert "the weight 'classifier.bias' is not finite: get or train the weights again" in message


class TestHelp:
    @pytest.mark.parametrize(
        ("command", "examples"),
        [
            ("explain", ["shapleycam explain cat.jpg dogs/ --out maps", "shapleycam explain cat.jpg --target lynx"]),
            ("compare", ["shapleycam compare cat.jpg --method all --layer blocks.6"]),
            ("layers", ["shapleycam layers timm:vit_tiny_patch16_224 --no-pretrained --all"]),
            ("models", ["shapleycam models resnet"]),
        ],
    )
    def test_teaches_by_example(self, run, command, examples):
        ran = run(command, "--help")
        assert ran.code == 0
        for example in examples:
            assert example in ran.out

    def test_without_a_command(self, run):
        out = run().out
        for command in ("explain", "compare", "layers", "models", "methods"):
            assert f" {command} " in out

    def test_version(self, run):
        ran = run("--version")
        assert (ran.code, ran.out) == (0, f"shapleycam {shapleycam.__version__}\n")

    @pytest.mark.parametrize("args", [["--help"], ["--version"], ["explain", "--help"], ["compare", "--help"]])
    def test_answers_without_loading_torch(self, args):
        code = f"""
import sys
from shapleycam.cli import main
sys.argv = ["shapleycam", *{args}]
try:
    main()
finally:
    print("heavy:", sorted({{"torch", "timm", "matplotlib"}} & set(sys.modules)))
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ran.returncode == 0
        assert ran.stdout.splitlines()[-1] == "heavy: []"


def test_the_help_of_utility_names_every_row_of_the_table(run):
    """The help must not load torch, so that it cannot read the table itself."""
    words = set(re.findall(r"\w+", run("explain", "--help").out))
    assert set(UTILITIES) <= words


def test_the_help_of_explain_names_the_default_method(run):
    """The help cannot read the constant either."""
    assert f"by {DEFAULT_METHOD}, offline" in " ".join(run("explain", "--help").out.split())
