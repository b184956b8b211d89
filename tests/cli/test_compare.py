"""`shapleycam compare` as a user runs it."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image

from shapleycam.explanations.evidence import describe_evidence

PAPER = ["gradcam", "hirescam", "gradcam-e", "xgradcam", "layercam", "gradcam++", "randomcam"]
PAPER += ["shapleycam", "shapleycam-h", "shapleycam-e"]


def test_the_papers_ten_methods_on_a_photograph(run, hopper, explainer, tmp_path):
    ran = run("compare", hopper)
    assert (ran.code, ran.err) == (0, "")
    assert "academic gown" in ran.out
    file = "grace_hopper_academic-gown-400_compare.png"
    assert file in ran.out
    comparison = explainer.compare(hopper, PAPER)
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line.split()[0] in PAPER}
    assert list(rows) == [*(name for name in PAPER if name != "randomcam"), "randomcam"]  # by family, the baseline last
    for method, row in rows.items():
        assert row.rstrip().endswith(describe_evidence(comparison[method].values[0]))
    with Image.open(tmp_path / file) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > 1.5 * picture.height  # two rows of five


def test_without_arguments_shows_the_photograph_that_comes_along(run, tiny, tmp_path):
    assert run("compare", "--model", tiny, "--method", "gradcam").code == 0
    (file,) = tmp_path.glob("*.png")
    assert re.fullmatch(r"grace_hopper_[a-z]+-\d_compare\.png", file.name)


def test_json(run, tiny, hopper, tmp_path):
    methods = ("--method", "gradcam", "--method", "pathcam")
    ran = run("compare", hopper, "--model", tiny, *methods, "--target", "stork", "--out", "maps", "--json", "--quiet")
    (line,) = ran.out.splitlines()
    document = json.loads(line)
    assert (document["class"], document["label"], document["layer"]) == (3, "stork", "activation")
    assert list(document["evidence"]) == ["gradcam", "pathcam"]
    assert document["file"] == "maps/grace_hopper_stork-3_compare.png"
    assert (tmp_path / document["file"]).is_file()


def test_methods_are_grouped_by_family_and_identical_maps_are_said(run, tiny, hopper):
    """Behind a mean over places and a linear layer Grad-CAM and HiResCAM are one map, with one utility."""
    methods = [word for name in ("randomcam", "shapleycam", "hirescam", "gradcam") for word in ("--method", name)]
    arguments = ("compare", hopper, "--model", tiny, *methods, "--utility", "logit", "--quiet")
    document = json.loads(run(*arguments, "--json").out)
    families = {"first order": ["hirescam", "gradcam"], "second order": ["shapleycam"], "baseline": ["randomcam"]}
    assert document["families"] == families
    assert document["same_map"] == {"gradcam": "hirescam", "shapleycam": "hirescam"}
    rows = {line.split()[0]: line.split()[1:6] for line in run(*arguments).out.splitlines()}
    methods = [name for members in families.values() for name in members]
    assert [name for name in rows if name in methods] == methods
    assert rows["gradcam"] == ["first", "order", "first", "mean", "hirescam"]


def test_of_many_methods_each_family_has_rows_of_its_own(run, tiny, hopper, tmp_path):
    def height(*methods: str) -> int:
        arguments = [word for method in methods for word in ("--method", method)]
        assert run("compare", hopper, "--model", tiny, *arguments, "--target", "stork", "--quiet").code == 0
        with Image.open(tmp_path / "grace_hopper_stork-3_compare.png") as picture:
            return picture.height

    assert height(*PAPER, "eigencam") > 1.5 * height(*PAPER)  # rows of 5, 1, 3, 1 and 1 in place of two of five


def test_each_method_is_a_panel(run, tiny, hopper, tmp_path):
    def width(*methods: str) -> int:
        arguments = [word for method in methods for word in ("--method", method)]
        run("compare", hopper, "--model", tiny, *arguments, "--target", "stork")
        with Image.open(tmp_path / "grace_hopper_stork-3_compare.png") as picture:
            return picture.width

    assert width("gradcam") == 480 + 2 * 12  # alone
    assert width("gradcam", "pathcam") == pytest.approx(1600 + 2 * 12, abs=2)  # several share a width
    assert width("gradcam", "pathcam", "hirescam") == pytest.approx(1600 + 2 * 12, abs=2)


def test_photograph_may_be_drawn_over_whole(run, tiny, hopper, tmp_path):
    def height(view: str) -> int:
        run("compare", hopper, "--model", tiny, "--method", "gradcam", "--view", view, "--target", "stork")
        with Image.open(tmp_path / "grace_hopper_stork-3_compare.png") as picture:
            return picture.height

    assert height("photo") > height("input")  # 512 x 600, against 32 x 32


def test_notes(run, tiny, hopper):
    arguments = ("compare", hopper, "--model", tiny, "--method", "shapleycam", "--utility", "logit")
    assert "note: utility 'logit' has no curvature behind layer 'activation'" in run(*arguments).err
    assert run(*arguments, "--quiet").err == ""


def test_unreadable_photograph_is_said_before_the_model_is_loaded(refused):
    assert refused("compare", "missing.jpg", "--model", "nothing.py:net") == "missing.jpg: no such file; check the path"


def test_folder(refused, tiny, tmp_path):
    message = refused("compare", tmp_path, "--model", tiny)
    assert message == f"{tmp_path}: a folder, where a picture was expected; name the files in it"


def test_model_that_does_not_say_how_it_wants_photographs(refused, tiny, hopper):
    message = refused("compare", hopper, "--model", "tiny.py:model")
    assert message.startswith("model 'tiny.py:model' does not say how it wants photographs; let the function return")


def test_photograph_in_which_the_crop_is_not_known(refused, tiny, hopper):
    assert refused("compare", hopper, "--model", "tiny.py:by_function", "--view", "photo").endswith("use --view input")


WRONG = {
    "--method shapleycan": "method 'shapleycan' is unknown; did you mean 'shapleycam'",
    "--utility best": "utility 'best' is unknown; did you mean 'rest'",
    "--layer activatoin": "layer 'activatoin' is not in the model; did you mean 'activation'",
    "--target 9": "class 9 is out of range: the model has classes 0 to 3",
}
"""Options, and what must be said of them."""


@pytest.mark.parametrize("options", WRONG)
def test_wrong_choice_is_one_line_that_helps(refused, tiny, hopper, tmp_path, options):
    assert WRONG[options] in refused("compare", hopper, "--model", tiny, *options.split())
    assert not list(tmp_path.glob("*.png"))
