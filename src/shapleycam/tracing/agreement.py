"""Compare the outputs of two runs: as a whole, and the rows of a batch with runs of single rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from shapleycam.tracing.nested import tensors_of

_ROUNDINGS = 100
"""Tolerance between two runs of the same operations: this multiple of the epsilon times the largest number."""
_OTHER_BATCH = 1e-3
"""Tolerance between a row in a batch and in a run of its own, relative to the largest number; kernels may differ."""


def outputs_equal(output: Any, expected: Any) -> bool:
    """Return whether two outputs of the same operations are equal, up to rounding of their precision."""
    if not isinstance(output, type(expected)):
        return False
    tensors, expected_tensors = tensors_of(output), tensors_of(expected)
    return len(tensors) == len(expected_tensors) and all(map(_equal_to_rounding, tensors, expected_tensors))


def first_row_equals(output: Any, rows: int, alone: Any) -> bool:
    """Return whether the first row of an output equals the output of a run of this row only, up to rounding.

    It is False if a tensor in the output does not have `rows` rows.
    """
    tensors = tensors_of(output)
    if not all(tensor.dim() and len(tensor) == rows for tensor in tensors):
        return False
    return outputs_equal([tensor[:1] for tensor in tensors], tensors_of(alone))


def row_agrees(output: Any, row: int, rows: int, alone: Any) -> bool:
    """Return whether row `row` of an output agrees with the output of a run of this row only.

    They may differ as much as different kernels do. Tensors without one row for each image (detections, for example)
    are not compared.
    """
    pairs = zip(tensors_of(output), tensors_of(alone), strict=False)
    comparable = ((b, s) for b, s in pairs if b.dim() and len(b) == rows and s.shape == (1, *b.shape[1:]))
    return all(tensors_agree(batch[row : row + 1], single) for batch, single in comparable)


def rows_agree(output: Any, alone: Sequence[Any]) -> bool:
    """Return whether the rows of an output agree with the outputs of runs of single rows.

    They may differ as much as different kernels do, relative to the largest number of all rows. Tensors without one row
    for each image are not compared.
    """
    count = len(alone)
    for batch, *singles in zip(tensors_of(output), *map(tensors_of, alone), strict=False):
        shape = (1, *batch.shape[1:])
        is_by_row = batch.dim() and len(batch) == count and all(single.shape == shape for single in singles)
        if is_by_row and not tensors_agree(batch, torch.cat(singles)):
            return False
    return True


def tensors_agree(values: Tensor, expected: Tensor) -> bool:
    """Return whether two tensors are equal up to the differences between kernels for different batch sizes."""
    if values.shape != expected.shape:
        return False
    if not expected.is_floating_point() or not expected.numel():
        return torch.equal(values, expected)
    numbers, expected_numbers = values.detach().double(), expected.detach().double()
    finite = torch.isfinite(expected_numbers)
    if not torch.equal(finite, torch.isfinite(numbers)):
        return False
    largest = expected_numbers[finite].abs().max() if bool(finite.any()) else expected_numbers.new_zeros(())
    return bool(((numbers - expected_numbers)[finite].abs() <= _OTHER_BATCH * largest).all())


def _equal_to_rounding(values: Tensor, expected: Tensor) -> bool:
    if values.shape != expected.shape:
        return False
    if not expected.numel() or not expected.is_floating_point():
        return torch.equal(values, expected)
    infinite = torch.isinf(expected)  # masks among logits
    if not torch.equal(values[infinite], expected[infinite]):
        return False
    finite = expected[~infinite]
    tolerance = finite.abs().max() * _ROUNDINGS * torch.finfo(expected.dtype).eps if finite.numel() else 0
    return bool(((values[~infinite] - finite).abs() <= tolerance).all())
