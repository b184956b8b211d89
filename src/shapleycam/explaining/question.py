"""A question to an explainer (images, utility and removal), and the keyword arguments that set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shapleycam.explaining.inputs import Batch, Images, Inputs
from shapleycam.explaining.reference import AnyRemoval, ReferenceRemoval
from shapleycam.game.removal import RemovalChoice
from shapleycam.smoothing import SmoothChoice
from shapleycam.utilities import Function, Utility
from shapleycam.values.options import EstimatorKeywords

UtilityChoice: TypeAlias = "str | Utility | Function | None"
RemovalOption: TypeAlias = "RemovalChoice | ReferenceRemoval | None"


@dataclass(frozen=True)
class Question:
    """A question about one model.

    Attributes:
        batch: the prepared images.
        utility: the number that is explained.
        removal: what replaces the content of absent players.
    """

    batch: Batch
    utility: Utility
    removal: AnyRemoval


class ExplainKeywords(EstimatorKeywords, total=False):
    """Keyword arguments that all explaining methods of `Explainer` share; `Explainer.explain` documents them.

    `Explainer.compare_each`, which the other methods call, writes them out as parameters.
    """

    removal: RemovalOption
    reference: Images | None
    inputs: Inputs
    smooth: SmoothChoice
