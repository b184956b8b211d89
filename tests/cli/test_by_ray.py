"""The commands by a Ray cluster of this machine's own, beside what they do in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from shapleycam.experiments import Store

pytestmark = pytest.mark.ray


@pytest.fixture
def by_ray(run, monkeypatch):
    """Run a command by a cluster of its own, of which no process is left afterwards."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

    def command(*args: object) -> Any:
        before = set(psutil.Process().children(recursive=True))
        ran = run(*args, "--engine", "ray", "--actors", 1, "--actor-cpus", 1)
        _, left = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=10)
        assert [process for process in left if is_alive(process)] == []
        return ran

    return command


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def photos(run, tmp_path, hopper) -> Path:
    """Three photographs and a file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(hopper) as photo:
        for number in range(3):
            photo.rotate(90 * number, expand=True).resize((120, 160)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no photograph")
    return folder


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def sorted_documents(out: str) -> list[dict]:
    """Return the JSON document of each photograph, sorted by file name."""
    return sorted((json.loads(line) for line in out.splitlines()), key=lambda line: line["image"])


def test_explain_writes_and_says_the_same(photos, run, by_ray, tiny):
    arguments = (
        "explain",
        "photos",
        "--model",
        tiny,
        "--method",
        "gradcam",
        "--method",
        "pathcam-h",
        "--json",
        "--save",
    )
    local = run(*arguments, "--out", "here", "--batch-size", 2)
    remote = by_ray(*arguments, "--out", "there", "--batch-size", 2)
    assert local.code == remote.code == 2  # for the file that is none
    assert "3.png" in remote.err
    for local_line, remote_line in zip(sorted_documents(local.out), sorted_documents(remote.out), strict=True):
        assert {**local_line, "files": None} == {**remote_line, "files": None}
    assert len(read_files(photos.parent / "here")) == 3 * 2 * 2
    assert read_files(photos.parent / "here") == read_files(photos.parent / "there")


def test_evaluate_prints_the_same(photos, run, by_ray, tiny):
    arguments = ("evaluate", "photos", "--model", tiny, "--method", "gradcam", "--method", "shapleycam", "--quiet")
    local, remote = run(*arguments, "--out", "here"), by_ray(*arguments, "--out", "there")
    assert remote.code == 0, remote.err
    assert remote.out == local.out.replace("results in here", "results in there")
    assert Store(photos.parent / "there").rows().equals(Store(photos.parent / "here").rows())
