"""Methods of solution concepts of the game of positions."""

from __future__ import annotations

from shapleycam.cams.bases import EXACT, SAMPLED
from shapleycam.cams.method import Method
from shapleycam.cams.other_bases import ALONE, BANZHAF, LEFT_OUT, OWEN

SOLUTION_CONCEPTS = (
    Method(
        "sampledshapley",
        SAMPLED,
        None,
        "Castro 2009, permutation sampling",
        "Shapley values sampled over random orders, with standard errors",
    ),
    Method(
        "exactshapley",
        EXACT,
        None,
        "Shapley 1953, all coalitions",
        "exact Shapley values: for at most 20 players, and of logits behind a head that is a sum",
    ),
    Method(
        "leaveoneout",
        LEFT_OUT,
        None,
        "single removal, as in occlusion (Zeiler & Fergus 2014, arXiv:1311.2901)",
        "what is lost when a position alone is removed, v(N) - v(N without it)",
        in_all=False,
    ),
    Method(
        "reciprocam",
        ALONE,
        None,
        "Byun & Lee 2022, arXiv:2209.14074",
        "what a position is worth alone: single inclusion; the paper's with utility probability",
        in_all=False,
    ),
    Method(
        "banzhaf",
        BANZHAF,
        None,
        "Banzhaf 1965; Wang & Jia 2023, arXiv:2205.15466",
        "Banzhaf values: the mean contribution over all coalitions alike; sampled beyond 12 players",
        in_all=False,
    ),
    Method(
        "owen",
        OWEN,
        None,
        "Owen 1977; of several levels Winter 1989; as shap's PartitionExplainer",
        "Owen values: Shapley values in nested groups of places, the coarse ones first; with standard errors",
        in_all=False,
    ),
)
