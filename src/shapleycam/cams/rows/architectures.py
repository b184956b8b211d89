"""Methods of what only some architectures have: class weights, attention."""

from __future__ import annotations

from shapleycam.cams.attention_rollout import ATTENTION, WEIGHTED_ATTENTION
from shapleycam.cams.class_weights import CLASS_WEIGHTS
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import ELEMENTWISE

ARCHITECTURES = (
    Method(
        "cam",
        CLASS_WEIGHTS,
        ELEMENTWISE,
        "Zhou 2016, arXiv:1512.04150",
        "activation times the classifier's weights: of the logit, where the model is mean and linear layer",
        in_units=False,
    ),
    Method(
        "attentionrollout",
        ATTENTION,
        None,
        "Abnar & Zuidema 2020, arXiv:2005.00928",
        "product of all attentions of a vision transformer; blind to the class",
        in_units=False,
    ),
    Method(
        "gradientrollout",
        WEIGHTED_ATTENTION,
        None,
        "Chefer 2021, arXiv:2103.15679",
        "product of all attentions of a vision transformer, weighted by their gradients",
        in_units=False,
    ),
)
