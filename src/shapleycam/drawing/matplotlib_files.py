"""Files that matplotlib includes: its fonts, and the photograph that examples explain."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def matplotlib_file(name: str) -> Path:
    """Return the path of a file in matplotlib's data folder, without importing matplotlib, which takes long.

    Examples:
        >>> from shapleycam.drawing.matplotlib_files import matplotlib_file
        >>> matplotlib_file("fonts/ttf/DejaVuSans.ttf").exists()
        True
    """
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("mpl-data") / name
        if path.exists():
            return path
    from matplotlib import get_data_path  # some distributions keep the data elsewhere, and only matplotlib knows where

    return Path(get_data_path()) / name
