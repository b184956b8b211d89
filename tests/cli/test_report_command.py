"""`shapleycam report` as a user runs it."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """A folder of two photographs and a third file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("red.png", (200, 30, 30)), ("half.png", (30, 60, 200))):
        image = Image.new("RGB", (40, 40), colour)
        image.paste((240, 240, 240), (5, 5, 25, 20))
        image.save(folder / name)
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


@pytest.fixture
def measured(run, tiny, photos):
    """A finished run of a user's own network on the photographs."""
    (photos / "broken.png").unlink()
    options = ("--model", tiny, "--method", "gradcam", "--method", "layercam", "--metric", "complexity", "--quiet")
    assert run("evaluate", photos.name, *options, "--out", "first run").code == 0
    return "first run"


def test_photographs_that_cannot_be_read_do_not_keep_the_others_from_it(run, tiny, photos, tmp_path):
    ran = run("report", "photos", "gone.jpg", "--model", tiny, "--quiet")
    assert ran.code == 2
    assert ran.out.startswith("written report.html (")
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == ["photos/broken.png", "gone.jpg"]
    page = (tmp_path / "report.html").read_text()
    for name in ("photos/red.png", "photos/half.png", "photos/broken.png: not an image", "gone.jpg: no such file"):
        assert name in page
    assert all(f"<h3>{method}</h3>" in page for method in ("gradcam", "shapleycam", "pathcam-h"))


def test_of_photographs_none_of_which_can_be_read_there_is_no_report(run, tiny, tmp_path):
    ran = run("report", "gone.jpg", "--model", tiny)
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "report.html").exists()


def test_options_are_those_of_compare(run, tiny, photos, tmp_path):
    options = ("--method", "gradcam", "--target", "dog", "--utility", "logit", "--layer", "convolution")
    ran = run("report", "photos/red.png", "--model", tiny, *options, "--view", "input", "--out", "new/one.html")
    assert (ran.code, ran.err) == (0, "")
    page = (tmp_path / "new/one.html").read_text()
    assert "Layer convolution of tiny.py:network, utility logit." in page
    assert "Explained: <strong>dog</strong>, logit" in page
    assert "<h3>gradcam</h3>" in page
    assert "<h3>pathcam</h3>" not in page


def test_a_run_is_named_after_and_its_own_model_runs_only_if_asked(run, tiny, measured, tmp_path):
    ran = run("report", measured)
    assert ran.code == 0
    assert ran.err.startswith("note: the report has no maps, or not all: model ")
    assert ran.err.count("\n") == 1
    assert ran.out.startswith("written first run.html (")
    page = (tmp_path / "first run.html").read_text()
    assert f"model {tiny} is code of its user&#39;s own, which is run only if asked: give --model {tiny}" in page
    assert run("report", measured, "--model", tiny, "--maps", 1, "--out", "maps.html").code == 0
    shown = (tmp_path / "maps.html").read_text()
    assert shown.count("heatmap of") == 2
    assert "Maps are not shown" not in shown
    assert run("report", measured, "--maps", 0).code == 0
    assert "Maps were not asked for" in (tmp_path / "first run.html").read_text()


@pytest.mark.parametrize("moved", [False, True])
def test_maps_are_made_from_another_folder(run, tiny, measured, tmp_path, monkeypatch, moved):
    """A relative path is one of the folder where the run was started, or beside a run that was copied."""
    project = tmp_path
    if moved:
        project = tmp_path / "elsewhere"
        project.mkdir()
        for name in ("photos", measured):
            (tmp_path / name).rename(project / name)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "tiny.py", other)
    (other / "photos").mkdir()  # a folder of the same name, with other photographs
    Image.new("RGB", (40, 40)).save(other / "photos/black.png")
    monkeypatch.chdir(other)
    ran = run("report", project / measured, "--model", tiny, "--maps", 1, "--out", "maps.html")
    assert (ran.code, ran.err) == (0, "")
    assert (other / "maps.html").read_text().count("heatmap of") == 2


def test_photographs_that_are_not_found_are_asked_for_in_the_terminal(run, tiny, measured, photos, tmp_path):
    photos.rename(tmp_path / "moved")
    ran = run("report", measured, "--model", tiny)
    assert ran.code == 0
    assert ran.err.startswith(f"note: the report has no maps, or not all: {photos}: no such file or folder")
    assert ran.err.endswith("; say with --data where the photographs are\n")
    assert run("report", measured, "--model", tiny, "--quiet").err == ""
    found = run("report", measured, "--model", tiny, "--data", "moved")
    assert (found.code, found.err) == (0, "")


def test_a_run_and_photographs_have_no_report_in_common(refused, measured):
    message = refused("report", measured, "photos/red.png")
    assert message == "first run is a run and photos/red.png is none; give runs of one protocol, or photographs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("first run", "--layer", "last-conv"), "--layer was given, and a report of a run has no use for it"),
        (("first run", "--batch-size", "4"), "--batch-size was given"),
        (("photos", "--maps", "2"), "--maps was given, and a report of photographs has no use for it"),
        (("photos", "--method", "gradcan"), "did you mean 'gradcam'"),
        (("photos", "--out", "photos"), "photos: cannot be written"),
        (("photos", "--out", "photos/red.png/a.html"), "photos/red.png: a file, where a folder was expected"),
    ],
)
def test_what_means_nothing_is_refused(refused, measured, options, message):
    assert message in refused("report", *options)


def test_a_url_is_a_run(refused):
    assert "no results of an evaluation" in refused("report", "file:///nowhere/run")
