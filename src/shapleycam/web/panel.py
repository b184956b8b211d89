"""The panel beside every answer: the options of its form's boxes, and which of them are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.cams.table import canonical_method
from shapleycam.drawing.colour_scales import find_colour_map
from shapleycam.errors import OptionError
from shapleycam.game.removal import NAMED, SAMPLES
from shapleycam.layers import RULES
from shapleycam.names import canonical_name
from shapleycam.smoothing import SMOOTHINGS, parse_smoothing, smoothing_name
from shapleycam.smoothing.table import NONE
from shapleycam.tracing.input_layer import INPUT
from shapleycam.utilities import UTILITIES
from shapleycam.web.compared import family_in_addresses, method_sets
from shapleycam.web.defaults import (
    DEFAULT_CONTRAST,
    DEFAULT_LAYER,
    DEFAULT_METHODS,
    DEFAULT_REMOVAL,
    DEFAULT_UTILITY,
    default_method,
)
from shapleycam.web.map_choices import read_contours, read_share
from shapleycam.web.player_choices import DEFAULT_RUNS, read_players, read_runs
from shapleycam.web.question import Question
from shapleycam.web.resolved import ABOUT_PLAYERS
from shapleycam.wording import counted, percent

LAYERS = {
    "before-pool": "the last features that have places, before they are pooled",
    "last-conv": "the output of the last convolution",
}
"""A line about each rule that finds a layer."""
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

_OWN_COLOURS, _NO_CONTOURS, _USUAL_SIGN, _ALL_PLACES = "own", "0", "usual", "all"
_COLOURS = {
    _OWN_COLOURS: "own: turbo; red for the class, blue against it",
    "viridis": "viridis: even steps of lightness",
    "cividis": "cividis: the same to colour-blind eyes",
    "magma": "magma: from black",
    "gray": "gray",
    "coolwarm": "coolwarm: two sides, for the signed map",
}
"""A line about each colour map; an address may have any other colour map of matplotlib."""
_CONTOURS = {_NO_CONTOURS: "none", "4": "at 4 steps of the scale", "9": "at 9 steps of the scale"}
"""A line about each number of contours; an address may have any other."""
_SIGNS = {
    _USUAL_SIGN: "usual: heatmaps what speaks for the class, signed maps both",
    "positive": "positive: what speaks for the class",
    "negative": "negative: what speaks against it",
}
"""A line about each sign that all maps can show."""
_PLACES = {
    _ALL_PLACES: "all",
    "0.5": "those that hold 50% of the value",
    "0.8": "those that hold 80% of the value",
}
"""A line about each share of the value, as in `top_value` of `MapStyle`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """One option of a box: its value in the address, its text, and whether it is chosen."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Box:
    """A box of the form, with groups of options by heading; a heading may be empty."""

    name: str
    label: str
    term: str | None
    groups: dict[str, list[Option]]


def panel_boxes(
    question: Question, models: Sequence[str], fields: Iterable[str], *, has_reference: bool = False
) -> list[Box]:
    """Return the boxes that offer a few options, for the fields that a view reads.

    They offer removal "samples" only if there are reference photographs. Defaults depend on the fields that the view
    reads, as its answer does: the ladder has the default utility also where the address has a second class.
    """
    shown = set(fields)
    question = question.only(shown)
    removals = {name: line for name, line in REMOVALS.items() if has_reference or name != SAMPLES.name}
    boxes = {
        "model": _box("model", "Model", None, {"": {name: name for name in models}}, question.model, models[0]),
        "method": _method_box(question),
        "methods": _box(
            "methods",
            "Methods",
            "method",
            {"": {name: _named(name, _SETS.get(name, "")) for name in method_sets()}},
            canonical_name(question.methods, method_sets()) or canonical_method(question.methods) or question.methods,
            DEFAULT_METHODS,
        ),
        "utility": _utility_box(question),
        "removal": _box(
            "removal",
            "Removal: what stands in for absent places",
            "removal",
            {"": {name: _named(name, line) for name, line in removals.items()}},
            canonical_name(question.removal, NAMED) or question.removal,
            DEFAULT_REMOVAL,
        ),
        "players": _box("players", "Players: what the score is divided among", "player", *_player_options(question)),
        "runs": _box("runs", "Runs of the model, at most", None, *_run_options(question)),
        "smooth": _smoothing_box(question.smooth),
        "colours": _colours_box(question.colours),
        "contours": _contours_box(question.contours),
        "sign": _box("sign", "Sign of the values that maps show", None, {"": _SIGNS}, question.sign, _USUAL_SIGN),
        "top_value": _places_box(question.top_value),
    }
    if "layer" in shown and question.layer != INPUT:  # these fields are for the input; elsewhere only if they are set
        shown -= {name for name in ABOUT_PLAYERS if not getattr(question, name)}
    return [boxes[field] for field in boxes if field in shown]


def hidden_pairs(question: Question, fields: Iterable[str]) -> list[tuple[str, str]]:
    """Return the hidden names and values of a view's form: the photograph, and the fields that only other views read.

    The absent players of a coalition are not included, because another layer has other places.
    """
    own = dict(parse_qsl(question.but(photo="").only(fields).address()))
    return [(name, value) for name, value in parse_qsl(question.address()) if name not in own and name != "absent"]


def upload_pairs(question: Question) -> list[tuple[str, str]]:
    """Return the names and values that stay the same for a new photograph."""
    return parse_qsl(question.but(photo="", target="", against="", absent="").address())


def layer_options() -> list[tuple[str, str]]:
    """Return the rules that find a layer, each with its value in the address and its text."""
    return [("" if rule == DEFAULT_LAYER else rule, _named(rule, LAYERS[rule])) for rule in RULES]


def _method_box(question: Question) -> Box:
    groups = {
        _named(family, FAMILIES.get(family, "")): {row.name: _named(row.name, row.description) for row in rows}
        for family, rows in methods_by_family().items()
    }
    return _box(
        "method",
        "Method",
        "method",
        groups,
        canonical_method(question.method) or question.method,
        default_method(question),
    )


def _utility_box(question: Question) -> Box:
    texts = {name: _named(name, row.summary) for name, row in UTILITIES.items()}
    default = DEFAULT_CONTRAST if question.against else DEFAULT_UTILITY
    chosen = canonical_name(question.utility, UTILITIES) or question.utility
    return _box("utility", "Utility: the score that is explained", "utility", {"": texts}, chosen, default)


def _player_options(question: Question) -> tuple[dict[str, dict[str, str]], str, str]:
    """Return the options for players, the chosen option, and the default."""
    texts, text = dict(_PLAYERS), question.players
    if _valid(text, lambda: read_players(text)) is not None and text not in texts:
        texts[text] = text
    return {"": texts}, text, _GRID


def _run_options(question: Question) -> tuple[dict[str, dict[str, str]], str, str]:
    """Return the options for the number of runs, the chosen option, and the default."""
    texts = {text: f"{int(text):,}" for text in _RUNS}
    plan = _valid(question.runs, lambda: read_runs(question.runs))
    if plan is not None and plan.is_stopped:
        texts = {plan.text: f"{plan.label}, where it was stopped", **texts}
    elif plan is not None:
        texts = {str(each): f"{each:,}" for each in sorted({plan.most, *map(int, texts)})}
    return {"": texts}, question.runs, str(DEFAULT_RUNS)


def _smoothing_box(text: str) -> Box:
    """Return the box of smoothings; several smoothings in an address become one more option."""
    texts = {NONE: "none", **{name: _named(name, row.summary) for name, row in SMOOTHINGS.items()}}
    chosen = _valid(text, lambda: smoothing_name(parse_smoothing(text or None)))
    if chosen is not None and chosen not in texts:
        texts[chosen] = chosen.replace(",", ", then ")
    return _box("smooth", "Smoothing of the maps", "smoothing", {"": texts}, chosen or text, NONE)


def _colours_box(text: str) -> Box:
    """Return the box of colour maps; another colour map of matplotlib in an address becomes one more option."""
    chosen = _valid(text, lambda: find_colour_map(text) if text else "")
    texts = dict(_COLOURS) if not chosen or chosen in _COLOURS else {**_COLOURS, chosen: chosen}
    return _box("colours", "Colours of the maps", None, {"": texts}, chosen or text, _OWN_COLOURS)


def _contours_box(text: str) -> Box:
    """Return the box of contours; another number in an address becomes one more option."""
    texts, contours = dict(_CONTOURS), _valid(text, lambda: read_contours(text))
    if contours is not None and text not in texts:
        texts[text] = f"at {counted(contours, 'step')} of the scale"
    return _box("contours", "Contours in the maps", None, {"": texts}, text, _NO_CONTOURS)


def _places_box(text: str) -> Box:
    """Return the box of the places that maps show; another share in an address becomes one more option."""
    texts, share = dict(_PLACES), _valid(text, lambda: read_share(text))
    if share is not None and text not in texts:
        texts[text] = f"those that hold {percent(share)} of the value"
    return _box("top_value", "Places that are shown", None, {"": texts}, text, _ALL_PLACES)


def _valid(text: str, read: Callable[[], T]) -> T | None:
    """Return the value of a text in an address; None if it is empty, or wrong: the answer then reports the error."""
    try:
        return read() if text else None
    except OptionError:
        return None


def _box(name: str, label: str, term: str | None, groups: dict[str, dict[str, str]], chosen: str, default: str) -> Box:
    """Return a box. The default option has an empty value, which addresses omit; an unknown value becomes an option."""
    known = {value for texts in groups.values() for value in texts}
    options = {
        heading: [
            Option("" if value == default else value, text, value == (chosen or default))
            for value, text in texts.items()
        ]
        for heading, texts in groups.items()
    }
    if chosen and chosen not in known:
        options = {"not known here": [Option(chosen, chosen, is_chosen=True)], **options}
    return Box(name, label, term, options)


def _named(name: str, line: str) -> str:
    return f"{name}: {line}" if line else name
