"""Names of photographs that are listed by their paths, on POSIX and on Windows."""

from __future__ import annotations

import ntpath
import posixpath
from types import SimpleNamespace

import pytest

from shapleycam.experiments.datasets import relative_names as module
from shapleycam.experiments.datasets.relative_names import relative_names

SYSTEMS = {
    "posix": (SimpleNamespace(path=posixpath, sep="/"), ""),
    "windows": (SimpleNamespace(path=ntpath, sep="\\"), "C:"),
}


@pytest.fixture(params=SYSTEMS)
def path(request, monkeypatch):
    """Makes a path of the system from one with "/"."""
    system, drive = SYSTEMS[request.param]
    monkeypatch.setattr(module, "os", system)
    return lambda text: f"{drive}{text}".replace("/", system.sep)


@pytest.mark.parametrize(
    ("paths", "folder", "names"),
    [
        (["/photos/a.jpg", "/photos/b/c.jpg"], "/photos", ("a.jpg", "b/c.jpg")),
        (["/photos/a.jpg", "/photos/b/c.jpg"], None, ("a.jpg", "b/c.jpg")),
        (["/photos/a.jpg"], None, ("a.jpg",)),
        (["/data/x/a.jpg", "/data/y/b.jpg"], "/lists", ("x/a.jpg", "y/b.jpg")),
        (["/data/x/a.jpg", "/data/y/b.jpg"], "/data/x", ("x/a.jpg", "y/b.jpg")),
        (["/photos2/a.jpg"], "/photos", ("a.jpg",)),
        (["/a.jpg", "/b/c.jpg"], "/lists", ("a.jpg", "b/c.jpg")),
        (["/a.jpg", "/b/c.jpg"], "/", ("a.jpg", "b/c.jpg")),
    ],
)
def test_relative_to_what_is_common(path, paths, folder, names):
    assert relative_names(list(map(path, paths)), None if folder is None else path(folder)) == names


def test_on_two_drives_of_windows_they_are_whole_paths(monkeypatch):
    monkeypatch.setattr(module, "os", SYSTEMS["windows"][0])
    paths = [r"C:\photos\a.jpg", r"D:\a.jpg"]
    assert relative_names(paths) == ("C:/photos/a.jpg", "D:/a.jpg")
    assert relative_names(paths, r"C:\photos") == ("C:/photos/a.jpg", "D:/a.jpg")
    assert relative_names(paths[1:], r"C:\photos") == ("a.jpg",)
