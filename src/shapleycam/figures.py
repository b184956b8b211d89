"""Several pictures side by side, with titles."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

_INCHES, _DOTS = 2.6, 110


def grid(panels: Sequence[tuple[str, Image.Image]], columns: int, caption: str) -> Image.Image:
    """Titled pictures in rows of `columns`, with a line of text below."""
    columns = min(columns, len(panels))
    rows = ceil(len(panels) / columns)
    width, height = panels[0][1].size
    tall = _INCHES * min(2.0, max(0.4, height / width)) + 0.3
    figure = Figure(figsize=(columns * _INCHES, rows * tall + 0.3), dpi=_DOTS, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, panels, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=10, parse_math=False)
    figure.supxlabel(caption, fontsize=9, parse_math=False)
    buffer = BytesIO()
    canvas.print_png(buffer)
    return Image.open(buffer).convert("RGB")
