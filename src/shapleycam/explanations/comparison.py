"""Several methods' explanations of the same images."""

from __future__ import annotations

from html import escape
from typing import Any

from shapleycam.cams.table import canonical_method
from shapleycam.drawing.data_uri import picture_address
from shapleycam.explanations.explanation import Explanation

_SHOWN = 4
_LONGEST = 320


class Comparison(dict[str, Explanation]):
    """Explanations by method: a dictionary that a notebook shows side by side.

    Its keys are the methods' own names; `comparison["Grad-CAM"]`, `in` and `get` take every spelling of them.
    """

    def __missing__(self, name: str) -> Explanation:
        own = canonical_method(name)
        if own is None or not super().__contains__(own):
            raise KeyError(f"{name!r} is not among the methods compared, which are {', '.join(self)}")
        return self[own]

    def __contains__(self, name: object) -> bool:
        """Whether a method was compared, in any spelling of its name."""
        return super().__contains__(name) or super().__contains__(canonical_method(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a method's explanation, in any spelling of its name, or the default."""
        own = name if super().__contains__(name) else canonical_method(name)
        return super().get(own, default) if own is not None else default

    def _repr_html_(self) -> str:
        if not self:
            return "<p>no methods</p>"
        count = len(next(iter(self.values())))
        rows = "".join(self._row(index) for index in range(min(count, _SHOWN)))
        return rows + (f"<p>and {count - _SHOWN} more</p>" if count > _SHOWN else "")

    def _row(self, index: int) -> str:
        """One image by all methods."""
        first = next(iter(self.values()))
        what = f"{escape(first.utility_name)} {float(first.utility[index]):.3g}"
        title = f"{escape(first.sources[index].name)}: <b>{escape(first.label(index))}</b>, {what}"
        figures = "".join(_figure(method, explanation, index) for method, explanation in self.items())
        return f"<p>{title}</p><div style='display:flex;flex-wrap:wrap;gap:0.5em'>{figures}</div>"


def _figure(method: str, explanation: Explanation, index: int) -> str:
    picture = explanation.overlay(index)
    picture.thumbnail((_LONGEST, _LONGEST))
    name, label = escape(explanation.sources[index].name), escape(explanation.label(index))
    alt = f"{escape(method)} heatmap of {name} for {label}"
    image = f"<img src='{picture_address(picture, 'JPEG', quality=85)}' alt='{alt}' style='width:160px'>"
    return f"<figure style='margin:0'>{image}<figcaption>{escape(method)}</figcaption></figure>"
