"""`contrast_with_similar`: the question why this class, and not the classes with similar scores.

Source: Zhang et al. 2025, arXiv:2501.11309 (Finer-CAM).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities.utility import Labels, Utility, as_logits


def contrast_with_similar(count: int = 3) -> Utility:
    """Return the utility of the target against similar classes: z_c - mean z_d over the similar classes d.

    The similar classes are the `count` other classes whose scores on the whole image are nearest to the target's score,
    or all others if the model has fewer. They are the same for all coalitions.

    Args:
        count: the number of similar classes.

    Raises:
        OptionError: the count is below 1.
        TargetError: when the utility is used: no other class has a finite score.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import contrast_with_similar
        >>> logits, target = torch.tensor([[9.0, 8.0, 1.0, 6.0]]), torch.tensor([0])
        >>> contrast_with_similar(2).with_image_data(logits, target, None)(logits, target)
        tensor([2.])
    """
    if count < 1:
        raise OptionError(f"{count} similar classes were asked for; expected 1 or more")

    def find_similar(output: Tensor, target: Tensor, _: Labels) -> Tensor:
        return similar_classes(as_logits(output).detach(), target, count)

    return Utility(
        f"logit against the {count} nearest",
        _difference,
        "z_c - mean z_d over similar d",
        "why the class and not those most like it",
        reads="scores",
        make_image_data=find_similar,
    )


def similar_classes(z: Float[Tensor, "b classes"], target: Int[Tensor, " b"], count: int) -> Float[Tensor, "b classes"]:
    """Return weights for the mean over the `count` classes with scores nearest to the target's; 0 for other classes.

    Raises:
        TargetError: no other class has a finite score.
    """
    distance = (z - z.gather(1, target[:, None])).abs().scatter(1, target[:, None], torch.inf)
    nearest = distance.nan_to_num(nan=torch.inf, posinf=torch.inf).topk(min(count, z.shape[1]), largest=False)
    is_similar = torch.isfinite(nearest.values).to(z)
    if not bool(is_similar.any(1).all()):
        raise TargetError("no other class has a finite score to be compared with; expected a model of several classes")
    weights = is_similar / is_similar.sum(1, keepdim=True)
    return torch.zeros_like(z).scatter(1, nearest.indices, weights)


def _difference(output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    z = as_logits(output)
    others = torch.where(weights > 0, z, 0)
    difference = z.gather(1, target[:, None])[:, 0] - (others * weights).sum(1)
    is_single = output.numel() == len(output)
    return difference / 2 if is_single else difference  # the scores for a single logit z are -z and z: half of 2z
