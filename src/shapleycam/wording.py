"""Small pieces of English in messages and tables."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where it is not one.

    Examples:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the name of its type where it has no message.

    Examples:
        >>> first_line(ValueError("no such size\nand a long explanation")), first_line(KeyboardInterrupt())
        ('no such size', 'KeyboardInterrupt')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def type_and_first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, or the type alone where it has no message.

    Examples:
        >>> type_and_first_line(KeyError("size")), type_and_first_line(KeyError())
        ("KeyError: 'size'", 'KeyError')
    """
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def on_one_line(error: BaseException) -> str:
    r"""Return an error's whole message on one line, or the name of its type where it has no message.

    Examples:
        >>> from shapleycam.wording import on_one_line
        >>> on_one_line(ValueError("no such size\n  for this model")), on_one_line(KeyboardInterrupt())
        ('no such size for this model', 'KeyboardInterrupt')
    """
    return " ".join(str(error).split()) or type(error).__name__
