"""Several pictures side by side, with a title above and colour bars below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from PIL import Image, ImageOps

from shapleycam.drawing.colour_bars import ColourBar
from shapleycam.drawing.lettering import Paragraph, set_text, text_width
from shapleycam.errors import OptionError

_NARROWEST_ALONE, _WIDEST_ALONE = 480, 1280
_NARROWEST_PANEL, _WIDEST = 240, 1600
_SMALLEST_TEXT, _LARGEST_TEXT = 14, 22
_LONGEST_BAR, _GAP = 420, 12
"""Widths, heights and distances above are in pixels."""
Panel: TypeAlias = "tuple[str, Image.Image]"
"""A title and a picture."""


def grid(
    panels: Sequence[Panel],
    columns: int,
    title: Sequence[str] = (),
    bars: Sequence[ColourBar] = (),
    note: str = "",
) -> Image.Image:
    """Return a figure of titled pictures in rows, with a title above, and colour bars and a note below.

    In a single column a picture keeps its width if that is from 480 to 1280 pixels; several columns share a width of
    1600.

    Args:
        panels: (title, picture) of each panel.
        columns: the largest number of panels in a row.
        title: the lines of the figure's title; the first is bold.
        bars: colour bars for the pictures.
        note: a line below everything.

    Raises:
        OptionError: there are no panels, or fewer than one column.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.drawing import grid
        >>> from shapleycam.drawing.colour_bars import heatmap_bar
        >>> picture = Image.new("RGB", (40, 40))
        >>> grid([("one", picture), ("two", picture)], columns=2, title=["both"], bars=[heatmap_bar()]).mode
        'RGB'
    """
    return grouped_grid({"": panels}, columns, title, bars, note)


def grouped_grid(
    groups: Mapping[str, Sequence[Panel]],
    columns: int,
    title: Sequence[str] = (),
    bars: Sequence[ColourBar] = (),
    note: str = "",
) -> Image.Image:
    """Return a figure as `grid` does, with the panels of each group in separate rows below the group's heading.

    Raises:
        OptionError: a group has no panels, or there are fewer than one column.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.drawing.figures import grouped_grid
        >>> panel = ("gradcam", Image.new("RGB", (40, 40)))
        >>> grouped_grid({"first order": [panel], "path": [panel, panel]}, columns=2).size[0]
        1624
    """
    count = min(map(len, groups.values()), default=0)
    if not count or columns < 1:
        raise OptionError(f"{count} panels in {columns} columns; expected at least one of each")
    columns = min(columns, max(map(len, groups.values())))
    cell = _cell_size(next(iter(groups.values()))[0][1], columns)
    width = columns * cell[0] + (columns - 1) * _GAP
    pixels = min(_LARGEST_TEXT, max(_SMALLEST_TEXT, width // 64))
    blocks = [set_text(line, width, pixels, bold=place == 0) for place, line in enumerate(title)]
    drawings = [
        *([_stack([_paragraph_picture(block, width) for block in blocks], width)] if blocks else []),
        *(drawing for heading, panels in groups.items() for drawing in _group(heading, panels, columns, cell, pixels)),
        *(_bar_with_texts(bar, width, pixels) for bar in bars),
        *([_paragraph_picture(set_text(note, width, pixels), width)] if note else []),
    ]
    return ImageOps.expand(_stack(drawings, width, gap=_GAP), border=_GAP, fill="white")


def _cell_size(picture: Image.Image, columns: int) -> tuple[int, int]:
    """Return the cell size (width, height) of a grid, from its first picture; the height is at most twice the width."""
    if columns == 1:
        width = min(_WIDEST_ALONE, max(_NARROWEST_ALONE, picture.width))
    else:
        width = max(_NARROWEST_PANEL, (_WIDEST - (columns - 1) * _GAP) // columns)
    return width, max(1, round(width * min(2.0, max(0.1, picture.height / picture.width))))


def _fit(picture: Image.Image, cell: tuple[int, int]) -> Image.Image:
    """Return a picture scaled to fit a cell, centred on white."""
    scale = min(cell[0] / picture.width, cell[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.convert("RGB") if size == picture.size else picture.convert("RGB").resize(size)
    canvas = Image.new("RGB", cell, "white")
    canvas.paste(fitted, ((cell[0] - size[0]) // 2, (cell[1] - size[1]) // 2))
    return canvas


def _group(
    heading: str, panels: Sequence[Panel], columns: int, cell: tuple[int, int], pixels: int
) -> Iterator[Image.Image]:
    """Yield the pictures of a group: its heading, if it has one, and its rows of panels."""
    width = columns * cell[0] + (columns - 1) * _GAP
    if heading:
        yield _paragraph_picture(set_text(heading, width, pixels, bold=True), width)
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        titles = [set_text(text, cell[0], pixels) for text, _ in row]
        yield _row([_fit(picture, cell) for _, picture in row], titles, cell, width)


def _row(
    pictures: Sequence[Image.Image], titles: Sequence[Paragraph], cell: tuple[int, int], width: int
) -> Image.Image:
    """Return one picture of several pictures side by side, each with its title above."""
    head = max(title.height for title in titles)
    row = Image.new("RGB", (width, head + cell[1]), "white")
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = place * (cell[0] + _GAP)
        title.draw(row, left, 0, cell[0], "middle")
        row.paste(picture, (left, head))
    return row


def _bar_with_texts(bar: ColourBar, width: int, pixels: int) -> Image.Image:
    """Return a picture of a colour bar with the texts at its ends and its caption below."""
    longest = width // 3
    low, high = set_text(bar.low, longest, pixels), set_text(bar.high, longest, pixels)
    caption = set_text(bar.caption, width, pixels)
    left = max((text_width(line, pixels) for line in low.lines), default=0) + _GAP
    right = max((text_width(line, pixels) for line in high.lines), default=0) + _GAP
    length = min(_LONGEST_BAR, width - left - right)
    height = max(low.height, high.height, pixels)
    drawing = Image.new("RGB", (width, height + caption.height), "white")
    low.draw(drawing, 0, 0, left, "left")
    drawing.paste(bar.picture(length, pixels), (left, (height - pixels) // 2))
    high.draw(drawing, left + length + _GAP, 0, right, "left")
    caption.draw(drawing, 0, height, width, "left")
    return drawing


def _paragraph_picture(paragraph: Paragraph, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, max(1, paragraph.height)), "white")
    paragraph.draw(picture, 0, 0, width, "left")
    return picture


def _stack(pictures: Sequence[Image.Image], width: int, gap: int = 0) -> Image.Image:
    """Return one picture of several pictures below each other, all of `width` pixels."""
    stack = Image.new("RGB", (width, sum(picture.height for picture in pictures) + gap * (len(pictures) - 1)), "white")
    top = 0
    for picture in pictures:
        stack.paste(picture, (0, top))
        top += picture.height + gap
    return stack
