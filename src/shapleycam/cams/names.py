"""The names of the methods in the order of tables, for what needs no more of them than that, and no torch."""

from __future__ import annotations

METHOD_NAMES = (
    *("gradcam", "hirescam", "gradcam-e", "xgradcam", "layercam", "gradcam++", "randomcam"),
    *("shapleycam", "shapleycam-h", "shapleycam-e", "shapleycam-x"),
    *("pathcam", "pathcam-h", "pathcam-e", "pathcam-x", "sampledshapley", "exactshapley"),
)
"""In this order are the rows of the table of methods; one that is not among them cannot be in it."""
