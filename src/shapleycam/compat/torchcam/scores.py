"""From class indices, targets and the scores that a user hands over to the utility that is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, TypeAlias

import torch
from torch import Tensor

from shapleycam.compat.grad_cam.utils.model_targets import ClassifierOutputTarget
from shapleycam.compat.questions import form_of, has_row_of_each, make_utility, number_of, utility_of
from shapleycam.errors import OptionError
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.utilities import Utility

ClassIndex: TypeAlias = "int | list[int] | None"
OutputTarget: TypeAlias = "Callable[[Any], Tensor]"
Targets: TypeAlias = "OutputTarget | list[OutputTarget] | None"


def targets_of(class_idx: ClassIndex, targets: Targets, images: int) -> list[OutputTarget]:
    """Return one target for each image, of class indices or of targets.

    Raises:
        OptionError: both or none are given, another number of them than images, or an index that is none.
    """
    if (class_idx is None) == (targets is None):
        raise OptionError("expected either class_idx or targets=, and not both: give one of the two")
    if targets is None:
        return [*class_targets(class_idx, images)]
    rows = _one_for_each(targets, images)
    for row in rows:
        if not callable(row):
            raise OptionError(
                f"targets= has {type(row).__name__}; expected functions from an image's scores to a number, or "
                "class_idx"
            )
    return rows


def class_targets(class_idx: ClassIndex, images: int) -> list[ClassifierOutputTarget]:
    """Return the target of the class of each image.

    Raises:
        OptionError: another number of classes than images, or an index that is none.
    """
    return [_class_target(row) for row in _one_for_each(class_idx, images)]


def _one_for_each(choice: Any, images: int) -> list[Any]:
    rows = list(choice) if isinstance(choice, (list, tuple)) else [choice] * images
    if len(rows) != images:
        raise OptionError(
            f"{len(rows)} classes or targets are given for {images} images; expected one for each, or one"
        )
    return rows


def _class_target(number: Any) -> ClassifierOutputTarget:
    try:
        category = -1 if isinstance(number, bool) else index(number)
    except TypeError:
        category = -1
    if category < 0:
        given = number if isinstance(number, int) else type(number).__name__
        raise OptionError(f"class_idx has {given}; expected whole numbers from 0, as scores.argmax(1).tolist()")
    return ClassifierOutputTarget(category)


def utility_of_scores(targets: Sequence[OutputTarget], output: Any, scores: Any) -> Utility:
    """Return the utility whose gradient at a pass's output is that of the targets of `scores`.

    Where the scores are the output itself, or there are none, that is the targets' own; where they were computed from
    it, as by a softmax, it is the linear function of the output with the same gradient.

    Raises:
        OptionError: scores that are not computed from the output.
    """
    _check_classes(targets, output if scores is None else scores)
    if is_output(scores, output):
        return utility_of(targets, len(targets))
    values = [number_of(target, row) for target, row in zip(targets, _rows(scores, len(targets)), strict=True)]
    gradients = _gradients(values, float_tensors_of(output))
    if not gradients or any(len(gradient) != len(targets) for gradient in gradients.values()):
        raise OptionError(
            "scores are not the output of the model's last forward pass, and no gradient leads from them to it; "
            "expected what the model returned, or what was computed from it with gradients enabled"
        )

    def linear(changed: Any, _: Tensor, weights: Tensor) -> Tensor:
        leaves = float_tensors_of(changed)
        numbers = torch.cat([leaves[place].reshape(len(weights), -1) for place in gradients], 1)
        return (numbers * weights.to(numbers)).sum(1)

    rows = [gradient.reshape(len(targets), -1) for gradient in gradients.values()]
    return make_utility(linear, image_data=torch.cat(rows, 1))


def is_output(scores: Any, output: Any) -> bool:
    """Return whether scores are a pass's output; None stands for it."""
    if scores is None or scores is output:
        return True
    if not isinstance(scores, Tensor) or not isinstance(output, Tensor):
        return False
    forms = ((each.shape, each.dtype, each.device) for each in (scores, output))
    return len(set(forms)) == 1 and torch.equal(scores, output)


def _check_classes(targets: Sequence[OutputTarget], output: Any) -> None:
    """Refuse classes that an output (b, classes) has not."""
    classes = [target.category for target in targets if isinstance(target, ClassifierOutputTarget)]
    if not classes:
        return
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise OptionError(
            f"the model returns {form_of(output)}; with class_idx expected (b, classes): hand the scores in it over, "
            "or targets="
        )
    if max(classes) >= output.shape[1]:
        raise OptionError(f"class_idx has {max(classes)}; expected less than the model's {output.shape[1]} classes")


def _rows(scores: Any, count: int) -> Tensor | list[Any] | tuple[Any, ...]:
    if not has_row_of_each(scores, count):
        raise OptionError(f"scores are given as {form_of(scores)} for {count} images; expected one row for each")
    rows: Tensor | list[Any] | tuple[Any, ...] = scores
    return rows


def _gradients(values: Sequence[Tensor], leaves: Sequence[Tensor]) -> dict[int, Tensor]:
    """Return the gradients of the sum of values at tensors, by the places of those that they depend on."""
    places = [place for place, leaf in enumerate(leaves) if leaf.requires_grad]
    if not places:
        return {}
    total = torch.stack(list(values)).sum()
    if not total.requires_grad:
        return {}
    gradients = torch.autograd.grad(total, [leaves[place] for place in places], retain_graph=True, allow_unused=True)
    return {place: gradient for place, gradient in zip(places, gradients, strict=True) if gradient is not None}
