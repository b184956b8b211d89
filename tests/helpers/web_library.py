"""What the library says of a question of the page, worked out beside the server, and checks of answers against it."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import shapleycam
from helpers import colour_network
from helpers.web_server import HOPPER
from shapleycam import values
from shapleycam.cams.table import DEFAULT_METHOD
from shapleycam.utilities import contrast
from shapleycam.web.question import Question

DEFAULT_MODEL = "efficientnet_lite0"
COLOURS_FILE = f"{Path(colour_network.__file__).resolve()}:network"
COLOURS = "colour_network:network"
"""As the operator names it, and as visitors see it."""
MODELS = (DEFAULT_MODEL, COLOURS_FILE, "not_there.py:net")
"""What the tests' server offers: the default, a fast one with labels of its own, and one that does not load."""


@cache
def explainer_of(model: str, layer: str) -> shapleycam.Explainer:
    """Return the explainer of a model that the tests' server offers."""
    chosen = DEFAULT_MODEL if model in {"", DEFAULT_MODEL} else colour_network.network()
    return shapleycam.Explainer(chosen, layer=layer or "before-pool", device="cpu")


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the library warns of on the terminal, which the page says in its own place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", shapleycam.ShapleyCamWarning)
        yield


@dataclass
class Library:
    """The library, and which photograph each key of the store is of; an empty key is the example."""

    photographs: dict[str, Path] = field(default_factory=lambda: {"": HOPPER, HOPPER.stem: HOPPER})

    def explain(self, question: Question, method: str = "") -> shapleycam.Explanation:
        """Return the explanation that the first tab shows."""
        explainer, photo = explainer_of(question.model, question.layer), self.photographs[question.photo]
        chosen = method or question.method or DEFAULT_METHOD
        with quiet():
            removal = question.removal or "zero"
            return explainer.explain(photo, chosen, question.target or None, self.utility(question), removal=removal)

    def game(self, question: Question, utility: str = "") -> Any:
        """Return the game that Fidelity samples and Coalitions plays."""
        explainer, photo = explainer_of(question.model, question.layer), self.photographs[question.photo]
        target = self.explain(question).target  # of the predicted class, since utilities have their own opinion
        removal = question.removal or "zero"
        return explainer.game(photo, target.tolist(), utility or self.utility(question), removal=removal)

    def utility(self, question: Question) -> Any:
        """Return the utility of a question."""
        if question.against:
            return contrast(question.against, question.utility or "logit")
        return question.utility or "rest"

    def check(self, view: str, answer: Any, question: Question) -> None:
        """Check a view's answer by the numbers in it."""
        CHECKS[view](self, answer, question)


def check_explain(library: Library, answer: Any, question: Question) -> None:
    """The class, its probability, and each value of the signed map."""
    e = library.explain(question)
    expect_explained(answer, e)


def expect_explained(answer: Any, e: shapleycam.Explanation) -> None:
    """Check that the first tab's answer has the numbers of an explanation."""
    assert int(answer.locator("article").first.get_attribute("data-target")) == int(e.target[0])
    assert e.label() in answer.inner_text()
    grid = json.loads(answer.locator(".stage[data-kind=values]").first.get_attribute("data-grid"))
    assert grid["rows"] * grid["columns"] == e.values[0].numel()
    expected = e.values[0].flatten().tolist()
    assert [float(value) for value in grid["values"]] == pytest.approx(expected, rel=6e-3, abs=1e-6)


def check_compare(library: Library, answer: Any, question: Question) -> None:
    """The class, and the pixels of the map of one method."""
    e = library.explain(question, "gradcam")
    assert int(answer.locator("article").first.get_attribute("data-target")) == int(e.target[0])


def check_fidelity(library: Library, answer: Any, question: Question) -> None:
    """How far off one method is, against values that are sampled here."""
    game = library.game(question)
    true = values.permutation(game, tolerance=0.004, seed=5).values[0]
    own = library.explain(question, "gradcam").values.flatten().double()
    rows = {cells[0]: cells[1:] for cells in rows_of(answer.locator("table").first)}
    expected = float((own - true).norm() / true.norm())
    assert percent(rows["gradcam"][0]) == pytest.approx(expected, abs=0.012)


def check_coalitions(library: Library, answer: Any, question: Question) -> None:
    """What a coalition is worth."""
    game = library.game(question)
    inside = torch.ones(1, game.n_players, dtype=torch.bool)
    for place in filter(None, question.absent.split(".")):
        inside[0, int(place)] = False
    worth = float(game.value(inside)[0, 0])
    answer.page.locator("#worth", has_text=f"{worth:.4f}").wait_for()


CHECKS: dict[str, Callable[[Library, Any, Question], None]] = {
    "explain": check_explain,
    "compare": check_compare,
    "fidelity": check_fidelity,
    "coalitions": check_coalitions,
}


def rows_of(table: Any) -> list[list[str]]:
    """Return the texts of the cells of a table's body."""
    script = "t => [...t.tBodies[0].rows].map(row => [...row.children].map(cell => cell.textContent.trim()))"
    rows: list[list[str]] = table.evaluate(script)
    return rows


def percent(text: str) -> float:
    """Return the share that a text such as "24.5%" or "<1%" begins with."""
    match = re.search(r"-?[\d.]+(?=\s?%)", text)
    assert match is not None, text
    return float(match[0]) / 100
