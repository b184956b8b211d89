"""Files of others that the repository holds are what their authors published, byte for byte."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDORED = {
    # npm: axe-core 4.14.1, MPL-2.0
    "tests/helpers/axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
    # npm: htmx.org 4.0.1, 0BSD
    "src/shapleycam/web/static/htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "src/shapleycam/web/static/hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    # npm: @fontsource/stix-two-math 5.3.0, files/stix-two-math-latin-400-normal.woff2, OFL-1.1
    "docs/assets/stix-two-math.woff2": "8b2a6834cfe1f4e0f3724ffa59fe92000013fc5a4c41e6a3f438006c26c60f0d",
}
"""Path and SHA-256; a new version changes both the file and its hash."""


@pytest.mark.parametrize("path", VENDORED)
def test_the_file_is_what_was_published(path):
    assert sha256((ROOT / path).read_bytes()).hexdigest() == VENDORED[path]
