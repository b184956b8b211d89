"""URLs among paths, on POSIX and on Windows."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from shapleycam.urls import url_of

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
