"""Pictures of explanations: overlays on photographs, figures of several panels, images as data URIs."""

from shapleycam.drawing.figures import grid, pairs, scatter

__all__ = ["grid", "pairs", "scatter"]
