"""Maps of a factorisation: the direction in which a matrix of positions by channels varies most.

An eigenvector has no sign of its own, so that a rule must choose it. Here the map agrees with the matrix' own sum over
channels: for the activation that is where it is large, for activation times gradient what speaks for the class.
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
"""Rows up to which all eigenvectors are computed; of larger matrices only the one that is needed."""
_MOST_COMPARED = 2**14
"""Positions of which each two are compared at most: a matrix of them takes 2 GiB."""
_DEVIATIONS = 2
"""FEM's k: an activation is large from so many standard deviations above its channel's mean on."""
_TIE = 1e-6
_ROUNDING = 1e-12
"""Of a matrix' size: what varies less is rounding, and makes no map."""


def first_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return each position's place along the first principal component of A·D, as in EigenCAM and EigenGradCAM."""
    return _first_component(A * D).to(A)


def salient_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return the first principal component of A·|D|, its largest deviation made positive, as in Seg-Eigen-CAM."""
    projection = _first_component(A * D.abs())
    is_turned = -projection.amin(1, keepdim=True) > projection.amax(1, keepdim=True) * (1 + _TIE)
    return torch.where(is_turned, -projection, projection).to(A)


def kernel_component(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return the first component of A·D by the kernel tanh(x·y / k + 1) between positions, as in KPCA-CAM.

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
    return _turned(vector * largest.sqrt()[:, None], matrix).to(A)


def large_activations(A: Positions, D: Positions, _: Positions) -> Float[Tensor, "b n"]:
    """Return Σ_k w_k A_jk D_jk, w_k being the share of positions that are two deviations above the mean, as in FEM."""
    product = A * D
    threshold = product.mean(1, keepdim=True) + _DEVIATIONS * product.std(1, correction=0, keepdim=True)
    weights = (product > threshold).to(product).mean(1)
    return torch.bmm(product, weights[:, :, None]).squeeze(2)


def _first_component(matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Return X·v, X the matrix less its mean over positions and v the direction in which it varies most, in float64."""
    centred = _centred(matrix)
    if matrix.shape[1] <= matrix.shape[2]:
        largest, vector = _leading(centred @ centred.mT)
        projection = vector * largest.clamp(min=0).sqrt()[:, None]
    else:
        direction = _leading(centred.mT @ centred)[1]
        projection = torch.bmm(centred, direction[:, :, None]).squeeze(2)
    varies = projection.norm(dim=1, keepdim=True) > _ROUNDING * matrix.to(centred).flatten(1).norm(dim=1, keepdim=True)
    return _turned(torch.where(varies, projection, 0), matrix)


def _centred(matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n k"]:
    precise = matrix.to(accurate(matrix.device))
    return precise - precise.mean(1, keepdim=True)


def _turned(projection: Float[Tensor, "b n"], matrix: Float[Tensor, "b n k"]) -> Float[Tensor, "b n"]:
    """Return a projection with the sign by which it agrees with the matrix' sum over channels."""
    agreement = (projection * matrix.to(projection).sum(2)).sum(1, keepdim=True)
    return torch.where(agreement < 0, -projection, projection)


def _leading(matrix: Float[Tensor, "b m m"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b m"]]:
    """Return the largest eigenvalue of symmetric matrices, and its unit vector."""
    if matrix.shape[1] <= _DENSE:
        eigenvalues, vectors = torch.linalg.eigh(matrix)
        return eigenvalues[:, -1], vectors[:, :, -1]
    pairs = [_leading_of_large(one_matrix) for one_matrix in matrix]
    return torch.stack([value for value, _ in pairs]), torch.stack([vector for _, vector in pairs])


def _leading_of_large(matrix: Float[Tensor, "m m"]) -> tuple[Float[Tensor, ""], Float[Tensor, " m"]]:
    from scipy.sparse.linalg import eigsh  # takes as long to import as numpy, Pillow and polars together

    if not bool(matrix.any()):
        return matrix.new_zeros(()), matrix.new_zeros(len(matrix))
    # The same start each time: ARPACK's own is random, and a map must not differ from one call to the next.
    start = matrix.square().sum(1).sqrt().cpu().numpy()
    values, vectors = eigsh(matrix.cpu().numpy(), k=1, which="LA", v0=start)
    return matrix.new_tensor(values[0]), torch.from_numpy(vectors[:, 0]).to(matrix)
