"""Check that a utility fits the model's scores and the chosen classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.models.labels import class_name, imagenet_labels
from shapleycam.tracing.score_conversion import ScoreConversion
from shapleycam.utilities.utility import Labels, Utility

_MAX_LABELS = 100
"""No photograph has more labels than this at once."""


def check_scores(utility: Utility, scores: ScoreConversion) -> None:
    """Refuse a utility that does not fit the model's scores.

    Raises:
        OptionError: the utility needs logits, but only probabilities are available; or it is for labels that do not
            exclude each other, but the model ends in a softmax. The message says which utilities can be explained.
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
    """Return whether the classes clearly exclude each other, so that the model is not a multi-label model.

    This is so if they are ImageNet's, or if the sigmoid of more than a hundred of them is above 50% in every image
    (docs/decisions.md, "The sigmoid of over a hundred labels above one half is warned of").

    Args:
        scores: the logits.
        labels: the class names; None without names.
    """
    if labels is not None and tuple(labels) == imagenet_labels():
        return True
    return bool(((scores > 0).sum(1) > _MAX_LABELS).all())


def check_classes(scores: Float[Tensor, "b classes"] | None, target: Int[Tensor, " b"], labels: Labels) -> None:
    """Refuse a target class that the model excludes.

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
