"""The commands by a Ray cluster of this machine's own, beside what they do in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from shapleycam.experiments import Store

pytestmark = pytest.mark.ray
BY_RAY = ("--engine", "ray", "--actors", 1, "--actor-cpus", 1)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


@pytest.fixture
def photos(run, tmp_path, hopper) -> Path:
    """Three photographs and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(hopper) as photo:
        for number in range(3):
            photo.rotate(90 * number, expand=True).resize((120, 160)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no photograph")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def facts(out: str) -> list[dict]:
    """What is said of each photograph, in the order of their names."""
    return sorted((json.loads(line) for line in out.splitlines()), key=lambda one: one["image"])


def test_explain_writes_and_says_the_same(photos, run, tiny):
    asked = ("explain", "photos", "--model", tiny, "--method", "gradcam", "--method", "pathcam-h", "--json", "--save")
    here = run(*asked, "--out", "here", "--batch-size", 2)
    there = run(*asked, "--out", "there", "--batch-size", 2, *BY_RAY)
    assert here.code == there.code == 2  # for the file that is none
    assert "3.png" in there.err
    for one, other in zip(facts(here.out), facts(there.out), strict=True):
        assert {**one, "files": None} == {**other, "files": None}
    assert len(files(photos.parent / "here")) == 3 * 2 * 2
    assert files(photos.parent / "here") == files(photos.parent / "there")


def test_evaluate_prints_the_same(photos, run, tiny):
    asked = ("evaluate", "photos", "--model", tiny, "--method", "gradcam", "--method", "shapleycam", "--quiet")
    here, there = run(*asked, "--out", "here"), run(*asked, "--out", "there", *BY_RAY)
    assert there.code == 0, there.err
    assert there.out == here.out.replace("results in here", "results in there")
    assert Store(photos.parent / "there").rows().equals(Store(photos.parent / "here").rows())
