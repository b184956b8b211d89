"""Each player's Shapley value: exact, sampled with a standard error, or estimated from derivatives."""

from shapleycam.values._exact import exact
from shapleycam.values._interactions import Interactions, interactions, sampled_interactions
from shapleycam.values._kernel import kernel
from shapleycam.values._path import path
from shapleycam.values._permutation import permutation
from shapleycam.values._taylor import taylor
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import ShapleyValues

__all__ = [
    "EstimatorOptions",
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
