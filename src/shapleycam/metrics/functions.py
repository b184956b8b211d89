"""The function of each metric in the table: from the quantities that it needs to one number for each image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from shapleycam.metrics import confidence, maps, stability
from shapleycam.values import distance

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "average_drop": confidence.average_drop,
    "coherency": maps.coherency,
    "complexity": maps.complexity,
    "adcc": confidence.adcc,
    "increase_in_confidence": confidence.increase_in_confidence,
    "average_drop_in_deletion": confidence.average_drop_in_deletion,
    "insertion": confidence.insertion,
    "deletion": confidence.deletion,
    "road": confidence.road,
    "arcc": confidence.arcc,
    "pointing_game": maps.pointing_game,
    "energy_pointing": maps.energy_pointing,
    "max_sensitivity": stability.max_sensitivity,
    "randomisation_spearman": stability.randomisation_spearman,
    "randomisation_ssim": stability.randomisation_ssim,
    "shapley_error": distance.relative_error,
    "shapley_spearman": distance.rank_correlation,
    "efficiency_gap": distance.efficiency_gap,
}
"""By the metric's name; their arguments are the row's `needs`, in order."""
