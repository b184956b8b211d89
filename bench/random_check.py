"""Asks the library what the oracle knows of a random case, compares, and sees what was left changed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import shapleycam
from random_case import Case
from random_oracle import QUESTIONS, NoOracleError, Oracle, by_slow_path
from shapleycam.errors import ShapleyCamError
from untouched import Snapshot

CLOSE = 1e-4
"""‖difference‖ / ‖values‖ allowed in float32, unless plain autograd in float32 is further off; in float64 a tenth (the
values are returned in float32)."""
HOPELESS = 1e-2
"""Beyond this error of plain autograd in float32 there is nothing to be judged."""
FAINT = 1e-3
"""Values that are a smaller share of the utility are compared with this share of it."""


@dataclass(frozen=True)
class Finding:
    """What came of one question: "agreed", "refused", "wrong", or "unjudged" where nothing is known to compare with."""

    question: str
    verdict: str
    reason: str = ""

    @property
    def kind(self) -> str:
        """The reason without the names and numbers of one network."""
        return re.sub(r"\d[\d.e+-]*", "#", re.sub(r"'[^']*'", "'...'", self.reason))


def check(case: Case) -> list[Finding]:
    """Ask the library each question of a case, and compare."""
    with by_slow_path(), torch.no_grad():
        oracle = Oracle(case, torch.float64)
        rights = {question: _right(oracle, question) for question in QUESTIONS}
        scale = FAINT * oracle.utility()
    return [finding for question in QUESTIONS for finding in _asked(case, question, rights[question], scale)]


def _right(oracle: Oracle, question: str) -> Tensor | NoOracleError:
    try:
        return oracle.answer(question)
    except NoOracleError as error:
        return error


def _asked(case: Case, question: str, right: Tensor | NoOracleError, scale: float) -> list[Finding]:
    """What the library says to one question, and what it left changed."""
    case = replace(case, images=case.images.clone())
    snapshot = Snapshot(case.network, case.images)
    if case.watching:
        case.watching.strange.clear()
    try:
        with warnings.catch_warnings(), case.context():
            warnings.simplefilter("ignore")
            explainer = shapleycam.Explainer(case.network, case.layer, case.utility, layout=case.layout)
            values = ANSWERS[question](explainer, case)
        answer = _judged(case, question, values.detach().double(), right, scale)
    except ShapleyCamError as error:
        answer = Finding(question, "refused", f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001  # a raw error is a fault, and the other questions are still of interest
        answer = Finding(question, "wrong", f"raised {type(error).__name__}: {str(error).splitlines()[0]}")
    damage = [f"changed {', '.join(changes[:3])}"] if (changes := snapshot.changes()) else []
    if case.watching and case.watching.strange:
        damage.append("a hook of the user's was fed numbers that are not finite")
    return [answer, *(Finding(question, "wrong", reason) for reason in damage)]


def _judged(case: Case, question: str, values: Tensor, right: Tensor | NoOracleError, scale: float) -> Finding:
    if isinstance(right, NoOracleError):
        return Finding(question, "unjudged", str(right))
    if values.shape != right.shape:
        return Finding(question, "wrong", f"{tuple(values.shape)} values in the place of {tuple(right.shape)}")
    size, is_double = max(float(right.norm()), scale), case.images.dtype == torch.float64
    error = float((values - right).norm()) / size
    if error <= (CLOSE / 10 if is_double else CLOSE):
        return Finding(question, "agreed")
    rounding = 0.0 if is_double else _rounding(case, question, right) / size
    if rounding > HOPELESS:
        return Finding(question, "unjudged", f"plain autograd in float32 is itself off by {rounding:.0e}")
    if error <= 3 * rounding:
        return Finding(question, "agreed", "as well as float32 can")
    return Finding(question, "wrong", f"off by {error:.1e}")


def _rounding(case: Case, question: str, right: Tensor) -> float:
    """How far plain autograd in float32 is off."""
    with by_slow_path(), torch.no_grad():
        return float((Oracle(case, torch.float32).answer(question).double() - right).norm())


def _explained(method: str, *, other_batch: bool = False) -> Callable[[shapleycam.Explainer, Case], Tensor]:
    def values(explainer: shapleycam.Explainer, case: Case) -> Tensor:
        images, target = case.images, case.target
        if other_batch:
            images = images[:1] if len(images) > 1 else torch.cat([images, case.companions])
            target = target[:1].expand(len(images))
        explanation = explainer.explain(images, method, target)
        prefix = torch.zeros(len(images)) if explanation.prefix is None else explanation.prefix
        return torch.cat([explanation.values.flatten(1), prefix[:, None]], 1)

    return values


ANSWERS: dict[str, Callable[[shapleycam.Explainer, Case], Tensor]] = {
    "hirescam": _explained("hirescam"),
    "gradcam": _explained("gradcam"),
    "shapleycam-h": _explained("shapleycam-h"),
    "coalitions": lambda explainer, case: explainer.game(case.images, case.target).value(case.coalitions),
    "hirescam, in another batch": _explained("hirescam", other_batch=True),
    "shapleycam-h, in another batch": _explained("shapleycam-h", other_batch=True),
}
