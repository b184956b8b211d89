"""Maps from a factorisation: the first principal component of a matrix of positions by channels.

The sign of an eigenvector is arbitrary, so that a rule must choose it. Here the map correlates positively with the
matrix' sum over channels: for the activation it is positive where the activation is large, and for activation times
gradient where the position supports the class.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.precision import accurate

Positions: TypeAlias = Float[Tensor, "b n k"]

_DENSE = 512
"""Maximum number of rows for which all eigenvectors are computed; for larger matrices only the leading one is."""
_MOST_COMPARED = 2**14
"""Maximum number of positions whose pairs are compared: a matrix of them takes 2 GiB."""
_DEVIATIONS = 2
"""FEM's k: an activation is large if it is more than k standard deviations above its channel's mean."""
_TIE = 1e-6
_ROUNDING = 1e-12
"""Relative to the matrix' norm: a smaller component is rounding, and the map is zero."""


def first_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return the projection of each position on the first principal component of A·D, as in Eigen(Grad)CAM."""
    return _first_component(A * D).to(A)


def salient_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return the projections on the first principal component of A·|D|, the largest one positive: Seg-Eigen-CAM."""
    projection = _first_component(A * D.abs())
    is_negative = -projection.amin(1, keepdim=True) > projection.amax(1, keepdim=True) * (1 + _TIE)
    return torch.where(is_negative, -projection, projection).to(A)


def kernel_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return the first kernel principal component of A·D, with the kernel tanh(x·y / k + 1), as in KPCA-CAM.

    Raises:
        OptionError: more than 16,384 positions, whose comparisons would not fit into memory.
    """
    matrix = A * D
    count = matrix.shape[1]
    if count > _MOST_COMPARED:
        raise OptionError(
            f"kpcacam compares each two of {count:,} positions, a matrix of {count**2 * 8 / 2**30:,.0f} GiB an image; "
            f"expected at most {_MOST_COMPARED:,} positions: choose a later layer, or method 'eigencam'"
        )
    centred = _centred(matrix)
    similarity = torch.tanh(centred @ centred.mT / matrix.shape[2] + 1)
    similarity = similarity - similarity.mean(1, keepdim=True)
    similarity = similarity - similarity.mean(2, keepdim=True)
    largest, vector = _leading(similarity)
    largest = torch.where(largest > _ROUNDING * len(vector[0]), largest, 0)
    return _with_sign(vector * largest.sqrt()[:, None], matrix).to(A)


def large_activations(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k w_k A_jk D_jk, as in FEM; w_k is the share of positions with a large A_jk D_jk in channel k."""
    product = A * D
    threshold = product.mean(1, keepdim=True) + _DEVIATIONS * product.std(1, correction=0, keepdim=True)
    weights = (product > threshold).to(product).mean(1)
    return torch.bmm(product, weights[:, :, None]).squeeze(2)


def _first_component(matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Return X·v in float64, with X the matrix less its mean over positions and v its first principal direction."""
    centred = _centred(matrix)
    if matrix.shape[1] <= matrix.shape[2]:
        largest, vector = _leading(centred @ centred.mT)
        projection = vector * largest.clamp(min=0).sqrt()[:, None]
    else:
        direction = _leading(centred.mT @ centred)[1]
        projection = torch.bmm(centred, direction[:, :, None]).squeeze(2)
    varies = projection.norm(dim=1, keepdim=True) > _ROUNDING * matrix.to(centred).flatten(1).norm(dim=1, keepdim=True)
    return _with_sign(torch.where(varies, projection, 0), matrix)


def _centred(matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n k"]:
    precise = matrix.to(accurate(matrix.device))
    return precise - precise.mean(1, keepdim=True)


def _with_sign(projection: Float[Tensor, "b n"], matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Return a projection with the sign that makes its product with the matrix' sum over channels positive."""
    agreement = (projection * matrix.to(projection).sum(2)).sum(1, keepdim=True)
    return torch.where(agreement < 0, -projection, projection)


def _leading(matrix: Float[Tensor, "b m m"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b m"]]:
    """Return the largest eigenvalue of each symmetric matrix, and its unit eigenvector."""
    if matrix.shape[1] <= _DENSE:
        eigenvalues, vectors = torch.linalg.eigh(matrix)
        return eigenvalues[:, -1], vectors[:, :, -1]
    pairs = [_leading_of_large(one_matrix) for one_matrix in matrix]
    return torch.stack([value for value, _ in pairs]), torch.stack([vector for _, vector in pairs])


def _leading_of_large(matrix: Float[Tensor, "m m"]) -> tuple[Float[Tensor, ""], Float[Tensor, " m"]]:
    from scipy.sparse.linalg import eigsh  # imported here because it takes as long as numpy, Pillow and polars together

    if not bool(matrix.any()):
        return matrix.new_zeros(()), matrix.new_zeros(len(matrix))
    # A fixed start vector: ARPACK's default is random, and a map must not differ between calls.
    start = matrix.square().sum(1).sqrt().cpu().numpy()
    values, vectors = eigsh(matrix.cpu().numpy(), k=1, which="LA", v0=start)
    return matrix.new_tensor(values[0]), torch.from_numpy(vectors[:, 0]).to(matrix)
