"""Check that a user's function computes each row independently, so that coalitions do not influence each other."""

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
"""The factor by which the other row differs from the first image's output."""


def check_rows_apart(utility: Utility, output: Any, target: Int[Tensor, " b"]) -> None:
    """Refuse a function whose value for the first image changes if another row is before or after it in the batch.

    A batch contains many coalitions of an image. A function that reads only the first row, such as `output[0, target]`,
    or takes a mean over the rows, is right for a single image but wrong for coalitions.

    Not checked are: functions with data for each image, outputs that are not tensors, and functions that raise for a
    single row.

    Raises:
        OptionError: the value changes.

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
        batches = enumerate(([row, _SCALE * row], [_SCALE * row, row]))
        for (index, rows), other in product(batches, _classes_of_other_row(row, of_row)):
            classes = torch.cat([of_row, other] if index == 0 else [other, of_row])
            batch = _value(utility, torch.cat(rows), classes)
            if batch is not None and not outputs_equal(batch[index : index + 1], alone):
                raise OptionError(
                    f"utility {utility.name!r} gives an image {float(alone):.4g} alone and {float(batch[index]):.4g} "
                    f"with another row {'behind' if index == 0 else 'before'} it; expected a number of each row by "
                    "itself, as output.gather(1, target[:, None])[:, 0] is: read no row by its number, nor its "
                    "class, and take no mean over dimension 0"
                )


def _classes_of_other_row(row: Float[Tensor, "1 *numbers"], target: Int[Tensor, " 1"]) -> list[Int[Tensor, " 1"]]:
    """Return the target classes to test for the other row: the same (a coalition) and another one (another image)."""
    return [target, (target + 1) % row.shape[1]] if row.dim() == 2 and row.shape[1] > 1 else [target]


def _is_comparable(output: Any, images: int) -> bool:
    """Return whether an output is a floating-point tensor with one row for each image."""
    return isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 0 and len(output) == images


def _value(
    utility: Utility, rows: Float[Tensor, "r *numbers"], target: Int[Tensor, " r"]
) -> Float[Tensor, " r"] | None:
    """Return the utility of rows; None if the function raises for them."""
    try:
        return utility(rows, target, torch.zeros_like(target))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return None
