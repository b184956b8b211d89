"""Results of the functions that compute values of players."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.intervals import student_quantile


@dataclass(frozen=True)
class PlayerValues:
    """One value for each player, in units of the utility.

    Attributes:
        values: (b, n), in units of the utility.
        stderr: (b, n), their standard errors; None if they are not sampled.
        evaluations: (b,), the number of coalitions for each image; for path and Taylor estimates the number of
            derivatives. Without a shortcut a coalition takes `Game.runs_per_coalition` runs of the head: one, or with
            removal "samples" one for each photograph. `runs=` of estimators limits the runs.
        samples: (b,), the number of independent samples, or streams of samples, that `stderr` is computed from; less
            for single orders, which have heavy tails. None without `stderr`.
        nodes: (b,), the number of gradients along the path; None for other estimators.
        notes: for each image, sentences on how it was estimated and what may be unreliable; or empty.

    Examples:
        >>> import torch
        >>> from shapleycam.values import PlayerValues
        >>> values, stderr = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.3, 0.4]])
        >>> shares = PlayerValues(values, stderr, evaluations=torch.tensor([16]), samples=torch.tensor([8]))
        >>> shares.uncertainty, shares.interval()[0].round(decimals=2)
        (tensor([0.1000]), tensor([[2.2900, 3.0500]]))
    """

    values: Float[Tensor, "b n"]
    stderr: Float[Tensor, "b n"] | None
    evaluations: Int[Tensor, " b"]
    samples: Int[Tensor, " b"] | None = None
    nodes: Int[Tensor, " b"] | None = None
    notes: tuple[tuple[str, ...], ...] = ()

    @property
    def uncertainty(self) -> Float[Tensor, " b"]:
        """Return ‖stderr‖ / ‖values‖ for each image; zero for values without standard errors.

        It is infinite for values of zero with a standard error, and NaN for values from a single sample.
        """
        if self.stderr is None:
            return self.values.new_zeros(len(self.values))
        size, error = self.values.norm(dim=1), self.stderr.norm(dim=1)
        return torch.where((size == 0) & (error == 0), 0.0, error / size)

    def interval(self, confidence: float = 0.95) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """Return the lower and upper end of each value's confidence interval, by Student's t.

        Raises:
            OptionError: a confidence outside (0, 1), or values without a standard error.
        """
        if not 0 < confidence < 1:
            raise OptionError(f"confidence is {confidence}; expected a number between 0 and 1, such as 0.95")
        if self.stderr is None or self.samples is None:
            raise OptionError("these values have no standard error; use values.permutation for an interval")
        quantiles = [student_quantile(count, confidence) for count in self.samples.tolist()]
        half = self.stderr * self.stderr.new_tensor(quantiles)[:, None]
        return self.values - half, self.values + half


@dataclass(frozen=True)
class ShapleyValues(PlayerValues):
    """Each player's share of v(N), in units of the utility; attributes as of `PlayerValues`.

    Examples:
        >>> import torch
        >>> from shapleycam.values import ShapleyValues
        >>> shares = ShapleyValues(torch.tensor([[3.0, 4.0]]), stderr=None, evaluations=torch.tensor([4]))
        >>> shares.uncertainty
        tensor([0.])
    """
