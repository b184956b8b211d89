"""Checks of a utility against what a model returns, and against the classes that are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.models.labels import class_name, imagenet_labels
from shapleycam.tracing.score_conversion import ScoreConversion
from shapleycam.utilities.utility import Labels, Utility

_MOST_LABELS = 100
"""More labels than any photograph has at once."""


def check_scores(utility: Utility, scores: ScoreConversion) -> None:
    """Refuse a utility that does not fit the form of the model's scores.

    Raises:
        OptionError: it needs logits where only probabilities can be had, or is of labels where classes exclude each
            other; the message says what can be explained.
    """
    if utility.multi_label and scores.nonlinearity in {"softmax", "log_softmax"}:
        raise OptionError(
            f"utility {utility.name!r} is of labels that may stand beside others, and this model gives the softmax of "
            f"its classes, so that they exclude each other; use {utility.name.removeprefix('sigmoid_')!r}"
        )
    if utility.needs_logits and not scores.has_logits:
        raise OptionError(
            f"utility {utility.name!r} needs logits, and the model returns {scores.output_kind}, whose logits cannot "
            "be had; use utility 'log_probability', 'probability', 'log_odds' or a contrast, or give the model without "
            "its softmax"
        )


def classes_exclude_each_other(scores: Float[Tensor, "b classes"], labels: Sequence[str] | None) -> bool:
    """Return whether the classes evidently are no labels of a multi-label model.

    They are ImageNet's, or the sigmoid gives more than a hundred of them over 50% in every image (docs/decisions.md,
    "The sigmoid of over a hundred labels above one half is warned of").

    Args:
        scores: logits.
        labels: the class names, None without names.
    """
    if labels is not None and tuple(labels) == imagenet_labels():
        return True
    return bool(((scores > 0).sum(1) > _MOST_LABELS).all())


def check_classes(scores: Float[Tensor, "b classes"] | None, target: Int[Tensor, " b"], labels: Labels) -> None:
    """Refuse to explain a class that the model leaves out.

    Raises:
        TargetError: a target's logit is -infinity, or its probability 0; the message names the class.
    """
    if scores is None:
        return
    left_out = (scores.detach().gather(1, target[:, None])[:, 0] == -torch.inf).nonzero().flatten().tolist()
    if left_out:
        index = int(target[left_out[0]])
        raise TargetError(
            f"class {index} ({class_name(index, labels)}) is left out by the model in image {left_out[0]} (its logit "
            "is -infinity, or its probability 0), so that there is nothing to explain; give another target"
        )
