"""URLs among paths, on POSIX and on Windows."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from shapleycam import urls
from shapleycam.urls import path_of_file_url, url_of

URLS = ["https://example.org/cat.jpg", "s3://bucket/photos", "file:///photos/cat.jpg"]
PATHS = [
    "C:/photos/cat.jpg",
    "C:\\photos\\cat.jpg",
    "c:cat.jpg",
    "\\\\server\\share\\cat.jpg",
    "photos/a:b.jpg",
    "cat.jpg",
    "",
]


@pytest.mark.parametrize("path_type", [str, Path, PureWindowsPath])
@pytest.mark.parametrize("url", URLS)
def test_is_put_together_again(url, path_type):
    assert url_of(path_type(url)) in {url, url.replace(":///", "://")}


@pytest.mark.parametrize("path_type", [str, Path, PureWindowsPath])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_none(path, path_type):
    assert url_of(path_type(path)) is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///photos/a.jpg", "/photos/a.jpg"),
        ("file:///a%20b/%25.jpg", "/a b/%.jpg"),
        ("file:///a b/#?*.jpg", "/a b/#?*.jpg"),
        ("file://run", "run"),
    ],
)
def test_path_of_a_file_url(url, path):
    assert path_of_file_url(url) == path


def test_path_of_a_file_url_on_windows(monkeypatch):
    windows = pytest.importorskip("nturl2path")  # what urllib has there
    monkeypatch.setattr(urls, "url2pathname", windows.url2pathname)
    assert path_of_file_url("file:///C:/photos/a%20b.jpg") == r"C:\photos\a b.jpg"
