"""Proof that a user's function gives each row its own number: the value of a coalition depends on no other one."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.tracing.agreement import outputs_equal
from shapleycam.utilities.table import UTILITIES
from shapleycam.utilities.utility import Utility

_SCALE = 0.5
"""Of the first image's output, what another row beside it holds."""


def check_rows_apart(utility: Utility, output: Any, target: Int[Tensor, " b"]) -> None:
    """Refuse a function that gives the first image another number where another row stands before or behind it.

    A batch holds many coalitions of an image: a function that reads the first row alone, as `output[0, target]` does,
    or takes a mean over the rows, is right for a single image, and wrong for each coalition. Functions with data of
    each image, and outputs that are no tensor, are not compared; neither is what cannot be computed of a single row.

    Raises:
        OptionError: it does.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import resolve_utility
        >>> from shapleycam.utilities.row_check import check_rows_apart
        >>> logits, target = torch.tensor([[0.5, 2.0]]), torch.tensor([1])
        >>> check_rows_apart(resolve_utility(lambda output, target: output.amax(1)), logits, target)
    """
    has_data = utility.image_data is not None or utility.make_image_data is not None
    if has_data or UTILITIES.get(utility.name) is utility or not _is_comparable(output, len(target)):
        return
    with torch.no_grad():
        row, of_row = output[:1].detach(), target[:1]
        alone = _value(utility, row, of_row)
        if alone is None or not bool(torch.isfinite(alone).all()):
            return
        both_ways = enumerate(([row, _SCALE * row], [_SCALE * row, row]))
        for (place, rows), other in product(both_ways, _classes_beside(row, of_row)):
            classes = torch.cat([of_row, other] if place == 0 else [other, of_row])
            among = _value(utility, torch.cat(rows), classes)
            if among is not None and not outputs_equal(among[place : place + 1], alone):
                raise OptionError(
                    f"utility {utility.name!r} gives an image {float(alone):.4g} alone and {float(among[place]):.4g} "
                    f"with another row {'behind' if place == 0 else 'before'} it; expected a number of each row by "
                    "itself, as output.gather(1, target[:, None])[:, 0] is: read no row by its number, nor its "
                    "class, and take no mean over dimension 0"
                )


def _classes_beside(row: Float[Tensor, "1 *numbers"], target: Int[Tensor, " 1"]) -> list[Int[Tensor, " 1"]]:
    """Return the classes that another row may have: the same, as coalitions of an image, and that of another image."""
    return [target, (target + 1) % row.shape[1]] if row.dim() == 2 and row.shape[1] > 1 else [target]


def _is_comparable(output: Any, images: int) -> bool:
    """Return whether an output is a tensor of a row for each image."""
    return isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 0 and len(output) == images


def _value(
    utility: Utility, rows: Float[Tensor, "r *numbers"], target: Int[Tensor, " r"]
) -> Float[Tensor, " r"] | None:
    """Return the utility of some rows; None where the function cannot compute it for so many."""
    try:
        return utility(rows, target, torch.zeros_like(target))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return None
