"""Groups of options for the engine, the place and the speed of a run."""

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
    """The options of the engine: this process, or a Ray cluster."""

    engine: options.EngineName = "local"
    address: options.Address = None
    actors: options.Actors = None
    actor_cpus: options.ActorCpus = None
    actor_gpus: options.ActorGpus = None

    def make_engine(self) -> Engine | None:
        """Return the engine; None for this process.

        Raises:
            OptionError: Ray is not installed, or options of Ray were given for another engine.
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
    """The options of where and how fast an evaluation runs."""

    device: options.Device = None
    batch_size: options.BatchSize = 16
    workers: options.Workers = None
    strict: bool = False
    retry_errors: options.RetryErrors = False

    def settings(self, engine: Engine | None) -> RunSettings:
        """Return the settings of an evaluation.

        Raises:
            OptionError: workers of this process were given together with an engine.
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
    """The same, with the option to stop at a photograph that cannot be measured."""

    strict: options.Strict = False


@dataclass(frozen=True)
class ActionGroup:
    """The options of running an evaluation or only planning it, and of what is printed meanwhile."""

    plan: options.Plan = False
    quiet: options.Quiet = False
