"""Drawing text in pictures, in the DejaVu font that matplotlib includes, wrapped at words to a width in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from shapleycam.drawing.matplotlib_files import matplotlib_file
from shapleycam.printable import printable_text

_INK = "black"
_LABEL_INK, _LABEL_EDGE = (255, 255, 255, 255), (0, 0, 0, 230)
"""White inside a dark edge, which is visible on every colour."""


@dataclass(frozen=True)
class Paragraph:
    """A text as lines that fit a width; `pixels` is the font size."""

    lines: tuple[str, ...]
    pixels: int
    bold: bool = False

    @property
    def height(self) -> int:
        """Return the paragraph's height in pixels."""
        return len(self.lines) * _line_height(self.pixels)

    def draw(self, canvas: Image.Image, left: int, top: int, width: int, align: Literal["left", "middle"]) -> None:
        """Draw the paragraph on a canvas, in a column of `width` pixels that begins at (left, top)."""
        font, draw = _font(self.pixels, bold=self.bold), ImageDraw.Draw(canvas)
        for place, line in enumerate(self.lines):
            indent = 0 if align == "left" else max(0, round((width - font.getlength(line)) / 2))
            draw.text((left + indent, top + place * _line_height(self.pixels)), line, fill=_INK, font=font)


def set_text(text: str, width: int, pixels: int, *, bold: bool = False) -> Paragraph:
    """Return a text as a paragraph of at most `width` pixels; a wider word is broken. An empty text has no lines."""
    font = _font(pixels, bold=bold)
    lines: list[str] = []
    line = ""
    for word in printable_text(" ".join(text.split())).split(" "):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while font.getlength(line) > width and len(line) > 1:
            count = next(n for n in range(len(line) - 1, 0, -1) if n == 1 or font.getlength(line[:n]) <= width)
            lines.append(line[:count])
            line = line[count:]
    return Paragraph(tuple([*lines, line] if line else lines), pixels, bold)


def text_width(text: str, pixels: int) -> int:
    """Return the width in pixels of a text on one line."""
    return round(_font(pixels).getlength(text))


def shortened(text: str, width: int, pixels: int) -> str:
    """Return a text on one line of at most `width` pixels; a longer text is cut and ends in an ellipsis.

    Examples:
        >>> from shapleycam.drawing.lettering import shortened
        >>> shortened("cat", 100, 12), shortened("a cat that is long and grey", 60, 12)
        ('cat', 'a cat th…')
    """
    line = printable_text(" ".join(text.split()))
    if text_width(line, pixels) <= width:
        return line
    kept = next((n for n in range(len(line), 0, -1) if text_width(f"{line[:n].rstrip()}…", pixels) <= width), 0)
    return f"{line[:kept].rstrip()}…"


def draw_label(canvas: Image.Image, text: str, centre: tuple[float, float], pixels: int, width: int) -> None:
    """Draw a text, cut to `width` pixels, centred at a point; near an edge it is moved to lie within the canvas."""
    line, font, edge = shortened(text, width, pixels), _font(pixels), max(1, pixels // 8)
    draw = ImageDraw.Draw(canvas)
    left, top, right, bottom = draw.textbbox((0, 0), line, font=font, stroke_width=edge)
    corner = [
        min(max(0, middle - (high - low) / 2), max(0, side - (high - low))) - low
        for middle, low, high, side in zip(centre, (left, top), (right, bottom), canvas.size, strict=True)
    ]
    draw.text((corner[0], corner[1]), line, fill=_LABEL_INK, font=font, stroke_width=edge, stroke_fill=_LABEL_EDGE)


def _line_height(pixels: int) -> int:
    return round(1.3 * pixels)


@cache
def _font(pixels: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib includes, so that every machine has it."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(matplotlib_file(f"fonts/ttf/{name}")), pixels)
