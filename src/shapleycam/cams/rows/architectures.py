"""Methods of what only some models have: class weights, attention, several classes."""

from __future__ import annotations

from shapleycam.cams.attention_rollout import ATTENTION, WEIGHTED_ATTENTION
from shapleycam.cams.class_weights import CLASS_WEIGHTS
from shapleycam.cams.legrad import LEGRAD
from shapleycam.cams.method import Method
from shapleycam.cams.similar_classes import SIMILAR_CLASSES
from shapleycam.cams.spreads import ELEMENTWISE, MEAN

ARCHITECTURES = (
    Method(
        "cam",
        CLASS_WEIGHTS,
        ELEMENTWISE,
        "Zhou 2016, arXiv:1512.04150",
        "activation times the classifier's weights: of the logit, where the model is mean and linear layer",
        in_units=False,
        in_all=False,
    ),
    Method(
        "attentionrollout",
        ATTENTION,
        None,
        "Abnar & Zuidema 2020, arXiv:2005.00928",
        "product of all attentions of a vision transformer; blind to the class",
        in_units=False,
        in_all=False,
    ),
    Method(
        "gradientrollout",
        WEIGHTED_ATTENTION,
        None,
        "Chefer 2021, arXiv:2103.15679",
        "product of all attentions of a vision transformer, weighted by their gradients",
        in_units=False,
        in_all=False,
    ),
    Method(
        "finercam",
        SIMILAR_CLASSES,
        MEAN,
        "Zhang 2025, arXiv:2501.11309",
        "gradcam of the class's logit less the mean of the three nearest classes'",
        in_units=False,
        in_all=False,
    ),
    Method(
        "legrad",
        LEGRAD,
        None,
        "Bousselham 2024, arXiv:2404.03214",
        "mean positive gradient of the attention in all blocks of a vision transformer, each for its own tokens' score",
        in_units=False,
        in_all=False,
    ),
)
