"""Methods of masked images."""

from __future__ import annotations

from shapleycam.cams.channel_masks import CHANNEL_MASK_SHARES, CHANNEL_MASKS, NOISY_CHANNEL_MASKS
from shapleycam.cams.method import Method
from shapleycam.cams.occlusion import COVERED_CELLS
from shapleycam.cams.optimised_masks import OPTIMISED_MASKS
from shapleycam.cams.rise import RANDOM_MASKS
from shapleycam.cams.spreads import MEAN

MASKED_IMAGES = (
    Method(
        "scorecam",
        CHANNEL_MASKS,
        MEAN,
        "Wang 2020, arXiv:1910.01279",
        "channels weighted by the score of the image under each channel's mask",
        in_units=False,
        in_all=False,
    ),
    Method(
        "sscam",
        NOISY_CHANNEL_MASKS,
        MEAN,
        "Wang 2020, arXiv:2006.14255",
        "as scorecam, by the mean score of ten noisy masks of each channel",
        in_units=False,
        in_all=False,
    ),
    Method(
        "iscam",
        CHANNEL_MASK_SHARES,
        MEAN,
        "Naidu 2020, arXiv:2010.03023",
        "as scorecam, by the mean score at ten shares of each channel's mask",
        in_units=False,
        in_all=False,
    ),
    Method(
        "occlusion",
        COVERED_CELLS,
        None,
        "Zeiler & Fergus 2014, arXiv:1311.2901",
        "what is lost when a position's part of the image has its mean colour",
        in_units=False,
        in_all=False,
    ),
    Method(
        "rise",
        RANDOM_MASKS,
        None,
        "Petsiuk 2018, arXiv:1806.07421",
        "mean score of the image under random masks that keep a position",
        in_units=False,
        in_all=False,
    ),
    Method(
        "opticam",
        OPTIMISED_MASKS,
        MEAN,
        "Zhang 2024, arXiv:2301.07002",
        "channel weights optimised so that the image under the map scores most",
        in_units=False,
        in_all=False,
    ),
)
