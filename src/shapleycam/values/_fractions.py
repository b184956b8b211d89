"""Shapley values of fractions of sums over players, which attention computes: by quadrature, without sampling.

Let each player be present independently with probability p. Write 1 / D as the integral of exp(-s D) over s > 0. Then
the expectation of (a + Σ a_j) / (d + Σ d_j) over the present players has a closed form, because the expectation of the
exponential is a product over players. A player's Shapley value is the integral over p of the difference between the
expectations with and without the player (Owen, Multilinear extensions of games, 1972). Prefix tokens, which change the
fraction itself, are present with the same probability.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_NODES = 16
"""Nodes of the integral over p."""
_STEP = 0.6
"""Distance of the nodes of the integral over log s; the error is about exp(-π² / step)."""
_LEFT, _RIGHT = 1e-3, 24.0
"""Limits of the integral over s: s D for the largest D at the lower limit, and for the smallest D at the upper one."""
_TOLERANCE = 1e-5
"""Maximum error of the values' sum, relative to their norm."""


def fraction_values(
    numerator: Float[Tensor, "states pairs"],
    denominator: Float[Tensor, "states pairs"],
    numerators: Float[Tensor, "states n pairs"],
    denominators: Float[Tensor, "states n pairs"],
    constants: Float[Tensor, " states"],
) -> Float[Tensor, " n"] | None:
    """Return the Shapley values of c(S) = constant + Σ_pairs (a + Σ_{j ∈ S} a_j) / (d + Σ_{j ∈ S} d_j).

    With two states, the first is for coalitions with the last player, the second for coalitions without it.

    Args:
        numerator: a, by state and pair.
        denominator: d, positive; the denominator of each coalition must be positive too.
        numerators: a_j.
        denominators: d_j.
        constants: the constant, by state.

    Returns:
        The values, in float64, whose sum is c(N) - c(∅); None if the quadrature misses this sum.

    Examples:
        >>> import torch
        >>> from shapleycam.values._fractions import fraction_values
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> a = torch.tensor([[[2.0], [0.0]]], dtype=torch.float64)
        >>> fraction_values(one, one, a, torch.ones_like(a), one[0])  # c is 2, 5/2, 3/2, 2 for {}, {0}, {1}, {0, 1}
        tensor([ 0.5000, -0.5000], dtype=torch.float64)
    """
    has_prefix = len(constants) == 2
    if has_prefix:  # in the first state the last player is always present
        present = (numerator[0] + numerators[0, -1], denominator[0] + denominators[0, -1])
        numerator, denominator = (
            torch.stack([each, rest[1]]) for each, rest in zip(present, (numerator, denominator), strict=True)
        )
        numerators, denominators = numerators[:, :-1], denominators[:, :-1]
    if not bool((denominator + denominators.clamp(max=0).sum(1) > 0).all()):
        return None  # because of rounding the smallest sums are not positive
    nodes, weights = (torch.from_numpy(part).to(numerator) for part in np.polynomial.legendre.leggauss(_NODES))
    values = numerators.new_zeros(numerators.shape[1] + has_prefix)
    of_states = [_Sums(*sums) for sums in zip(numerator, denominator, numerators, denominators, strict=True)]
    for p, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        states = [sums.expected(p) for sums in of_states]
        if not has_prefix:
            values += weight * states[0][1]
            continue
        (with_prefix, gained), (without, gained_without) = states
        values[:-1] += weight * (p * gained + (1 - p) * gained_without)
        values[-1] += weight * (constants[0] + with_prefix - constants[1] - without)
    full = constants[0] + ((numerator[0] + numerators[0].sum(0)) / (denominator[0] + denominators[0].sum(0))).sum()
    empty = constants[-1] + (numerator[-1] / denominator[-1]).sum()
    missing = full - empty - values.sum()
    return values + missing / len(values) if bool(missing.abs() <= _TOLERANCE * values.norm()) else None


class _Sums:
    """The fractions in one state, with the exponentials of their denominators at all nodes s."""

    def __init__(
        self,
        numerator: Float[Tensor, " pairs"],
        denominator: Float[Tensor, " pairs"],
        numerators: Float[Tensor, "n pairs"],
        denominators: Float[Tensor, "n pairs"],
    ) -> None:
        # For each player one of the two exponentials (present, absent) is 1 and the other smaller, so none overflows.
        least = denominators.clamp(max=0)
        smallest, largest = denominator + least.sum(0), denominator + denominators.clamp(min=0).sum(0)
        first = log(_LEFT) - float(largest.log().max())
        last = log(_RIGHT) - float(smallest.log().min())
        logs = torch.arange(first, last + _STEP, _STEP, dtype=numerator.dtype, device=numerator.device)
        s = logs.exp()[:, None, None]
        self._widths = s[:, 0] * _STEP
        # All nodes below the first one together: the integrand hardly changes there.
        self._widths[0] += s[0, 0] * _STEP / (exp(_STEP) - 1)
        self._numerator, self._numerators = numerator, numerators
        self._smallest = s[:, 0] * smallest
        self._present, self._absent = (s * (least - denominators)).exp(), (s * least).exp()

    def expected(self, p: Float[Tensor, ""]) -> tuple[Float[Tensor, ""], Float[Tensor, " n"]]:
        """Return the expectation of the sum of fractions, and its difference with and without each player."""
        present, absent, numerators = self._present, self._absent, self._numerators
        factors = (1 - p) * absent + p * present
        product = (factors.log().sum(1) - self._smallest).exp() * self._widths  # (nodes, pairs)
        of_players = p * numerators * present / factors
        total = self._numerator + of_players.sum(1)
        gained = (
            product[:, None] / factors * ((present - absent) * (total[:, None] - of_players) + present * numerators)
        )
        return (product * total).sum(), gained.sum((0, 2))
