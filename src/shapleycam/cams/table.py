"""The table of methods: a row says what a method is computed from, how that is spread, and what it costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shapleycam.cams.bases import EXACT, FIRST, PATH, RANDOM, SAMPLED, SECOND, Basis
from shapleycam.cams.spreads import (
    ACTIVATION_WEIGHTED,
    ELEMENTWISE,
    ELEMENTWISE_RELU,
    MEAN,
    PLUS_PLUS,
    POSITIVE_GRADIENT,
    Spread,
)
from shapleycam.errors import OptionError, nearest
from shapleycam.names import canonical_name

_PAPER = "Cai 2025, arXiv:2501.06261"
_SKY, _ORANGE = "#56B4E9", "#B8860B"
_MOST_RUNS = 2**16
"""The set `all` leaves out methods that take more runs than this for one image: nobody would wait for them."""
_MOST_PLAYERS = 2**20
"""A method that is affordable for so many players is not limited by their number."""


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    Args:
        name: as users write it.
        basis: what the values are computed from, and what that needs and costs.
        spread: how a derivative becomes one value for each position; None where the basis gives the players' values.
        source: the paper or program that the method is from.
        description: one line.
        in_units: whether the values are in units of the utility.
        in_paper: whether the paper's tables have the method.
        is_baseline: whether it explains nothing, and is there to be compared with.
        own_colour: its colour in figures, where it is not that of the basis.

    Examples:
        >>> import shapleycam
        >>> row = shapleycam.METHODS["shapleycam"]
        >>> row.basis.name, row.spread.name, row.in_units, row.basis.needs_second_derivatives
        ('second', 'mean', True, True)
    """

    name: str
    basis: Basis
    spread: Spread | None
    source: str
    description: str = ""
    in_units: bool = True
    in_paper: bool = False
    is_baseline: bool = False
    own_colour: str | None = None

    @property
    def colour(self) -> str:
        """Return the method's colour in figures."""
        return self.own_colour or self.basis.colour

    @property
    def spread_name(self) -> str:
        """Return the name of the spread, "none" where there is none."""
        return "none" if self.spread is None else self.spread.name

    @property
    def most_players(self) -> int | None:
        """Return up to how many players the set `all` has the method; None for any number."""
        if self.is_affordable(_MOST_PLAYERS):
            return None
        return bisect_left(range(1, _MOST_PLAYERS), True, key=lambda players: not self.is_affordable(players))

    def is_affordable(self, players: int) -> bool:
        """Return whether a user would wait for the method with so many players."""
        return self.basis.cost_of(players).runs <= _MOST_RUNS

    def as_data(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "name": self.name,
            "derivative": self.basis.name,
            "spread": self.spread_name,
            "source": self.source,
            "in_units": self.in_units,
            "in_paper": self.in_paper,
            "most_players": self.most_players,
            "description": self.description,
            "group": self.basis.group,
            "needs_replay": self.basis.needs_replay,
            "needs_second_derivatives": self.basis.needs_second_derivatives,
            "needs_model_passes": self.basis.needs_model_passes,
        }


