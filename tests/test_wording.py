"""Numbers are written in one way wherever people read them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shapleycam
from shapleycam.wording import number, percent, signed

PACKAGE = Path(shapleycam.__file__).parent
FACES = [path for suffix in ("py", "html", "js", "css") for path in sorted(PACKAGE.rglob(f"*.{suffix}"))]


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_only_nothing_is_0_percent_and_only_all_is_100_percent(digits):
    for exponent in range(1, 12):
        little = 10.0**-exponent
        for share in (little, 1 - little, -little):
            text = percent(share, digits)
            rounded = float(text.strip("<>%"))
            assert text[0] in "<>" or rounded not in {0, 100}
            assert abs(rounded - 100 * share) <= 10.0**-digits
    assert [float(percent(share, digits).rstrip("%")) for share in (0.0, 0.5, 1.0, 1.5)] == [0, 50, 100, 150]


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-9, -1e-9, 0.5, -0.5, 123456.0, -123456.0])
def test_numbers_are_read_back(value):
    for text in (number(value), signed(value)):
        assert float(text) == pytest.approx(value, rel=5e-3)
    assert number(value).startswith("-") == (value < 0)
    assert signed(value)[0] == ("-" if value < 0 else "+" if value > 0 else "0")


@pytest.mark.parametrize("path", FACES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_face_writes_them_in_another_way(path):
    text = re.sub(r"\{%.*?%\}", "", path.read_text(encoding="utf-8"))  # without the commands of templates
    assert not re.search(r"[0-9}] %(?![\w(])", text)  # 24 %
    assert not re.search(r"\{[^{}]*:\.[0-9]%\}", text)  # an f-string of its own
    if path.name != "markup.py":  # which translates the minus sign for LaTeX
        assert "\u2212" not in text
        assert "u2212" not in text
