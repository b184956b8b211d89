r"""A spelling of file names that can be printed and stored, also of names that are not UTF-8 or hold line breaks.

A byte that is not UTF-8 is spelled `\xe9`, a control character `\x0a`, and characters that break lines or turn the
direction of writing `\u2028`. Two names never have one spelling: a backslash that begins such an escape in the name
itself is spelled `\x5c`.
"""

from __future__ import annotations

import re

_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_CODE = "(?:x[0-9a-f]{2}|u[0-9a-f]{4})"
_IN_NAMES = re.compile(rf"{_UNPRINTABLE}|\\(?={_CODE})")
_IN_MESSAGES = re.compile(_UNPRINTABLE)


def printable_name(name: str) -> str:
    r"""Return the spelling of a file name: itself, unless it holds what cannot be printed.

    Examples:
        >>> printable_name("café.jpg"), printable_name("caf\udce9.jpg"), printable_name("two\nlines.jpg")
        ('café.jpg', 'caf\\xe9.jpg', 'two\\x0alines.jpg')
        >>> printable_name("caf\\xe9.jpg")
        'caf\\x5cxe9.jpg'
    """
    return _IN_NAMES.sub(_spelling, name)


def original_name(spelling: str) -> str:
    r"""Return the file name of a spelling.

    Examples:
        >>> original_name("caf\\xe9.jpg") == "caf\udce9.jpg"
        True
    """
    return re.sub(rf"\\{_CODE}", _character, spelling)


def printable_text(text: str) -> str:
    r"""Return a message with what cannot be printed in it, and line breaks, spelled as in `printable_name`.

    So a message is one line whatever a file brings into it. A name that is spelled already does not change.

    Examples:
        >>> printable_text("caf\udce9.jpg and caf\\xe9.jpg")
        'caf\\xe9.jpg and caf\\xe9.jpg'
    """
    return _IN_MESSAGES.sub(_spelling, text)


def _spelling(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python reads a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _character(match: re.Match[str]) -> str:
    kind, digits = match[0][1], match[0][2:]
    code = int(digits, 16)
    return chr(code + 0xDC00) if kind == "x" and code >= 0x80 else chr(code)
