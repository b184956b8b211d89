"""The groups of options of an explainer that several commands share, and what the library makes of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.cli import options
from shapleycam.cli.outlines import Outlines, outlines_of
from shapleycam.cli.parsing import parse_nodes, parse_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.values.options import EstimatorOptions
    from shapleycam.values.progress import Progress


@dataclass(frozen=True)
class NetworkGroup:
    """The network, and what of it is explained. `explainers.make_explainer` builds an explainer of it."""

    model: str | None = None
    checkpoint: options.Checkpoint = None
    pretrained: options.Pretrained = True
    layer: str | list[str] | None = None
    fuse: str = "mean"
    layout: str | None = None
    output: str | None = None
    utility: str = "rest"
    against: str | None = None
    removal: str = "zero"
    reference: list[Path] | None = None


@dataclass(frozen=True)
class OneLayerNetworkGroup(NetworkGroup):
    """A network at one layer."""

    model: options.Model = options.DEFAULT_MODEL
    layer: options.Layer = None
    removal: options.Removal = "zero"
    reference: options.Reference = None


@dataclass(frozen=True)
class LayersNetworkGroup(NetworkGroup):
    """A network at one layer or several, with all that can be said of it and asked."""

    model: options.Model = options.DEFAULT_MODEL
    layer: options.Layers = None
    fuse: options.Fuse = "mean"
    layout: options.Layout = None
    output: options.Output = None
    utility: options.UtilityName = "rest"
    against: options.Against = None
    removal: options.Removal = "zero"
    reference: options.Reference = None


@dataclass(frozen=True)
class QuestionGroup:
    """The methods, the class that they explain, and how their maps are smoothed."""

    method: options.Methods = None
    target: options.Target = None
    smooth: options.Smooth = None


@dataclass(frozen=True)
class BoxQuestionGroup(QuestionGroup):
    """The same, asked of a detector's box too."""

    box: options.BoxOfDetector = None


@dataclass(frozen=True)
class EstimatorGroup:
    """The options of the estimators."""

    nodes: options.Nodes = "8"
    tolerance: options.Tolerance = 0.01
    players: str | None = None
    seed: options.Seed = 0
    runs: int | None = None

    def options(self, progress: Progress | None = None) -> EstimatorOptions:
        """Return the options as the library takes them, with a listener to the sampling.

        Raises:
            OptionError: nodes or players of another form than they have.
        """
        from shapleycam.values.options import EstimatorOptions

        nodes, players = parse_nodes(self.nodes), self.regions()
        return EstimatorOptions(nodes, self.tolerance, self.seed, players, progress, self.runs)

    def check(self) -> None:
        """Refuse nodes or players of another form than they have, before anything is loaded.

        Raises:
            OptionError: there are such.
        """
        parse_nodes(self.nodes)
        self.regions()

    def regions(self) -> tuple[int, int] | str | None:
        """Return the players that are the same for every photograph.

        Raises:
            OptionError: players of another form than they have.
        """
        return parse_regions(self.players)


@dataclass(frozen=True)
class RegionEstimatorGroup(EstimatorGroup):
    """The options of the estimators, with players that may be regions."""

    players: options.Regions = None
    runs: options.Runs = None


@dataclass(frozen=True)
class OutlinedEstimatorGroup(RegionEstimatorGroup):
    """The options of the estimators, with players that may also be objects outlined in the photograph."""

    players: options.OutlinedRegions = None

    @property
    def outlines(self) -> Outlines | None:
        """Return where the objects are outlined that are the players."""
        return outlines_of(self.players)

    def check_photographs(self, photos: Sequence[Path]) -> None:
        """Refuse photographs of which several would have the same outlined objects.

        Raises:
            OptionError: there are such.
        """
        if self.outlines is not None:
            self.outlines.check_photographs(photos)

    def regions(self) -> tuple[int, int] | str | None:
        """Return the players that are the same for every photograph: none where each has its own objects."""
        if self.outlines is None:
            return super().regions()
        self.outlines.check()
        return None


@dataclass(frozen=True)
class ComputeGroup:
    """Where an explainer runs, and how much of the machine it may take."""

    device: options.Device = None
    batch_size: int = 16
    memory: options.Memory = options.DEFAULT_MEMORY
    precision: options.Precision = "full"


@dataclass(frozen=True)
class BatchComputeGroup(ComputeGroup):
    """Where an explainer runs that is given many photographs."""

    batch_size: options.BatchSize = 16


@dataclass(frozen=True)
class PrintGroup:
    """What is printed."""

    as_json: options.Json = False
    quiet: options.Quiet = False


@dataclass(frozen=True)
class TimedPrintGroup(PrintGroup):
    """What is printed, with the time that each part of the command took."""

    timings: options.Timings = False
