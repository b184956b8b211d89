"""Checks of an evaluation's arguments, made before anything is loaded or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shapleycam.cams import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.annotations.base import Annotations
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.protocol import Protocol
from shapleycam.explaining.warnings import warn_of_unused_options, warn_of_unused_players
from shapleycam.metrics.table import needs_objects, required_quantities


def choose_annotations(dataset: Dataset, given: Annotations | None) -> Annotations | None:
    """Return the given annotations, or else the dataset's own; None if there are neither.

    Raises:
        OptionError: there are both.
    """
    if given is None:
        return dataset.annotations
    if dataset.annotations is not None and given is not dataset.annotations:
        raise OptionError(
            f"{dataset.origin} have annotations of their own, and {given.origin} was given; leave annotations= out"
        )
    return given


def check_models(names: Sequence[str], checkpoint: Path | None) -> None:
    """Refuse an empty list of models, models with the same name, and a checkpoint for several models.

    Raises:
        OptionError: one of these is the case.
    """
    folded = [name.casefold() for name in names]  # file systems may not distinguish upper and lower case
    repeated = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if not names or repeated:
        alike = " (upper and lower case count as one)" if len(repeated) > 1 else ""
        problem = f"models named {', '.join(repeated)} twice{alike}" if repeated else "no models were given"
        raise OptionError(f"{problem}; expected each model once, under a name of its own (shapleycam.Network(name=))")
    if checkpoint is not None and len(names) > 1:
        raise OptionError(f"checkpoint={checkpoint} and {len(names)} models were given; give one model")


def check_objects_are_known(protocol: Protocol, annotations: Annotations | None) -> None:
    """Refuse metrics that need annotations if there are none.

    Raises:
        OptionError: a metric needs annotations, and there are none.
    """
    if annotations is None and needs_objects(protocol.metrics):
        raise OptionError("the pointing metrics ask where the objects are; give annotations=")


def warn_of_options_without_use(protocol: Protocol) -> None:
    """Warn of estimator options that no method uses, and of `players` if neither a method nor a metric uses it."""
    rows, messages = [METHODS[name] for name in protocol.methods], set[str]()
    warn_of_unused_options(rows, protocol.estimator_options, messages)
    if "game" not in required_quantities(protocol.metrics):
        warn_of_unused_players(rows, protocol.players, messages)
