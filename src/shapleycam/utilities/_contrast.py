"""Questions about several classes: why this one and not that, and why one of these."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.models.labels import class_index
from shapleycam.utilities.table import class_function, resolve_utility
from shapleycam.utilities.utility import Function, Labels, Utility, as_logits


def contrast(other: int | str, utility: str | Utility | Function = "logit") -> Utility:
    """Why the target and not `other`, a class number or label: of the two alone, z = z_A - z_B decides.

    With "logit" the utility is z, the difference of the scores and the log-odds log p_A / p_B; "log_probability" is
    log σ(z), "probability" σ(z), "rest" their sum z + log σ(z).

    Raises:
        OptionError: an unknown utility; TargetError, when it is asked: an unknown class.
    """
    of_one, name = class_function(utility), resolve_utility(utility).name

    def function(output: Tensor, target: Tensor, others: Tensor) -> Tensor:
        z = _of_softmax(output)
        difference = z.gather(1, target[:, None]) - z.gather(1, others[:, None])
        return of_one(difference, torch.ones_like(target))

    def others(output: Tensor, target: Tensor, labels: Labels) -> Tensor:
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
        make_image_data=others,
    )


def any_of(classes: Sequence[int | str], utility: str | Utility | Function = "rest") -> Utility:
    """Why one of `classes`, numbers or labels, taken together as one class with z_S = log Σ_{c in S} exp z_c, so that
    its probability is the sum of theirs. The target is the likeliest of them.

    Raises:
        OptionError: no classes, or an unknown utility; TargetError, when it is asked: an unknown class.
    """
    if isinstance(classes, str) or not classes:
        raise OptionError(f"classes={classes!r}; expected a list of class numbers or labels")
    of_one, name = class_function(utility), resolve_utility(utility).name
    named = ", ".join(map(str, classes))

    def function(output: Tensor, target: Tensor, members: Tensor) -> Tensor:
        if _is_single(output):
            return of_one(output, target)
        z = as_logits(output)
        together = z.masked_fill(~members, -torch.inf).logsumexp(1, keepdim=True)
        return of_one(torch.cat([together, z.masked_fill(members, -torch.inf)], 1), torch.zeros_like(target))

    def chosen(output: Tensor, labels: Labels) -> Tensor:
        z = as_logits(output)
        found = torch.zeros(1, z.shape[1], dtype=torch.bool, device=z.device)
        found[0, [class_index(one, labels, z.shape[1]) for one in classes]] = True
        if bool(found.all()):
            raise TargetError(f"classes {named} are all that the model has; expected some of them")
        return found

    def members(output: Tensor, target: Tensor, labels: Labels) -> Tensor:
        found = chosen(output, labels)
        if not bool(found[0, target].all()):
            raise TargetError(f"a target outside the classes {named} was given; leave it out, or give one of them")
        return found

    def best(output: Tensor, labels: Labels) -> Tensor:
        return as_logits(output).masked_fill(~chosen(output, labels), -torch.inf)

    return Utility(
        f"{name} of any of {named}",
        function,
        f"{name} of log Σ_S exp z",
        f"why one of {named}",
        reads="scores",
        needs_logits=resolve_utility(utility).needs_logits,
        multi_label=resolve_utility(utility).multi_label,
        scores=best,
        make_image_data=members,
    )


def _of_softmax(output: Tensor) -> Tensor:
    """Class scores whose softmax is right; of one logit z they are -z/2 and z/2."""
    z = as_logits(output)
    return z / 2 if _is_single(output) else z


def _is_single(output: Tensor) -> bool:
    return output.numel() == len(output)
