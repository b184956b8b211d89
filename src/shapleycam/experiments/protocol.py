"""`Protocol`: all choices that change the numbers of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import OptionError
from shapleycam.experiments.plain_data import preprocess_as_data, without_tuples
from shapleycam.experiments.removal_name import removal_name
from shapleycam.experiments.rules import MEASURED_FIELDS, ClassRule, ObjectRule
from shapleycam.game.removal import NAMED, SAMPLES, RemovalChoice, resolve_removal
from shapleycam.images import find_photographs
from shapleycam.layers import parse_layer_rule
from shapleycam.metrics import MetricOptions
from shapleycam.metrics.table import expand_metrics
from shapleycam.models import paper
from shapleycam.models.preprocess import Preprocess
from shapleycam.names import canonical_name, nearest
from shapleycam.smoothing import Smooth, parse_smoothing, smoothing_name
from shapleycam.smoothing.checks import check_mirrors
from shapleycam.smoothing.eigen import smooth_rows
from shapleycam.smoothing.table import AUGMENT, EIGEN
from shapleycam.tracing.reduced_precision import Precision, check_precision
from shapleycam.utilities import UTILITIES, resolve_utility
from shapleycam.values._path import Nodes
from shapleycam.values.options import EstimatorOptions, check_run_count
from shapleycam.values.tolerance import check_tolerance

CONSTANTS = {
    "scaling": "ReLU, min-max at native size, bilinear to the input, min-max (arXiv:2501.06261)",
    "aggregation": "mean over images; ADCC of the means, and of each image",
}
"""Fixed choices, which are stored with every protocol: the scaling of heatmaps, and the aggregation over images."""

_BOTH_LAYERS = ("before-pool", "last-conv")
_PUBLISHED_SETTINGS = {
    "rest": (_BOTH_LAYERS, ("paper",)),
    "log_probability": (_BOTH_LAYERS, ("paper", "shapleycam-x")),
    "logit": (("before-pool",), ("paper",)),
}
"""The layers and methods with published figures, by utility; a test compares them with the figures."""

_GRID_PLAYERS = 256
"""Number of players that the set of methods "all" assumes if `players` is None: too many for exactshapley."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and how; the defaults are the published protocol with the model's own preprocessing.

    A new protocol replaces sets by the names in them, and other spellings by the canonical names.

    Args:
        layers: rules or names of layers ("before-pool", "last-conv", "features.3", "input").
        utilities: names of utilities.
        methods: names of methods, or the sets "paper", "all" and "field".
        metrics: names of metrics, or the sets "paper" and "all".
        preprocess: the preprocessing of all models; None for each model's own.
        class_rule: the explained class: the model's "prediction", the image's "label", or "correct", which explains the
            prediction and excludes images whose prediction is not the label.
        objects: whether pointing metrics use objects of the explained "class", or of "any" class.
        options: options of the metrics.
        nodes: the number of gradients along the path, as in `Explainer.compare`.
        tolerance: the relative standard error of sampled values, as in `Explainer.compare`.
        players: (rows, columns) of a grid of regions; None for single positions.
        seed: random methods draw from this seed and each image's content.
        removal: what replaces the content of absent players, as in `Explainer`: a name or a tensor.
        reference: photographs, or folders of them, for removal "mean" or "samples".
        precision: the precision of the layers before the explained one, as in `Explainer`: "full" or "bfloat16".
        smooth: one or several smoothings of maps, as in `Explainer.explain`.
        runs: the maximum number of runs of the head for the values of one image, as in `Explainer.compare`.

    Attributes:
        removal_name: the removal's name in results; with reference photographs it has a hash of their files.

    Raises:
        OptionError: an unknown name, an empty list, a number that is out of range, or a removal that is a function.
        ImageError: a folder of reference photographs has no photographs.

    Examples:
        >>> from shapleycam.experiments import Protocol
        >>> protocol = Protocol(methods=("GradCAM", "shapleycam"), metrics="adcc")
        >>> protocol.methods, protocol.metrics
        (('gradcam', 'shapleycam'), ('adcc',))
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
    removal: RemovalChoice = field(default="zero", repr=False, compare=False)
    reference: tuple[Path, ...] = field(default=(), repr=False, compare=False)
    removal_name: str = field(init=False, default="zero")
    precision: Precision = "full"
    smooth: Smooth = ()
    runs: int | None = None

    def __post_init__(self) -> None:
        """Replace sets by the names in them, and refuse values that are unknown or out of range."""
        for name in MEASURED_FIELDS:
            object.__setattr__(self, name, _without_repeats(getattr(self, name)))
        self._check_estimator_options()
        check_precision(self.precision)
        paths = [self.reference] if isinstance(self.reference, (str, Path)) else self.reference
        object.__setattr__(self, "reference", tuple(find_photographs(paths)))
        object.__setattr__(self, "removal_name", removal_name(self.removal, self.reference))
        players = _GRID_PLAYERS if self.players is None else self.players[0] * self.players[1]
        object.__setattr__(self, "methods", tuple(expand_methods(self.methods, players)))
        object.__setattr__(self, "smooth", parse_smoothing(self.smooth))
        self._check_smoothing()
        object.__setattr__(self, "metrics", tuple(expand_metrics(self.metrics)))
        layers = (parse_layer_rule(layer, modules=None) or layer for layer in self.layers)
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
        for name in ("layers", "utilities"):
            if not getattr(self, name):
                raise OptionError(f"no {name} were given; expected at least one")

    def _check_estimator_options(self) -> None:
        check_tolerance(self.tolerance)
        if self.nodes != "auto" and not (isinstance(self.nodes, int) and self.nodes >= 1):
            raise OptionError(f"nodes is {self.nodes!r}; expected 1 or more, or 'auto'")
        check_run_count(self.runs)
        if self.players is not None and not (len(self.players) == 2 and min(self.players) >= 1):
            raise OptionError(f"players is {self.players!r}; expected (rows, columns) of a grid of regions, or None")
        if not isinstance(self.preprocess, (Preprocess, type(None))):
            kind = type(self.preprocess).__name__
            raise OptionError(f"preprocess is a {kind}; expected a shapleycam.Preprocess, or None for the model's own")

    def _check_smoothing(self) -> None:
        """Refuse smoothings that the methods, the players or the removal do not allow, before a model is loaded."""
        if EIGEN.name in self.smooth:
            smooth_rows([METHODS[name] for name in self.methods])
        if AUGMENT.name in self.smooth:
            check_mirrors(None if self.removal_name in NAMED else self.removal_name, self.players)

    @classmethod
    def paper(cls, utility: str = "rest") -> Protocol:
        """Return the protocol of the published figures for a utility: six metrics, the paper's preprocessing.

        For "rest" these are the paper's tables, with two layers and ten methods. For "log_probability" and "logit" they
        are the author's ablations: the former has "shapleycam-x" too, the latter only the layer before pooling.

        Raises:
            OptionError: no figures were published with this utility.

        Examples:
            >>> from shapleycam.experiments import Protocol
            >>> Protocol.paper().layers, Protocol.paper("logit").layers
            (('before-pool', 'last-conv'), ('before-pool',))
        """
        name = canonical_name(utility, _PUBLISHED_SETTINGS)
        if name is None:
            raise OptionError(
                f"no figures were published with utility {utility!r}; {nearest(utility, _PUBLISHED_SETTINGS)}"
            )
        layers, methods = _PUBLISHED_SETTINGS[name]
        return cls(layers, (name,), methods, preprocess=paper.PREPROCESS)

    @property
    def runs_per_coalition(self) -> int:
        """Return how many runs a coalition takes without a shortcut: one, or one for each reference sample."""
        return len(self.reference) if resolve_removal(self.removal) is SAMPLES else 1

    @property
    def estimator_options(self) -> EstimatorOptions:
        """Return nodes, tolerance, seed, players and runs as the explainer's options."""
        return EstimatorOptions(self.nodes, self.tolerance, self.seed, self.players, runs=self.runs)

    def as_data(self) -> dict[str, Any]:
        """Return the protocol as data for JSON, including the fixed choices."""
        data = {each.name: getattr(self, each.name) for each in fields(self) if each.compare}
        data |= {"options": asdict(self.options), "removal": data.pop("removal_name")}
        data["smooth"] = smoothing_name(self.smooth)
        if self.preprocess is not None:
            data["preprocess"] = preprocess_as_data(self.preprocess)
        plain: dict[str, Any] = without_tuples({**data, **CONSTANTS})
        return plain


def _without_repeats(names: Any) -> tuple[Any, ...]:
    """Return one or several names as a tuple without repetitions."""
    several = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
    return tuple(dict.fromkeys(several))
