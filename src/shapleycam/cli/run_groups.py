"""The groups of options that say what does the work of a run, where and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shapleycam.cli import options
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.experiments import RunSettings
    from shapleycam.experiments.engines import Engine


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
