"""Where and how fast an evaluation runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch

from shapleycam.errors import OptionError
from shapleycam.experiments.engines import Engine, Local
from shapleycam.experiments.engines.local import forks_processes
from shapleycam.wording import first_line


def _spare_workers() -> int:
    """Return how many processes may decode beside this one: half of the cores but one, at most 4; 0 of two cores.

    None where processes are not forked: each would run the user's script again, which may have no guard against that,
    and a preprocessing in a file of the user's could not be sent to them.
    """
    return max(0, min(4, (os.cpu_count() or 1) // 2 - 1)) if forks_processes() else 0


@dataclass(frozen=True)
class RunSettings:
    """Where and how fast an evaluation runs; it changes no number by more than rounding (batch sizes do, by 1e-5).

    Args:
        device: of the model, such as "cpu" or "cuda"; None for the GPU where a named model finds one.
        batch_size: images of a forward pass.
        workers: processes that decode photographs ahead; by default as many as the machine has cores to spare, where
            processes are forked, and otherwise none (Windows, macOS, and Linux from Python 3.14 on).
        strict: whether an image that cannot be measured ends the run; otherwise its row says why.
        retry_errors: whether images that could not be measured in an earlier session of the run are tried again, each
            with the other images of its chunk. Those that were changed while it went on, and are back, always are.
        engine: where the work is done, such as `Ray()`; None for this process.

    Examples:
        >>> from shapleycam.experiments import RunSettings
        >>> RunSettings(workers=0).effective_engine
        Local(workers=0)
    """

    device: str | torch.device | None = None
    batch_size: int = 16
    workers: int = field(default_factory=_spare_workers)
    strict: bool = False
    engine: Engine | None = None
    retry_errors: bool = False

    @property
    def local(self) -> bool:
        """Return whether this process does the work."""
        return self.engine is None

    @property
    def effective_engine(self) -> Engine:
        """Return the engine that does the work."""
        return self.engine or Local(self.workers)

    def check(self) -> None:
        """Refuse settings that cannot be had.

        Raises:
            OptionError: a device that is not here, or numbers out of range.
        """
        if self.local and self.device is not None:
            _check_device(self.device)
        if self.workers < 0 or self.batch_size < 1:
            raise OptionError(
                f"workers is {self.workers}, batch_size {self.batch_size}; expected 0 or more, and 1 or more"
            )


def _check_device(device: str | torch.device) -> None:
    try:
        torch.empty(0, dtype=torch.float32, device=device)
    except Exception as error:
        reason = first_line(error)
        raise OptionError(f"device {device!r} cannot be used ({reason}); expected cpu, cuda or mps") from error
