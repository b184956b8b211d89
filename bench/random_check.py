"""Asks the library what the oracle knows of a random case, compares, and sees what was left changed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

import shapleycam
from by_hand import by_slow_path
from random_case import Case
from random_oracle import QUESTIONS, NoOracleError, Oracle
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
    images, target = case.other_batch() if question.endswith("in another batch") else (case.images, case.target)
    images = images.clone()
    snapshot = Snapshot(case.network, images)
    if case.watching:
        case.watching.strange.clear()
    try:
        with warnings.catch_warnings(), case.context():
            warnings.simplefilter("ignore")
            explainer = shapleycam.Explainer(case.network, case.layer, case.utility, layout=case.layout)
            values = ANSWERS[question.partition(",")[0]](explainer, images, target, case.coalitions)
        answer = _judged(case, question, values.detach().double(), right, scale)
    except ShapleyCamError as error:
        answer = _refused(question, f"{type(error).__name__}: {error}", right, scale)
    except Exception as error:  # noqa: BLE001  # a raw error is a fault, and the other questions are still of interest
        answer = Finding(question, "wrong", f"raised {type(error).__name__}: {str(error).splitlines()[0]}")
    damage = [f"changed {', '.join(changes[:3])}"] if (changes := snapshot.changes()) else []
    if case.watching and case.watching.strange:
        damage.append("a hook of the user's was fed numbers that are not finite")
    return [answer, *(Finding(question, "wrong", reason) for reason in damage)]


def _refused(question: str, message: str, right: Tensor | NoOracleError, scale: float) -> Finding:
    """A refusal, whose reason is false where it says that nothing depends on a layer that earns something."""
    if "does not depend on it" in message and isinstance(right, Tensor) and float(right.norm()) > CLOSE * scale:
        return Finding(question, "wrong", f"refused for a false reason: {message}")
    return Finding(question, "refused", message)


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
    if error <= 10 * rounding:
        return Finding(question, "agreed", "as well as float32 can")
    return Finding(question, "wrong", f"off by {error:.1e}")


def _rounding(case: Case, question: str, right: Tensor) -> float:
    """How far plain autograd in float32 is off."""
    with by_slow_path(), torch.no_grad():
        return float((Oracle(case, torch.float32).answer(question).double() - right).norm())


Answer: TypeAlias = "Callable[[shapleycam.Explainer, Tensor, Tensor, Tensor], Tensor]"


def _explained(method: str) -> Answer:
    def values(explainer: shapleycam.Explainer, images: Tensor, target: Tensor, _: Tensor) -> Tensor:
        explanation = explainer.explain(images, method, target)
        prefix = torch.zeros(len(images)) if explanation.prefix is None else explanation.prefix
        return torch.cat([explanation.values.flatten(1), prefix[:, None]], 1)

    return values


def _played(explainer: shapleycam.Explainer, images: Tensor, target: Tensor, coalitions: Tensor) -> Tensor:
    return explainer.game(images, target).value(coalitions)


ANSWERS: dict[str, Answer] = {
    "hirescam": _explained("hirescam"),
    "gradcam": _explained("gradcam"),
    "shapleycam-h": _explained("shapleycam-h"),
    "coalitions": _played,
}
