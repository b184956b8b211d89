"""Downloads of an explanation: a figure with title and colour bars, plain pictures, the numbers, and a summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from shapleycam.drawing.colour_bars import ColourBar, heatmap_bar, with_style
from shapleycam.drawing.data_uri import encode_picture
from shapleycam.drawing.figures import grid
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions, largest_size
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.figures import map_title
from shapleycam.explanations.summary import summarise_image
from shapleycam.models.labels import class_name
from shapleycam.output_names import class_part, output_stem
from shapleycam.web.addresses import picture_address
from shapleycam.web.classes import class_title
from shapleycam.web.explained import Explained, explained
from shapleycam.web.map_stage import MapKind, grid_of_values, unit_of, utility_word
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.wording import as_json_value, number, removal_phrase, signed, smoothing_phrase

_LABELS = {
    "figure.png": "Figure (PNG)",
    "heatmap.png": "Heatmap (PNG)",
    "values.png": "Signed map (PNG)",
    "numbers.npz": "Numbers (NPZ)",
    "summary.json": "Summary (JSON)",
}
_KINDS: tuple[MapKind, ...] = ("heatmap", "values")


def download_links(resolved: ResolvedQuestion, e: Explanation, against: int | None) -> list[tuple[str, str, str]]:
    """Return each download's label, address and file name, which has the classes, the method and a chosen sign."""
    stem, sign = file_stem(e, against), resolved.style.sign
    names = {kind: f"{sign}_{kind}" if sign and kind.endswith(".png") else kind for kind in _LABELS}
    return [(label, picture_address(resolved, kind), f"{stem}_{names[kind]}") for kind, label in _LABELS.items()]


def file_stem(e: Explanation, against: int | None) -> str:
    """Return the name of an explanation's files without suffix; the command line uses the same names."""
    classes = [int(e.target[0]), *([] if against is None else [against])]
    question = "-not-".join(class_part(number, class_name(number, e.labels)) for number in classes)
    return f"{output_stem(Path(e.sources[0].name))}_{question}_{e.method}"


def _figure(resolved: ResolvedQuestion) -> bytes:
    made = explained(resolved)
    e = made.explanation
    label, other = class_title(int(e.target[0]), e.labels), "against it"
    title = f"{e.sources[0].name}: {label}"
    if made.against is not None:
        name = class_title(made.against, e.labels)
        title, other = f"{title} and not {name}", f"for {name}"
    how = f"{e.method}; {resolved.model_name}, layer {e.layer}; {utility_word(e)} {number(float(e.utility[0]))}"
    how += removal_phrase(e.removal) + smoothing_phrase(e.smooth)
    largest = largest_size(e, DrawnMap(kind="values", style=resolved.style))
    ends = f"{signed(-largest, 2)} {other}", f"{signed(largest, 2)} for {label}"
    style, keywords = resolved.style, resolved.style_keywords
    owner = "region" if drawn_regions(e, DrawnMap(kind="values", style=style)) is not None else "place"
    caption = with_style(f"signed map: what each {owner} adds, {unit_of(e)}", style)
    bars = [heatmap_bar(style), ColourBar("values", *ends, caption, style)]
    titles = [map_title(e, DrawnMap(kind=kind, style=style)) for kind in _KINDS]
    panels = [(title, e.overlay(kind=kind, **keywords)) for title, kind in zip(titles, _KINDS, strict=True)]
    return encode_picture(grid(panels, 2, (title, how), bars), "PNG")


def _overlay(kind: MapKind) -> Callable[[ResolvedQuestion], bytes]:
    return lambda resolved: encode_picture(
        explained(resolved).explanation.overlay(kind=kind, **resolved.style_keywords), "PNG"
    )


def _numbers(resolved: ResolvedQuestion) -> bytes:
    buffer = BytesIO()
    explained(resolved).explanation.write(buffer)
    return buffer.getvalue()


def _summary(resolved: ResolvedQuestion) -> bytes:
    made: Explained = explained(resolved)
    e = made.explanation
    summary = summarise_image([{e.method: e}], 0, resolved.model_name).as_data()
    document = {"image": e.sources[0].name, **summary, "against": made.against, "to_divide": made.grand}
    return json.dumps(as_json_value(document), indent=2, ensure_ascii=False, allow_nan=False).encode()


def _grid(kind: MapKind) -> Callable[[ResolvedQuestion], bytes]:
    return lambda resolved: grid_of_values(explained(resolved).explanation.values[0], kind, resolved.style).encode()


FILES: dict[str, tuple[str, Callable[[ResolvedQuestion], bytes]]] = {
    "figure.png": ("image/png", _figure),
    "heatmap.png": ("image/png", _overlay("heatmap")),
    "values.png": ("image/png", _overlay("values")),
    "numbers.npz": ("application/octet-stream", _numbers),
    "summary.json": ("application/json", _summary),
    "heatmap-grid": ("application/json", _grid("heatmap")),
    "values-grid": ("application/json", _grid("values")),
}
"""The media type and the function that makes the content, by the kind in the address."""
