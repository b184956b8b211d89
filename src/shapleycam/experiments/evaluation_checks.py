"""What is refused or warned of in an evaluation before anything is loaded or written."""

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
    """Return where objects are: as given, otherwise as the dataset says by itself; None where it does not.

    Raises:
        OptionError: both say so.
    """
    if given is None:
        return dataset.annotations
    if dataset.annotations is not None and given is not dataset.annotations:
        raise OptionError(
            f"{dataset.origin} say by themselves where their objects are, and {given.origin} was given; leave "
            "annotations= out"
        )
    return given


def check_models(names: Sequence[str], checkpoint: Path | None) -> None:
    """Refuse models of one name, no model, and a checkpoint for several.

    Raises:
        OptionError: there are such.
    """
    folded = [name.casefold() for name in names]  # some systems have one folder for names that differ in case
    repeated = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if not names or repeated:
        alike = " (upper and lower case count as one)" if len(repeated) > 1 else ""
        problem = f"models named {', '.join(repeated)} twice{alike}" if repeated else "no models were given"
        raise OptionError(f"{problem}; expected each model once, under a name of its own (shapleycam.Network(name=))")
    if checkpoint is not None and len(names) > 1:
        raise OptionError(f"checkpoint={checkpoint} and {len(names)} models were given; give one model")


def check_objects_are_known(protocol: Protocol, annotations: Annotations | None) -> None:
    """Refuse metrics that ask where objects are where nothing says so.

    Raises:
        OptionError: there are such metrics.
    """
    if annotations is None and needs_objects(protocol.metrics):
        raise OptionError("the pointing metrics ask where the objects are; give annotations=")


def warn_of_options_without_use(protocol: Protocol) -> None:
    """Warn of options that no method, and of players that no metric either, depends on: rows are the same without."""
    rows, messages = [METHODS[name] for name in protocol.methods], set[str]()
    warn_of_unused_options(rows, protocol.estimator_options, messages)
    if "game" not in required_quantities(protocol.metrics):
        warn_of_unused_players(rows, protocol.players, messages)
