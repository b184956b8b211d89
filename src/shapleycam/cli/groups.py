"""Groups of an explainer's options that several commands share."""

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
    """The options of the network and of what is explained; `explainers.make_explainer` makes an explainer from them."""

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
    """The options of a network at one layer."""

    model: options.Model = options.DEFAULT_MODEL
    layer: options.Layer = None
    removal: options.Removal = "zero"
    reference: options.Reference = None


@dataclass(frozen=True)
class LayersNetworkGroup(NetworkGroup):
    """All options of a network, at one or several layers."""

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
    """The options of the methods, the class to explain, and the smoothing."""

    method: options.Methods = None
    target: options.Target = None
    smooth: options.Smooth = None


@dataclass(frozen=True)
class BoxQuestionGroup(QuestionGroup):
    """The same, with the option to explain a detector's box."""

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
        """Return the library's options of estimators; `progress` is called during sampling.

        Raises:
            OptionError: the nodes or players cannot be parsed.
        """
        from shapleycam.values.options import EstimatorOptions

        nodes, players = parse_nodes(self.nodes), self.regions()
        return EstimatorOptions(nodes, self.tolerance, self.seed, players, progress, self.runs)

    def check(self) -> None:
        """Refuse nodes or players that cannot be parsed, before anything is loaded.

        Raises:
            OptionError: the nodes or players cannot be parsed.
        """
        parse_nodes(self.nodes)
        self.regions()

    def regions(self) -> tuple[int, int] | str | None:
        """Return the players that are the same for every photograph.

        Raises:
            OptionError: the players cannot be parsed.
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
        """Return the annotations of the objects that are the players; None if the players are others."""
        return outlines_of(self.players)

    def check_photographs(self, photos: Sequence[Path]) -> None:
        """Refuse several photographs that would all get the same outlined objects.

        Raises:
            OptionError: there are such photographs.
        """
        if self.outlines is not None:
            self.outlines.check_photographs(photos)

    def regions(self) -> tuple[int, int] | str | None:
        """Return the players that are the same for every photograph; None if each photograph has its own objects."""
        if self.outlines is None:
            return super().regions()
        self.outlines.check()
        return None


@dataclass(frozen=True)
class ComputeGroup:
    """The options of an explainer's device, memory and precision."""

    device: options.Device = None
    batch_size: int = 16
    memory: options.Memory = options.DEFAULT_MEMORY
    precision: options.Precision = "full"


@dataclass(frozen=True)
class BatchComputeGroup(ComputeGroup):
    """The same, with the batch size for many photographs."""

    batch_size: options.BatchSize = 16


@dataclass(frozen=True)
class PrintGroup:
    """The options of printing."""

    as_json: options.Json = False
    quiet: options.Quiet = False


@dataclass(frozen=True)
class TimedPrintGroup(PrintGroup):
    """The same, with the option to print the time of each part of the command."""

    timings: options.Timings = False
