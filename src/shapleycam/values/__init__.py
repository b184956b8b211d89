"""Values of the players: Shapley values, exact, sampled or estimated from derivatives, and other solution concepts."""

from shapleycam.values._banzhaf import banzhaf
from shapleycam.values._exact import exact
from shapleycam.values._interactions import Interactions, interactions, sampled_interactions
from shapleycam.values._kernel import kernel
from shapleycam.values._owen import OwenValues, owen, owen_refined
from shapleycam.values._path import path
from shapleycam.values._permutation import permutation
from shapleycam.values._single import leave_one_out, single_inclusion
from shapleycam.values._taylor import taylor
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import PlayerValues, ShapleyValues

__all__ = [
    "EstimatorOptions",
    "Interactions",
    "OwenValues",
    "PlayerValues",
    "ShapleyValues",
    "banzhaf",
    "exact",
    "interactions",
    "kernel",
    "leave_one_out",
    "owen",
    "owen_refined",
    "path",
    "permutation",
    "sampled_interactions",
    "single_inclusion",
    "taylor",
]
