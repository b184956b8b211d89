"""Each player's Shapley value: exact, sampled with a standard error, or estimated from derivatives."""

from shapleycam.values.exact import exact
from shapleycam.values.interactions import Interactions, interactions, sampled_interactions
from shapleycam.values.kernel import kernel
from shapleycam.values.path import path
from shapleycam.values.permutation import permutation
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.taylor import taylor

__all__ = [
    "Interactions",
    "ShapleyValues",
    "exact",
    "interactions",
    "kernel",
    "path",
    "permutation",
    "sampled_interactions",
    "taylor",
]
