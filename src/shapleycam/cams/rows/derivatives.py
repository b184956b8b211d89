"""Methods of first, second and path derivatives at a layer."""

from __future__ import annotations

from shapleycam.cams.bases import FIRST, PATH, RANDOM, SECOND
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import (
    ACTIVATION_WEIGHTED,
    ELEMENTWISE,
    ELEMENTWISE_RELU,
    MEAN,
    PLUS_PLUS,
    POSITIVE_GRADIENT,
)

_PAPER = "Cai 2025, arXiv:2501.06261"
_SKY = "#56B4E9"
_ORANGE = "#B8860B"

DERIVATIVES = (
    Method(
        "gradcam",
        FIRST,
        MEAN,
        "Selvaraju 2017, arXiv:1610.02391",
        "activation weighted by each channel's mean gradient",
        in_paper=True,
    ),
    Method(
        "hirescam",
        FIRST,
        ELEMENTWISE,
        "Draelos & Carin 2020, arXiv:2011.08891",
        "activation times gradient at each position: first-order Shapley values",
        in_paper=True,
    ),
    Method(
        "gradcam-e",
        FIRST,
        ELEMENTWISE_RELU,
        "pytorch-grad-cam's GradCAMElementWise",
        "as hirescam, only the positive products",
        in_paper=True,
    ),
    Method(
        "xgradcam",
        FIRST,
        ACTIVATION_WEIGHTED,
        "Fu 2020, arXiv:2008.02312",
        "as gradcam, gradients averaged in proportion to the activation",
        in_paper=True,
    ),
    Method(
        "layercam",
        FIRST,
        POSITIVE_GRADIENT,
        "Jiang 2021, LayerCAM",
        "activation times positive gradient at each position",
        in_units=False,
        in_paper=True,
        own_colour=_SKY,
    ),
    Method(
        "gradcam++",
        FIRST,
        PLUS_PLUS,
        "Chattopadhay 2018, arXiv:1710.11063",
        "as gradcam, positive gradients weighted by powers of the gradient",
        in_units=False,
        in_paper=True,
        own_colour=_ORANGE,
    ),
    Method(
        "randomcam",
        RANDOM,
        MEAN,
        f"baseline of {_PAPER}",
        "random channel weights, a baseline that explains nothing",
        in_units=False,
        in_paper=True,
        is_baseline=True,
    ),
    Method(
        "shapleycam",
        SECOND,
        MEAN,
        _PAPER,
        "gradcam's spread of the second-order derivative",
        in_paper=True,
    ),
    Method(
        "shapleycam-h",
        SECOND,
        ELEMENTWISE,
        _PAPER,
        "second-order Shapley values, position by position",
        in_paper=True,
    ),
    Method(
        "shapleycam-e",
        SECOND,
        ELEMENTWISE_RELU,
        _PAPER,
        "as shapleycam-h, only the positive products",
        in_paper=True,
    ),
    Method(
        "shapleycam-x",
        SECOND,
        ACTIVATION_WEIGHTED,
        "XGradCAM's spread with the second order",
        "xgradcam's spread of the second-order derivative",
    ),
    Method(
        "pathcam",
        PATH,
        MEAN,
        "Aumann & Shapley 1974; GradCAM's spread",
        "gradcam's spread of the mean gradient along the path",
    ),
    Method(
        "pathcam-h",
        PATH,
        ELEMENTWISE,
        "Aumann & Shapley 1974",
        "Shapley values by integrating the gradient along the path",
    ),
    Method(
        "pathcam-e",
        PATH,
        ELEMENTWISE_RELU,
        "Aumann & Shapley 1974; GradCAM-E's spread",
        "as pathcam-h, only the positive products",
    ),
    Method(
        "pathcam-x",
        PATH,
        ACTIVATION_WEIGHTED,
        "Aumann & Shapley 1974; XGradCAM's spread",
        "xgradcam's spread of the mean gradient along the path",
    ),
)
