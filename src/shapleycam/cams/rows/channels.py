"""Methods of channels as players."""

from __future__ import annotations

from shapleycam.cams.channel_weights import CHANNEL_LEFT_OUT, CHANNEL_PATH, CHANNEL_VALUES
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import ELEMENTWISE

CHANNELS = (
    Method(
        "ablationcam",
        CHANNEL_LEFT_OUT,
        ELEMENTWISE,
        "Desai & Ramaswamy 2020, Ablation-CAM (WACV)",
        "channels weighted by what the utility loses without each",
        in_units=False,
        in_all=False,
    ),
    Method(
        "liftcam",
        CHANNEL_PATH,
        ELEMENTWISE,
        "Jung & Oh 2021, arXiv:2102.05228",
        "channels weighted by DeepLIFT's values, or the path's where the model is deeper",
        in_units=False,
        in_all=False,
    ),
    Method(
        "channelshapley",
        CHANNEL_VALUES,
        ELEMENTWISE,
        "Shapley 1953; LIFT-CAM's weights, arXiv:2102.05228",
        "channels weighted by their Shapley values, exact or sampled",
        in_units=False,
        in_all=False,
    ),
)
