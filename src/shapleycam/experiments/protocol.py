"""All that decides a number of an evaluation; it is stored with the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from shapleycam.cams.table import expand as expand_methods
from shapleycam.errors import OptionError
from shapleycam.layers import rule_of
from shapleycam.metrics import MetricOptions
from shapleycam.metrics.table import expand as expand_metrics
from shapleycam.models import paper
from shapleycam.models.preprocess import Preprocess
from shapleycam.utilities import UTILITIES, resolve_utility
from shapleycam.values._path import Nodes
from shapleycam.values.tolerance import check_tolerance

ClassRule = Literal["prediction", "label", "correct"]
ObjectRule = Literal["class", "any"]

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")
_LONGEST = 80
"""Characters of a value in a message."""
_LARGEST = 256
"""Players of a grid at most, as the set "all" supposes where none is chosen; exactshapley is then not of it."""
SCALING = "ReLU, min-max at native size, bilinear to the input, min-max (arXiv:2501.06261)"
"""How values become heatmaps; there is one way (see `heatmaps`), named in what is stored."""
AGGREGATION = "mean over images; ADCC of the means, and of each image"
"""How images' figures become a dataset's."""
ASKED = ("layers", "utilities", "methods", "metrics")
"""What was measured, rather than how: results of protocols that differ in these alone may share a table."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and how; the defaults are the published protocol with the model's own preprocessing.

    `layers`, `utilities`, `methods` and `metrics` are names, or sets ("paper", "all"). `preprocess` None is the model's
    own. `class_rule`: what is explained is the "prediction", the "label", or the prediction of those images alone where
    it is the label ("correct"). `objects`: the pointing metrics ask for objects of the explained "class", or for "any".
    `nodes`, `tolerance` and `players` are as in `Explainer.compare`; `seed` is for methods, with each image's
    content, as `options.seed` is for metrics. `scaling` and `aggregation` are said, and cannot be chosen yet.
    """

    layers: tuple[str, ...] = ("before-pool",)
    utilities: tuple[str, ...] = ("rest",)
    methods: tuple[str, ...] = ("paper",)
    metrics: tuple[str, ...] = ("paper",)
    preprocess: Preprocess | None = None
    class_rule: ClassRule = "prediction"
    objects: ObjectRule = "class"
    options: MetricOptions = field(default_factory=MetricOptions)
    nodes: Nodes = 8
    tolerance: float = 0.01
    players: tuple[int, int] | None = None
    seed: int = 0
    scaling: str = SCALING
    aggregation: str = AGGREGATION

    def __post_init__(self) -> None:
        """Write the sets out, and refuse unknown names.

        Raises:
            OptionError: an unknown layer rule, utility, method, metric or class rule.
        """
        for name in ASKED:
            value = getattr(self, name)
            several = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
            object.__setattr__(self, name, tuple(dict.fromkeys(several)))
        self._check_effort()
        players = _LARGEST if self.players is None else self.players[0] * self.players[1]
        object.__setattr__(self, "methods", tuple(expand_methods(self.methods, players)))
        object.__setattr__(self, "metrics", tuple(expand_metrics(self.metrics)))
        layers = (rule_of(layer, modules=None) or layer for layer in self.layers)
        object.__setattr__(self, "layers", tuple(dict.fromkeys(layers)))
        for utility in self.utilities:
            if not isinstance(utility, str):
                raise OptionError(f"utility {utility!r} is stored by name; expected one of {', '.join(UTILITIES)}")
        object.__setattr__(
            self, "utilities", tuple(dict.fromkeys(resolve_utility(name).name for name in self.utilities))
        )
        for name, kind in (("class_rule", ClassRule), ("objects", ObjectRule)):
            if getattr(self, name) not in get_args(kind):
                choices = ", ".join(map(repr, get_args(kind)))
                raise OptionError(f"{name} is {getattr(self, name)!r}; expected one of {choices}")
        for name, only in (("scaling", SCALING), ("aggregation", AGGREGATION)):
            if getattr(self, name) != only:
                raise OptionError(f"{name} is {getattr(self, name)!r}; there is one way so far: {only!r}")
        for name in ("layers", "utilities"):
            if not getattr(self, name):
                raise OptionError(f"no {name} were given; expected at least one")

    def _check_effort(self) -> None:
        check_tolerance(self.tolerance)
        if self.nodes != "auto" and not (isinstance(self.nodes, int) and self.nodes >= 1):
            raise OptionError(f"nodes is {self.nodes!r}; expected 1 or more, or 'auto'")
        if self.players is not None and not (len(self.players) == 2 and min(self.players) >= 1):
            raise OptionError(f"players is {self.players!r}; expected (rows, columns) of a grid of regions, or None")
        if not isinstance(self.preprocess, (Preprocess, type(None))):
            found = type(self.preprocess).__name__
            raise OptionError(f"preprocess is a {found}; expected a shapleycam.Preprocess, or None for the model's own")

    @classmethod
    def paper(cls) -> Protocol:
        """The published protocol: both layers, ReST, ten methods, six metrics, the paper's preprocessing."""
        return cls(layers=("before-pool", "last-conv"), preprocess=paper.PREPROCESS)

    @property
    def effort(self) -> dict[str, Any]:
        """Nodes, tolerance and seed, as `Effort` takes them."""
        return {"nodes": self.nodes, "tolerance": self.tolerance, "seed": self.seed}

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self)
        if self.preprocess is not None:
            found["preprocess"] = preprocess_as_data(self.preprocess)
        data: dict[str, Any] = _plain(found)
        return data


def preprocess_as_data(preprocess: Any) -> Any:
    """A preprocessing as JSON has it; of one that is not ours what it says of itself."""
    if isinstance(preprocess, Preprocess):
        return _plain({**asdict(preprocess), "interpolation": preprocess.interpolation.value})
    named = preprocess if hasattr(preprocess, "__qualname__") else None
    text = f"{named.__module__}.{named.__qualname__}" if named else repr(preprocess)
    return without_addresses(" ".join(text.split()))


def without_addresses(text: str) -> str:
    """What objects print of themselves, without where they lie in memory."""
    return _ADDRESS.sub("", text)


def differences(one: Mapping[str, Any], other: Mapping[str, Any], ignored: Iterable[str] = ()) -> list[str]:
    """What differs between two protocols (or other things) as JSON has them: "class_rule was 'label', is 'correct'".

    What is `ignored` is so at any depth.
    """
    found, left_out = [], set(ignored)
    for name in sorted({*one, *other} - left_out):
        before, after = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += [f"{name}.{text}" for text in differences(before, after, left_out)]
        elif name not in one or name not in other:
            found.append(f"{name} is {'missing' if name in one else 'new'}")
        elif before != after:
            found.append(f"{name} was {_shown(before)}, is {_shown(after)}")
    return found


def _shown(value: Any) -> str:
    """A value in a message: a thousand labels would be a page."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value
