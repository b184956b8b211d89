r"""Escaping file names so that they can be printed and stored, even if they are not UTF-8 or contain line breaks.

A byte that is not UTF-8 becomes `\xe9`, a control character `\x0a`, and a character that breaks lines or changes the
direction of writing `\u2028`. The escaping is reversible: a backslash in the name that looks like the beginning of such
an escape becomes `\x5c`.
"""

from __future__ import annotations

import re

_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_CODE = "(?:x[0-9a-f]{2}|u[0-9a-f]{4})"
_IN_NAMES = re.compile(rf"{_UNPRINTABLE}|\\(?={_CODE})")
_IN_MESSAGES = re.compile(_UNPRINTABLE)


def printable_name(name: str) -> str:
    r"""Return a file name with unprintable characters escaped.

    Examples:
        >>> printable_name("café.jpg"), printable_name("caf\udce9.jpg"), printable_name("two\nlines.jpg")
        ('café.jpg', 'caf\\xe9.jpg', 'two\\x0alines.jpg')
        >>> printable_name("caf\\xe9.jpg")
        'caf\\x5cxe9.jpg'
    """
    return _IN_NAMES.sub(_escape, name)


def original_name(escaped: str) -> str:
    r"""Return the file name for an escaped name: the inverse of `printable_name`.

    Examples:
        >>> original_name("caf\\xe9.jpg") == "caf\udce9.jpg"
        True
    """
    return re.sub(rf"\\{_CODE}", _unescape, escaped)


def printable_text(text: str) -> str:
    r"""Return a message with unprintable characters and line breaks escaped as in `printable_name`.

    The result is one line, whatever names it contains. A name that is escaped already does not change.

    Examples:
        >>> printable_text("caf\udce9.jpg and caf\\xe9.jpg")
        'caf\\xe9.jpg and caf\\xe9.jpg'
    """
    return _IN_MESSAGES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # the surrogate by which Python represents a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _unescape(match: re.Match[str]) -> str:
    kind, digits = match[0][1], match[0][2:]
    code = int(digits, 16)
    return chr(code + 0xDC00) if kind == "x" and code >= 0x80 else chr(code)
