"""The one table of methods: a CAM is a derivative, a spread and a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shapleycam.errors import OptionError, nearest
from shapleycam.names import canonical_name

Derivative: TypeAlias = Literal["first", "second", "path", "random", "sampled", "exact"]

_PAPER = "Cai 2025, arXiv:2501.06261"


@dataclass(frozen=True)
class Method:
    """A row of the table.

    `derivative` is what is taken of the utility, `spread` how it becomes one value a position ("sampled" and "exact"
    are values of the game itself, which need none); `in_units` says whether the values are in units of the utility;
    `in_paper`, whether the paper's tables have it; `most_players`, up to how many players the set `all` has it.
    """

    name: str
    derivative: Derivative
    spread: str
    source: str
    in_units: bool = True
    in_paper: bool = True
    most_players: int | None = None

    @property
    def plays(self) -> bool:
        """Whether the values are those of the game's coalitions, rather than made of a derivative."""
        return self.derivative in {"sampled", "exact"}


_ROWS = (
    Method("gradcam", "first", "mean", "Selvaraju 2017, arXiv:1610.02391"),
    Method("hirescam", "first", "elementwise", "Draelos & Carin 2020, arXiv:2011.08891"),
    Method("gradcam-e", "first", "elementwise + ReLU", "pytorch-grad-cam's GradCAMElementWise"),
    Method("xgradcam", "first", "activation-weighted", "Fu 2020, arXiv:2008.02312"),
    Method("layercam", "first", "positive gradient", "Jiang 2021, LayerCAM", in_units=False),
    Method("gradcam++", "first", "plus plus", "Chattopadhay 2018, arXiv:1710.11063", in_units=False),
    Method("randomcam", "random", "mean", f"baseline of {_PAPER}", in_units=False),
    Method("shapleycam", "second", "mean", _PAPER),
    Method("shapleycam-h", "second", "elementwise", _PAPER),
    Method("shapleycam-e", "second", "elementwise + ReLU", _PAPER),
    Method(
        "shapleycam-x",
        "second",
        "activation-weighted",
        "XGradCAM's spread with the second order",
        in_paper=False,
    ),
    Method("pathcam", "path", "mean", "Aumann & Shapley 1974; GradCAM's spread", in_paper=False),
    Method("pathcam-h", "path", "elementwise", "Aumann & Shapley 1974", in_paper=False),
    Method("pathcam-e", "path", "elementwise + ReLU", "Aumann & Shapley 1974; GradCAM-E's spread", in_paper=False),
    Method("pathcam-x", "path", "activation-weighted", "Aumann & Shapley 1974; XGradCAM's spread", in_paper=False),
    Method("sampledshapley", "sampled", "none", "Castro 2009, permutation sampling", in_paper=False, most_players=256),
    Method("exactshapley", "exact", "none", "Shapley 1953, all coalitions", in_paper=False, most_players=16),
)

METHODS = {method.name: method for method in _ROWS}

_ALIASES = {"gradcamplusplus": "gradcam++", "gradcampp": "gradcam++", "gradcamelementwise": "gradcam-e"}
_OF_THE_FIELD = (
    *("cam", "eigencam", "eigengradcam", "scorecam", "sscam", "iscam", "groupcam", "ablationcam", "liftcam"),
    *("reciprocam", "smoothgradcam", "smoothgradcam++", "fullgrad", "fullgradcam", "kpcacam", "finercam", "fem"),
    *("tscam", "relevancecam", "zoomcam", "augmentedgradcam", "guidedgradcam", "guidedbackprop", "saliency"),
    *("inputxgradient", "integratedgradients", "smoothgrad", "deeplift", "lrp", "occlusion", "rise", "lime"),
    *("kernelshap", "gradientshap", "deepshap", "attentionrollout", "deepfeaturefactorization"),
)
"""Methods that people know from elsewhere."""


def methods() -> tuple[Method, ...]:
    """All methods, as data."""
    return tuple(METHODS.values())


def canonical_method(name: object) -> str | None:
    """Return a method's own name for any spelling of it, None where there is no such method."""
    return canonical_name(name, METHODS, _ALIASES)


def method_of(name: str) -> Method:
    """Return the method of this name, in any case, with hyphens, underscores and spaces or without.

    Raises:
        OptionError: an unknown name.
    """
    own = canonical_method(name)
    if own is not None:
        return METHODS[own]
    if canonical_name(name, _OF_THE_FIELD) is not None:
        raise OptionError(
            f"method {name!r} is not among the methods here; expected one of {', '.join(METHODS)} (shapleycam methods "
            "lists them)"
        )
    raise OptionError(f"method {name!r} is unknown; {nearest(str(name), METHODS)} (shapleycam methods lists them)")


def expand(names: Sequence[str], players: int | None = None) -> list[str]:
    """Return the methods' own names with the sets `paper` and `all` written out, each once, in the order given.

    Of `all`, methods that are not meant for so many `players` are left out; None leaves none out.

    Raises:
        OptionError: an unknown name, or no names.
    """
    if not names:
        raise OptionError("no methods were given; expected at least one (shapleycam methods lists them)")
    fitting = [m.name for m in _ROWS if players is None or m.most_players is None or players <= m.most_players]
    sets = {"paper": [m.name for m in _ROWS if m.in_paper], "all": fitting}
    written_out = [each for name in names for each in sets.get(canonical_name(name, sets) or "", [name])]
    return list(dict.fromkeys(method_of(name).name for name in written_out))
