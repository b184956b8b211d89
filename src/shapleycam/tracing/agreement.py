"""Whether the outputs of two runs agree: as a whole, and one row of a batch with the same row alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from shapleycam.tracing.nested import tensors_of

_ROUNDINGS = 100
"""How many roundings of its largest number two runs of the same operations may differ by."""
_OTHER_BATCH = 1e-3
"""Share of the largest number by which a row may differ alone and in a batch, where other kernels compute it."""


def outputs_equal(output: Any, expected: Any) -> bool:
    """Return whether two outputs of the same operations are equal, up to rounding of their precision."""
    if not isinstance(output, type(expected)):
        return False
    tensors, expected_tensors = tensors_of(output), tensors_of(expected)
    return len(tensors) == len(expected_tensors) and all(map(_equal_to_rounding, tensors, expected_tensors))


def first_row_equals(output: Any, rows: int, alone: Any) -> bool:
    """Return whether the first row of an output of `rows` rows is the output of that row alone, up to rounding.

    It is not, where a tensor in the output has no such rows.
    """
    tensors = tensors_of(output)
    if not all(tensor.dim() and len(tensor) == rows for tensor in tensors):
        return False
    return outputs_equal([tensor[:1] for tensor in tensors], tensors_of(alone))


def row_agrees(output: Any, row: int, rows: int, alone: Any) -> bool:
    """Return whether row `row` of an output of `rows` rows is the output of that row alone, as far as kernels allow.

    Outputs that are no tensors with a row for each image, detections for example, are not compared.
    """
    pairs = zip(tensors_of(output), tensors_of(alone), strict=False)
    comparable = ((b, s) for b, s in pairs if b.dim() and len(b) == rows and s.shape == (1, *b.shape[1:]))
    return all(tensors_agree(batch[row : row + 1], single) for batch, single in comparable)


def rows_agree(output: Any, alone: Sequence[Any]) -> bool:
    """Return whether the rows of an output are those of each row alone, as far as kernels allow.

    Differences are measured by the largest number of all rows. What has no row for each image is not compared.
    """
    count = len(alone)
    for batch, *singles in zip(tensors_of(output), *map(tensors_of, alone), strict=False):
        shape = (1, *batch.shape[1:])
        is_by_row = batch.dim() and len(batch) == count and all(single.shape == shape for single in singles)
        if is_by_row and not tensors_agree(batch, torch.cat(singles)):
            return False
    return True


def tensors_agree(values: Tensor, expected: Tensor) -> bool:
    """Return whether two tensors are equal up to the differences between kernels for other batch sizes."""
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
