"""Drawing explanations: overlays on photographs, figures with several panels, images as data URIs."""

from shapleycam.drawing.figures import grid
from shapleycam.drawing.map_style import MapStyle
from shapleycam.drawing.plots import pairs, scatter

__all__ = ["MapStyle", "grid", "pairs", "scatter"]
