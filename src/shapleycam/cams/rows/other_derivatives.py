"""Methods of other derivatives."""

from __future__ import annotations

from shapleycam.cams.full_gradient import FULL_GRADIENT
from shapleycam.cams.guided_gradients import GUIDED, GUIDED_GRADCAM
from shapleycam.cams.method import Method
from shapleycam.cams.noisy_gradients import NOISY
from shapleycam.cams.spreads import MEAN

OTHER_DERIVATIVES = (
    Method(
        "smoothgradcam++",
        NOISY,
        MEAN,
        "Omeiza 2019, arXiv:1908.01224",
        "as gradcam++, by mean powers of the gradients of four noisy images",
        in_units=False,
        in_all=False,
    ),
    Method(
        "fullgrad",
        FULL_GRADIENT,
        None,
        "Srinivas & Fleuret 2019, arXiv:1905.00780",
        "gradients of the image and of the biases of all layers, summed over each position's pixels",
        in_units=False,
        in_all=False,
    ),
    Method(
        "guidedbackprop",
        GUIDED,
        None,
        "Springenberg 2014, arXiv:1412.6806",
        "gradient by the image in which ReLUs pass on the positive part, summed over each position's pixels",
        in_units=False,
        in_all=False,
    ),
    Method(
        "guidedgradcam",
        GUIDED_GRADCAM,
        None,
        "Selvaraju 2017, arXiv:1610.02391",
        "guidedbackprop times gradcam of the layer, pixel by pixel",
        in_units=False,
        in_all=False,
    ),
)