_ROWS = (
    Method(
        "gradcam",
        FIRST,
        MEAN,
        "Selvaraju 2017, arXiv:1610.02391",
        "activation weighted by each channel's mean gradient",
        in_paper=True,
    ),
    Method(
        "hirescam",
        FIRST,
        ELEMENTWISE,
        "Draelos & Carin 2020, arXiv:2011.08891",
        "activation times gradient at each position: first-order Shapley values",
        in_paper=True,
    ),
    Method(
        "gradcam-e",
        FIRST,
        ELEMENTWISE_RELU,
        "pytorch-grad-cam's GradCAMElementWise",
        "as hirescam, only the positive products",
        in_paper=True,
    ),
    Method(
        "xgradcam",
        FIRST,
        ACTIVATION_WEIGHTED,
        "Fu 2020, arXiv:2008.02312",
        "as gradcam, gradients averaged in proportion to the activation",
        in_paper=True,
    ),
    Method(
        "layercam",
        FIRST,
        POSITIVE_GRADIENT,
        "Jiang 2021, LayerCAM",
        "activation times positive gradient at each position",
        in_units=False,
        in_paper=True,
        own_colour=_SKY,
    ),
    Method(
        "gradcam++",
        FIRST,
        PLUS_PLUS,
        "Chattopadhay 2018, arXiv:1710.11063",
        "as gradcam, positive gradients weighted by powers of the gradient",
        in_units=False,
        in_paper=True,
        own_colour=_ORANGE,
    ),
    Method(
        "randomcam",
        RANDOM,
        MEAN,
        f"baseline of {_PAPER}",
        "random channel weights, a baseline that explains nothing",
        in_units=False,
        in_paper=True,
        is_baseline=True,
    ),
    Method(
        "shapleycam",
        SECOND,
        MEAN,
        _PAPER,
        "gradcam's spread of the second-order derivative",
        in_paper=True,
    ),
    Method(
        "shapleycam-h",
        SECOND,
        ELEMENTWISE,
        _PAPER,
        "second-order Shapley values, position by position",
        in_paper=True,
    ),
    Method(
        "shapleycam-e",
        SECOND,
        ELEMENTWISE_RELU,
        _PAPER,
        "as shapleycam-h, only the positive products",
        in_paper=True,
    ),
    Method(
        "shapleycam-x",
        SECOND,
        ACTIVATION_WEIGHTED,
        "XGradCAM's spread with the second order",
        "xgradcam's spread of the second-order derivative",
    ),
    Method(
        "pathcam",
        PATH,
        MEAN,
        "Aumann & Shapley 1974; GradCAM's spread",
        "gradcam's spread of the mean gradient along the path",
    ),
    Method(
        "pathcam-h",
        PATH,
        ELEMENTWISE,
        "Aumann & Shapley 1974",
        "Shapley values by integrating the gradient along the path",
    ),
    Method(
        "pathcam-e",
        PATH,
        ELEMENTWISE_RELU,
        "Aumann & Shapley 1974; GradCAM-E's spread",
        "as pathcam-h, only the positive products",
    ),
    Method(
        "pathcam-x",
        PATH,
        ACTIVATION_WEIGHTED,
        "Aumann & Shapley 1974; XGradCAM's spread",
        "xgradcam's spread of the mean gradient along the path",
    ),
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
)

METHODS = {method.name: method for method in _ROWS}
"""All methods by name."""

_ALIASES = {"gradcamplusplus": "gradcam++", "gradcampp": "gradcam++", "gradcamelementwise": "gradcam-e"}
_OF_THE_FIELD = (
    *("cam", "eigencam", "eigengradcam", "scorecam", "sscam", "iscam", "groupcam", "ablationcam", "liftcam"),
    *("reciprocam", "smoothgradcam", "smoothgradcam++", "fullgrad", "fullgradcam", "kpcacam", "finercam", "fem"),
    *("tscam", "relevancecam", "zoomcam", "augmentedgradcam", "guidedgradcam", "guidedbackprop", "saliency"),
    *("inputxgradient", "integratedgradients", "smoothgrad", "deeplift", "lrp", "occlusion", "rise", "lime"),
    *("kernelshap", "gradientshap", "deepshap", "attentionrollout", "deepfeaturefactorization"),
)
"""Methods of other libraries, by their names without separators: they are refused as missing, not as mistyped."""


def methods() -> tuple[Method, ...]:
    """Return all rows of the table.

    Examples:
        >>> import shapleycam
        >>> sum(row.in_paper for row in shapleycam.methods())
        10
    """
    return tuple(METHODS.values())


def canonical_method(name: object) -> str | None:
    """Return a method's own name for any spelling of it, None where there is no such method."""
    return canonical_name(name, METHODS, _ALIASES)


def method_of(name: str) -> Method:
    """Return the method of this name, in any case, with hyphens, underscores and spaces or without.

    Raises:
        OptionError: an unknown name.

    Examples:
        >>> from shapleycam.cams import method_of
        >>> method_of("Grad-CAM").name
        'gradcam'
    """
    table_name = canonical_method(name)
    if table_name is not None:
        return METHODS[table_name]
    if canonical_name(name, _OF_THE_FIELD) is not None:
        raise OptionError(
            f"method {name!r} is not among the methods here; expected one of {', '.join(METHODS)} (shapleycam methods "
            "lists them)"
        )
    raise OptionError(f"method {name!r} is unknown; {nearest(str(name), METHODS)} (shapleycam methods lists them)")


def expand_methods(names: Sequence[str], players: int | None = None) -> list[str]:
    """Return the methods' own names with the sets `paper` and `all` written out, each once, in the order given.

    Of `all`, methods that take too long with so many `players` are left out; None leaves none out.

    Raises:
        OptionError: an unknown name, or no names.
    """
    if not names:
        raise OptionError("no methods were given; expected at least one (shapleycam methods lists them)")
    rows = METHODS.values()
    sets = {
        "paper": [row.name for row in rows if row.in_paper],
        "all": [row.name for row in rows if players is None or row.is_affordable(players)],
    }
    without_sets = [name for entry in names for name in sets.get(canonical_name(entry, sets) or "", [entry])]
    return list(dict.fromkeys(method_of(name).name for name in without_sets))
