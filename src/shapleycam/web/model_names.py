"""Short names of the models that the operator offers, which do not show the server's paths to visitors."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from shapleycam.errors import ModelError
from shapleycam.names import nearest

_HUB = "hf:"
_DIGITS = 6


class ModelNames:
    """The offered models by short names: FILE:FUNCTION for a model in a file, hf:FOLDER for one in a local folder.

    If several models would have the same name, those with a path get digits that depend on the whole path. So an
    address never means another model when the operator offers one more. The names that the operator gave are accepted
    too, because addresses from earlier versions contain them.

    Args:
        offered: names as in the option `--model`.

    Examples:
        >>> from shapleycam.web.model_names import ModelNames
        >>> names = ModelNames(["resnet50", "/home/me/nets.py:small"])
        >>> names.short, names.canonical("/home/me/nets.py:small"), names.full("nets:small")
        (('resnet50', 'nets:small'), 'nets:small', '/home/me/nets.py:small')
    """

    def __init__(self, offered: Sequence[str]) -> None:
        different = {_absolute(name): name for name in reversed(offered)}
        counts = Counter(map(short_name, different.values()))
        self._full: dict[str, str] = {}
        for place, name in reversed(different.items()):
            short = short_name(name)
            if counts[short] > 1 and short != name:
                short = f"{short}@{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:_DIGITS]}"
            self._full[short] = name
        self._short = {name: short for short, name in self._full.items()}
        self._short |= {name: self._short[different[_absolute(name)]] for name in offered}

    @property
    def short(self) -> tuple[str, ...]:
        """The short names, in the operator's order."""
        return tuple(self._full)

    @property
    def by_full_name(self) -> Mapping[str, str]:
        """The short name of each name that the operator gave."""
        return self._short

    def canonical(self, name: str) -> str:
        """Return the short name for a model's short or full name; other texts are not changed."""
        return name if name in self._full else self._short.get(name, name)

    def full(self, name: str) -> str:
        """Return a model's full name, as in `--model`, for its short or full name; "" means the first model.

        Raises:
            ModelError: the model is not offered.
        """
        short = self.canonical(name) if name else self.short[0]
        if short not in self._full:
            raise ModelError(f"model {name!r} is not offered by this page; {nearest(name, self.short)}")
        return self._full[short]


def short_name(name: str) -> str:
    """Return a model's name without the folders of its file.

    Examples:
        >>> from shapleycam.web.model_names import short_name
        >>> short_name("/home/me/nets.py:small"), short_name("timm:resnet18"), short_name("nets.py")
        ('nets:small', 'timm:resnet18', 'nets')
    """
    location, separator, function = _file_and_function(name)
    if location:
        return f"{Path(location).stem}{separator}{function}"
    return f"{_HUB}{Path(name.removeprefix(_HUB)).name}" if _is_local_hub(name) else name


def file_of(name: str) -> str:
    """Return the path of a file or folder in a model's name, as it is written there; "" if there is none.

    Examples:
        >>> from shapleycam.web.model_names import file_of
        >>> file_of("/home/me/nets.py:small"), file_of("resnet50")
        ('/home/me/nets.py', '')
    """
    return _file_and_function(name)[0] or (name.removeprefix(_HUB) if _is_local_hub(name) else "")


def _file_and_function(name: str) -> tuple[str, str, str]:
    location, separator, function = name.rpartition(":")
    if location.endswith(".py"):
        return location, separator, function
    return (name, "", "") if name.endswith(".py") else ("", "", "")


def _is_local_hub(name: str) -> bool:
    place = Path(name.removeprefix(_HUB))
    return name.startswith(_HUB) and (place.is_absolute() or place.is_dir())


def _absolute(name: str) -> str:
    """Return a name with its path made absolute, so that different spellings of a path are equal."""
    place = file_of(name)
    return name.replace(place, str(Path(place).resolve()), 1) if place else name
