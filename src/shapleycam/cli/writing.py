"""Writing the files of a command, with a note if an existing file is replaced."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.cli.console import print_note
from shapleycam.printable import printable_text

if TYPE_CHECKING:
    from PIL import Image


def write_file(path: Path, content: bytes, *, quiet: bool = False) -> Path:
    """Write a file atomically and return its path; print a note if it replaces a file with different content.

    Raises:
        OptionError: the file cannot be written.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> write_file(Path(mkdtemp()) / "cat.png", b"content").read_bytes()
        b'content'
    """
    from shapleycam.files import write_atomically

    is_replaced = _has_other_content(path, content)
    write_atomically(path, lambda stream: stream.write(content))
    if is_replaced and not quiet:
        print_note(
            f"{printable_text(str(path))}: an earlier file of this name was replaced; to keep both, choose --out"
        )
    return path


def write_picture(path: Path, picture: Image.Image, *, quiet: bool = False) -> Path:
    """Write a picture as PNG, as `write_file` does.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from PIL import Image
        >>> write_picture(Path(mkdtemp()) / "cat.png", Image.new("RGB", (8, 8))).name
        'cat.png'
    """
    png = BytesIO()
    picture.save(png, format="PNG")
    return write_file(path, png.getvalue(), quiet=quiet)


def _has_other_content(path: Path, content: bytes) -> bool:
    """Return whether there is a file with different content; False for anything that cannot be read."""
    try:
        return path.is_file() and path.read_bytes() != content
    except OSError:
        return False
