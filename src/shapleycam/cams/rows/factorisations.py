"""Methods of factorisations of the activation."""

from __future__ import annotations

from shapleycam.cams.bases import FIRST
from shapleycam.cams.method import Method
from shapleycam.cams.other_bases import ACTIVATION
from shapleycam.cams.spreads import (
    FIRST_COMPONENT,
    KERNEL_COMPONENT,
    LARGE_ACTIVATIONS,
    SALIENT_COMPONENT,
)

_CYAN = "#88CCEE"

FACTORISATIONS = (
    Method(
        "eigencam",
        ACTIVATION,
        FIRST_COMPONENT,
        "Muhammad & Yeasin 2020, arXiv:2008.00299",
        "first principal component of the activation; blind to the class",
        in_units=False,
    ),
    Method(
        "eigengradcam",
        FIRST,
        FIRST_COMPONENT,
        "pytorch-grad-cam's EigenGradCAM",
        "first principal component of activation times gradient",
        in_units=False,
        own_colour=_CYAN,
    ),
    Method(
        "kpcacam",
        ACTIVATION,
        KERNEL_COMPONENT,
        "Karmani 2024, arXiv:2410.00267",
        "first principal component of the activation by a sigmoid kernel; blind to the class",
        in_units=False,
        in_all=False,
    ),
    Method(
        "segeigencam",
        FIRST,
        SALIENT_COMPONENT,
        "Chung & Ying 2025, doi:10.3390/app15137562",
        "first principal component of activation times the gradient's size",
        in_units=False,
        own_colour=_CYAN,
    ),
    Method(
        "fem",
        ACTIVATION,
        LARGE_ACTIVATIONS,
        "Fuad 2020, hal-02963298",
        "channels weighted by how often they are far above their mean; blind to the class",
        in_units=False,
    ),
)
