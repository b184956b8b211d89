"""The groups of options that several commands share, and what the library makes of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.cli import options
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.experiments import RunSettings
    from shapleycam.experiments.engines import Engine
    from shapleycam.values._path import Nodes
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

        nodes, players = parse_nodes(self.nodes), parse_regions(self.players)
        return EstimatorOptions(nodes, self.tolerance, self.seed, players, progress, self.runs)

    def check(self) -> None:
        """Refuse nodes or players of another form than they have, before anything is loaded.

        Raises:
            OptionError: there are such.
        """
        parse_nodes(self.nodes)
        parse_regions(self.players)


@dataclass(frozen=True)
class RegionEstimatorGroup(EstimatorGroup):
    """The options of the estimators, with players that may be regions."""

    players: options.Regions = None
    runs: options.Runs = None


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
class EngineGroup:
    """What does the work: this process, or a Ray cluster."""

    engine: options.EngineName = "local"
    address: options.Address = None
    actors: options.Actors = None
    actor_cpus: options.ActorCpus = None
    actor_gpus: options.ActorGpus = None

    def make_engine(self) -> Engine | None:
        """Return the engine; None for this process.

        Raises:
            OptionError: Ray is not installed, or its options were given without it.
        """
        if self.engine == "ray":
            from shapleycam.experiments.engines import Ray

            return Ray(self.address, self.actors, self.actor_cpus, self.actor_gpus)
        values = {
            "--address": self.address,
            "--actors": self.actors,
            "--actor-cpus": self.actor_cpus,
            "--actor-gpus": self.actor_gpus,
        }
        for option, value in values.items():
            if value is not None:
                raise OptionError(f"{option} {value} was given, and the work is done in this process; add --engine ray")
        return None


@dataclass(frozen=True)
class RunGroup:
    """Where and how fast an evaluation runs."""

    device: options.Device = None
    batch_size: options.BatchSize = 16
    workers: options.Workers = None
    strict: bool = False
    retry_errors: options.RetryErrors = False

    def settings(self, engine: Engine | None) -> RunSettings:
        """Return the settings of an evaluation.

        Raises:
            OptionError: workers of this process where an engine does the work.
        """
        from shapleycam.experiments import RunSettings

        if engine is not None and self.workers is not None:
            raise OptionError(
                f"--workers {self.workers} was given with --engine ray, which decodes by itself; leave it out"
            )
        common = RunSettings(
            device=self.device,
            batch_size=self.batch_size,
            strict=self.strict,
            engine=engine,
            retry_errors=self.retry_errors,
        )
        return common if self.workers is None else replace(common, workers=self.workers)


@dataclass(frozen=True)
class StrictRunGroup(RunGroup):
    """Where and how fast an evaluation runs, and whether it may pass over a photograph."""

    strict: options.Strict = False


@dataclass(frozen=True)
class ActionGroup:
    """Whether an evaluation runs or is only planned, and what is printed meanwhile."""

    plan: options.Plan = False
    quiet: options.Quiet = False


@dataclass(frozen=True)
class PrintGroup:
    """What is printed."""

    as_json: options.Json = False
    quiet: options.Quiet = False


@dataclass(frozen=True)
class TimedPrintGroup(PrintGroup):
    """What is printed, with the time that each part of the command took."""

    timings: options.Timings = False


def parse_nodes(text: str) -> Nodes:
    """Return the number of nodes that `--nodes` means, or "auto".

    Raises:
        OptionError: neither a whole number from 1 on nor "auto".
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"--nodes {text}: expected a whole number from 1 on, or auto")
    return int(text)


def parse_players(text: str | None) -> tuple[int, int] | None:
    """Return the grid of regions (rows, columns) that `--players` means; None for each position by itself.

    Raises:
        OptionError: not of the form 3x3.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise OptionError(f"--players {text}: expected rows x columns, such as 3x3")
    return int(sides[0]), int(sides[1])


def parse_regions(text: str | None) -> tuple[int, int] | str | None:
    """Return the players that `--players` means: a grid of regions, or a name of regions of the image.

    Raises:
        OptionError: neither of the form 3x3 nor such a name.
    """
    if text is None:
        return None
    if text[:1].isalpha():
        from shapleycam.explaining.image_regions import check_region_name

        return check_region_name(text)
    return parse_players(text)
