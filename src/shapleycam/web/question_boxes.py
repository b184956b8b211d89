"""The boxes of a question: model, methods, utility, removal, players and runs."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.cams.table import canonical_method
from shapleycam.game.removal import NAMED, SAMPLES
from shapleycam.names import canonical_name
from shapleycam.utilities import UTILITIES
from shapleycam.web.boxes import Box, make_box, make_grouped_box, option_text, value_or_none
from shapleycam.web.compared import family_in_addresses, method_sets
from shapleycam.web.defaults import (
    DEFAULT_CONTRAST,
    DEFAULT_METHODS,
    DEFAULT_REMOVAL,
    DEFAULT_UTILITY,
    default_method,
)
from shapleycam.web.player_choices import DEFAULT_RUNS, read_players, read_runs
from shapleycam.web.question import Question

REMOVALS = {
    "zero": "the paper's",
    "mean": "over the image's own positions",
    "blur": "the image under a Gaussian, at layer input",
    "impute": "filled in from the pixels around, at layer input",
    "drop": "patches left out of a vision transformer, at layer input",
    SAMPLES.name: "each of this page's reference photographs in turn, at layer input",
}
"""A line about each removal that has a name."""
_GRID = "grid"
_PLAYERS = {
    _GRID: "grid: as fine as the runs allow, 7 x 7 for sampledshapley, 8 x 8 for owen",
    "4x4": "4x4: a coarse grid, soon sure",
    "10x10": "10x10: a finer grid",
    "superpixels": "superpixels: 50 regions of similar colour",
    "superpixels:20": "superpixels:20: 20 of them",
    "patches": "patches: those of a vision transformer",
}
"""A line about each choice of players at the input; an address may have any other grid or number."""
_RUNS = ("250", "500", str(DEFAULT_RUNS), "2000", "5000")
_SETS = {
    "paper": "the ten of the paper",
    "all": "what costs little, and sampling",
    "field": "every method: slow",
    **{family_in_addresses(family): line for family, line in FAMILIES.items()},
}
"""A line about each set of methods."""


def model_box(question: Question, models: Sequence[str]) -> Box:
    """Return the box of the models that are offered; the first is the default."""
    return make_box("model", "Model", None, {name: name for name in models}, question.model, models[0])


def method_box(question: Question) -> Box:
    """Return the box of the methods by family."""
    groups = {
        option_text(family, FAMILIES.get(family, "")): {
            row.name: option_text(row.name, row.description) for row in rows
        }
        for family, rows in methods_by_family().items()
    }
    chosen = canonical_method(question.method) or question.method
    return make_grouped_box("method", "Method", "method", groups, chosen, default_method(question))


def methods_box(question: Question) -> Box:
    """Return the box of the sets of methods."""
    texts = {name: option_text(name, _SETS.get(name, "")) for name in method_sets()}
    chosen = canonical_name(question.methods, method_sets()) or canonical_method(question.methods) or question.methods
    return make_box("methods", "Methods", "method", texts, chosen, DEFAULT_METHODS)


def utility_box(question: Question) -> Box:
    """Return the box of the utilities."""
    texts = {name: option_text(name, row.summary) for name, row in UTILITIES.items()}
    default = DEFAULT_CONTRAST if question.against else DEFAULT_UTILITY
    chosen = canonical_name(question.utility, UTILITIES) or question.utility
    return make_box("utility", "Utility: the score that is explained", "utility", texts, chosen, default)


def removal_box(question: Question, *, has_reference: bool) -> Box:
    """Return the box of the removals; "samples" is offered only if there are reference photographs."""
    texts = {name: option_text(name, line) for name, line in REMOVALS.items() if has_reference or name != SAMPLES.name}
    chosen = canonical_name(question.removal, NAMED) or question.removal
    return make_box("removal", "Removal: what stands in for absent places", "removal", texts, chosen, DEFAULT_REMOVAL)


def players_box(text: str) -> Box:
    """Return the box of the players; other players in an address become one more option."""
    texts = dict(_PLAYERS)
    if value_or_none(text, read_players) is not None and text not in texts:
        texts[text] = text
    return make_box("players", "Players: what the score is divided among", "player", texts, text, _GRID)


def runs_box(text: str) -> Box:
    """Return the box of the number of runs; another number in an address becomes one more option."""
    texts = {number: f"{int(number):,}" for number in _RUNS}
    plan = value_or_none(text, read_runs)
    if plan is not None and plan.is_stopped:
        texts = {plan.text: f"{plan.label}, where it was stopped", **texts}
    elif plan is not None:
        texts = {str(each): f"{each:,}" for each in sorted({plan.most, *map(int, texts)})}
    return make_box("runs", "Runs of the model, at most", None, texts, text, str(DEFAULT_RUNS))
