"""What can be kept of an explanation: a figure with title and colour bar, bare pictures, numbers, a summary."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath

from shapleycam.drawing.data_uri import encode_picture
from shapleycam.drawing.figures import grid
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import summarise_image
from shapleycam.models.labels import class_name
from shapleycam.web.addresses import picture_address
from shapleycam.web.explained import Explained, explained
from shapleycam.web.map_stage import MapKind, grid_of_values
from shapleycam.web.resolved import ResolvedQuestion

_LABELS = {
    "figure.png": "Figure (PNG)",
    "heatmap.png": "Heatmap (PNG)",
    "values.png": "Signed map (PNG)",
    "numbers.npz": "Numbers (NPZ)",
    "summary.json": "Summary (JSON)",
}
_LONGEST_NAME = 120


def download_links(resolved: ResolvedQuestion, e: Explanation, other: str | None) -> list[tuple[str, str, str]]:
    """Return the label, address and file name of each download; the name has the method and the classes."""
    stem = file_stem(PurePath(e.sources[0].name).stem, e.method, e.label(), other)
    return [(label, picture_address(resolved, kind), f"{stem}_{kind}") for kind, label in _LABELS.items()]


def file_stem(photograph: str, method: str, label: str, other: str | None) -> str:
    """Return a file name without its ending, of letters, digits and signs that every system takes.

    Examples:
        >>> from shapleycam.web.downloads import file_stem
        >>> file_stem("grace hopper", "gradcam++", "academic gown", "mortarboard")
        'grace-hopper_gradcam++_academic-gown_not-mortarboard'
    """
    parts = [photograph, method, label, *([f"not {other}"] if other else [])]
    return "_".join(re.sub(r"[^\w+.]+", "-", part).strip("-.") for part in parts)[:_LONGEST_NAME]


def _figure(resolved: ResolvedQuestion) -> bytes:
    made = explained(resolved)
    e = made.explanation
    against = "" if made.against is None else f" and not {class_name(made.against, e.labels)}"
    panels = [(f"{e.method}: heatmap", e.overlay()), ("signed map", e.overlay(kind="values"))]
    return encode_picture(grid(panels, 2, f"{e.label()}{against}, {resolved.model_name}"), "PNG")


def _overlay(kind: MapKind) -> Callable[[ResolvedQuestion], bytes]:
    return lambda resolved: encode_picture(explained(resolved).explanation.overlay(kind=kind), "PNG")


def _numbers(resolved: ResolvedQuestion) -> bytes:
    buffer = BytesIO()
    explained(resolved).explanation.write(buffer)
    return buffer.getvalue()


def _summary(resolved: ResolvedQuestion) -> bytes:
    made: Explained = explained(resolved)
    e = made.explanation
    summary = summarise_image([{e.method: e}], 0, resolved.model_name).as_data()
    document = {"image": e.sources[0].name, **summary, "against": made.against, "to_divide": made.grand}
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _grid(kind: MapKind) -> Callable[[ResolvedQuestion], bytes]:
    return lambda resolved: grid_of_values(explained(resolved).explanation.values[0], kind).encode()


FILES: dict[str, tuple[str, Callable[[ResolvedQuestion], bytes]]] = {
    "figure.png": ("image/png", _figure),
    "heatmap.png": ("image/png", _overlay("heatmap")),
    "values.png": ("image/png", _overlay("values")),
    "numbers.npz": ("application/octet-stream", _numbers),
    "summary.json": ("application/json", _summary),
    "heatmap-grid": ("application/json", _grid("heatmap")),
    "values-grid": ("application/json", _grid("values")),
}
"""Files by the kind in their address: media type, and the function that makes the content."""
