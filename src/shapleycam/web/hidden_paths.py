"""`HiddenPaths`: remove the server's folders from texts for visitors."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from shapleycam.printable import printable_name
from shapleycam.web.model_names import file_of

_BEFORE = r"(?<![\w.:/\\<+=~-])"
_ROOT = r"(?:~|[A-Za-z]:|\\\\)?[\\/]+"
_PART = r"[^\s'\"\\/:,;()<>|&]"
_QUOTED = re.compile(rf"(?<!\w)(['\"]){_ROOT}(?:[^'\"\n<>]*[\\/])?([^'\"\\/\n<>]*)\1")
_PATH = re.compile(rf"{_BEFORE}{_ROOT}(?:{_PART}+[\\/]+)+({_PART}*)")


class HiddenPaths:
    """Replaces models' names by their short names, and paths by their last parts.

    Args:
        names: the short name of each model by its full name.
        folders: further folders to remove, whose names may contain spaces.

    Examples:
        >>> from shapleycam.web.hidden_paths import HiddenPaths
        >>> hidden = HiddenPaths({"/srv/me/nets.py:small": "nets:small"})
        >>> hidden.hide("model '/srv/me/nets.py:small' could not read /srv/my/weights.pt")
        "model 'nets:small' could not read weights.pt"
    """

    def __init__(self, names: Mapping[str, str], folders: Iterable[str] = ()) -> None:
        known: dict[str, str] = {name: short for name, short in names.items() if name != short}
        known |= {file: Path(file).name for file in map(file_of, names) if file}
        known |= {str(Path(file).absolute()): Path(file).name for file in map(file_of, names) if file}
        known = {name: short for name, short in known.items() if name != short}
        known |= {form(name): form(short) for name, short in known.items() for form in (printable_name, escape)}
        own = {*map(str, (Path.cwd(), Path.home(), tempfile.gettempdir())), *folders}
        places = [re.escape(text) for text in sorted(known, key=len, reverse=True)]
        inside = [rf"{re.escape(place.rstrip('/'))}/(?:{_PART}+/)*" for place in sorted(own, key=len, reverse=True)]
        self._known = known
        self._pattern = re.compile(rf"(?<![\w/.-])(?:{'|'.join((*places, *inside))})")

    def hide(self, text: str) -> str:
        """Return a text, or HTML, without folders of the server."""
        text = self._pattern.sub(lambda match: self._known.get(match[0], ""), text)
        text = _QUOTED.sub(lambda match: f"{match[1]}{match[2] or '…'}{match[1]}", text)
        return _PATH.sub(lambda match: match[1] or "…", text)
