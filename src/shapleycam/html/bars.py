"""Colour bars of maps as CSS."""

from __future__ import annotations

import numpy as np
import torch

from shapleycam.drawing.overlays import shade_of, signed_shade_of

_STOPS = 17


def css_gradient(kind: str) -> str:
    """Return the colours of a map, from its lowest to its highest value, with the opacity that they have on the map."""
    draw, low = (shade_of, 0.0) if kind == "heatmap" else (signed_shade_of, -1.0)
    picture = draw(torch.linspace(low, 1, _STOPS)[None], 1.0)
    colours = np.asarray(picture)[0].tolist()
    return f"linear-gradient(to right, {', '.join(f'rgb({r} {g} {b} / {a / 255:.2f})' for r, g, b, a in colours)})"
