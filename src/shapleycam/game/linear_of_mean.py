"""The matrix of a head that is a mean over positions and one linear layer, read from autograd's graph.

`structure` proves that the head has this form. This file only reads the numbers of the layer.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from shapleycam.game.position_rules import RESHAPES
from shapleycam.tracing import Trace

_ONE_AFTER_ANOTHER = RESHAPES | {"CloneBackward0", "AliasBackward0"}
"""Operations that leave the numbers of a row, and their order, as they are."""
_PRODUCTS = {"AddmmBackward0", "MmBackward0"}


def matrix_of_means(trace: Trace) -> Float[Tensor, "k out"] | None:
    """Return the matrix M of a head whose output is means·M + constant, where means are the channels' means.

    It is None for other heads. The means must be taken of the activation itself.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.game.linear_of_mean import matrix_of_means
        >>> head = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *head)
        >>> trace = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8)).trace
        >>> torch.equal(matrix_of_means(trace), model[3].weight.T)
        True
    """
    output = trace.output
    product = _passed_by(output.grad_fn) if isinstance(output, Tensor) and output.dim() == 2 else None
    if product is None or product.name() not in _PRODUCTS or getattr(product, "_saved_alpha", 1) != 1:
        return None
    operands = [operand for operand, _ in product.next_functions if operand is not None]
    means = _passed_by(operands[0]) if len(operands) == 1 else None
    if means is None or means.name() != "MeanBackward1":
        return None
    leaf = _passed_by(means.next_functions[0][0])
    if leaf is None or getattr(leaf, "variable", None) is None:
        return None
    matrix: Tensor | None = getattr(product, "_saved_mat2", None)
    is_matrix = matrix is not None and matrix.shape[1:] == output.shape[1:]
    return matrix.detach() if matrix is not None and is_matrix else None


def _passed_by(node: Any) -> Any:
    """Return the first node, towards the activation, that changes the numbers or their order."""
    while node is not None and node.name() in _ONE_AFTER_ANOTHER:
        node = node.next_functions[0][0]
    return node
