"""Methods of other derivatives."""

from __future__ import annotations

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
)
