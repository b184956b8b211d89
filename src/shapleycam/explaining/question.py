"""What an explainer is asked: of which images, which utility, with which removal; and the keywords that say so."""

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
    """A question to one model.

    Attributes:
        batch: the images, prepared.
        utility: what is explained of them.
        removal: what stands in for the content of absent players.
    """

    batch: Batch
    utility: Utility
    removal: AnyRemoval


class ExplainKeywords(EstimatorKeywords, total=False):
    """Keyword arguments of all methods of `Explainer` that explain; `Explainer.explain` documents them.

    They are written out in `Explainer.compare_each`, which all others call.
    """

    removal: RemovalOption
    reference: Images | None
    inputs: Inputs
    smooth: SmoothChoice
