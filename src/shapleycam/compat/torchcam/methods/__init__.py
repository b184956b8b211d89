"""torch-cam's extractors of one method each."""

from __future__ import annotations

from shapleycam.compat.refusing import refusing_class
from shapleycam.compat.torchcam.methods.classifier import CAM
from shapleycam.compat.torchcam.methods.finer import FinerCAM
from shapleycam.compat.torchcam.methods.gradient import GradCAM, GradCAMpp, LayerCAM, SmoothGradCAMpp, XGradCAM
from shapleycam.compat.torchcam.methods.masked import ISCAM, SSCAM, ScoreCAM
from shapleycam.compat.torchcam.methods.refined import RefineCAM
from shapleycam.compat.torchcam.scores import OutputTarget

__all__ = [
    "CAM",
    "ISCAM",
    "SSCAM",
    "FinerCAM",
    "GradCAM",
    "GradCAMpp",
    "LayerCAM",
    "OutputTarget",
    "RefineCAM",
    "ScoreCAM",
    "SmoothGradCAMpp",
    "XGradCAM",
]
MISSING = {
    "LeGrad": "scores the mean of all tokens of chosen blocks; shapleycam.Explainer has method 'legrad', of all "
    "blocks by the model's own head",
}
"""Names that are missing, with what each does and what to use in its place."""


def __getattr__(name: str) -> type:
    if name not in MISSING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return refusing_class("torch-cam", name, MISSING[name])
