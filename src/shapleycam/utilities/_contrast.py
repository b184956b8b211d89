"""Questions about several classes: `contrast` (why this class and not that one) and `any_of` (why one of these)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.models.labels import class_index
from shapleycam.utilities.table import class_function, resolve_utility
from shapleycam.utilities.utility import Function, Labels, Utility, as_logits


def contrast(other: int | str, utility: str | Utility | Function = "logit") -> Utility:
    """Return the utility of the target against another class: a function of z = z_c - z_other.

    The other classes do not matter. With "logit" the utility is z itself, the log-odds log p_c / p_other;
    "log_probability" is log σ(z), "probability" is σ(z), and "rest" is z + log σ(z).

    Args:
        other: the number or label of the other class.
        utility: the function of z.

    Raises:
        OptionError: the utility is unknown.
        TargetError: when the utility is used: the other class is unknown, is the target, or is left out by the model.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import contrast
        >>> logits, target = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([1])
        >>> contrast("dog").with_image_data(logits, target, ["dog", "cat", "fox"])(logits, target)
        tensor([2.])
    """
    function_of_classes, name = class_function(utility), resolve_utility(utility).name

    def function(output: Tensor, target: Tensor, others: Tensor) -> Tensor:
        z = _softmax_logits(output)
        difference = z.gather(1, target[:, None]) - z.gather(1, others[:, None])
        return function_of_classes(difference, torch.ones_like(target))  # a single logit: class 1 is yes

    def find_others(output: Tensor, target: Tensor, labels: Labels) -> Tensor:
        index = class_index(other, labels, as_logits(output).shape[1])
        if bool((target == index).any()):
            raise TargetError(f"class {other} was to be explained against itself; give another target or other class")
        if bool((as_logits(output)[:, index] == -torch.inf).any()):
            raise TargetError(f"class {other} is left out by the model (its logit is -infinity); give another one")
        return torch.full_like(target, index)

    return Utility(
        f"{name} against {other}",
        function,
        f"{name} of z_c - z_B, B = {other}",
        f"why the class and not {other}",
        reads="scores",
        make_image_data=find_others,
    )


def any_of(classes: Sequence[int | str], utility: str | Utility | Function = "rest") -> Utility:
    """Return the utility of a set S of classes that counts as one class, with the logit z_S = log Σ_{c in S} exp z_c.

    The probability of S is the sum of the probabilities of its classes. The default target is the most probable one.

    Args:
        classes: the numbers or labels of the classes.
        utility: the function of S.

    Raises:
        OptionError: there are no classes, or the utility is unknown.
        TargetError: when the utility is used: a class is unknown, the set contains all classes of the model, or the
            target is not in the set.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import any_of
        >>> logits, target = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([1])
        >>> any_of([0, 1], "probability").with_image_data(logits, target, None)(logits, target)
        tensor([0.5000])
    """
    if isinstance(classes, str) or not classes:
        raise OptionError(f"classes={classes!r}; expected a list of class numbers or labels")
    function_of_classes, resolved = class_function(utility), resolve_utility(utility)
    listed = ", ".join(map(str, classes))

    def function(output: Tensor, target: Tensor, members: Tensor) -> Tensor:
        if _is_single(output):
            return function_of_classes(output, target)
        z = as_logits(output)
        together = z.masked_fill(~members, -torch.inf).logsumexp(1, keepdim=True)
        others = z.masked_fill(members, -torch.inf)
        return function_of_classes(torch.cat([together, others], 1), torch.zeros_like(target))

    def member_mask(output: Tensor, labels: Labels) -> Tensor:
        z = as_logits(output)
        mask = torch.zeros(1, z.shape[1], dtype=torch.bool, device=z.device)
        mask[0, [class_index(member, labels, z.shape[1]) for member in classes]] = True
        if bool(mask.all()):
            raise TargetError(f"classes {listed} are all that the model has; expected some of them")
        return mask

    def find_members(output: Tensor, target: Tensor, labels: Labels) -> Tensor:
        mask = member_mask(output, labels)
        if not bool(mask[0, target].all()):
            raise TargetError(f"a target outside the classes {listed} was given; leave it out, or give one of them")
        return mask

    def scores_of_members(output: Tensor, labels: Labels) -> Tensor:
        return as_logits(output).masked_fill(~member_mask(output, labels), -torch.inf)

    return Utility(
        f"{resolved.name} of any of {listed}",
        function,
        f"{resolved.name} of log Σ_S exp z",
        f"why one of {listed}",
        reads="scores",
        needs_logits=resolved.needs_logits,
        multi_label=resolved.multi_label,
        scores=scores_of_members,
        make_image_data=find_members,
    )


def _softmax_logits(output: Tensor) -> Tensor:
    """Return class scores whose softmax gives the model's probabilities; for a single logit z, -z/2 and z/2."""
    z = as_logits(output)
    return z / 2 if _is_single(output) else z


def _is_single(output: Tensor) -> bool:
    """Return whether the output is a single logit for each image."""
    return output.numel() == len(output)
