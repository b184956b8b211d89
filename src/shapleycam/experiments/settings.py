"""`RunSettings`: where and how fast an evaluation runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch

from shapleycam.errors import OptionError
from shapleycam.experiments.engines import Engine, Local
from shapleycam.experiments.engines.local import forks_processes
from shapleycam.foreign_errors import convert_errors
from shapleycam.wording import first_line


def _spare_workers() -> int:
    """Return the default number of decoding processes: half of the cores minus one, between 0 and 4.

    It is 0 if new processes are not forks of this one: each would run the user's script again, which may lack the
    `__main__` guard, and a preprocessing that is defined in this script could not be pickled.
    """
    return max(0, min(4, (os.cpu_count() or 1) // 2 - 1)) if forks_processes() else 0


@dataclass(frozen=True)
class RunSettings:
    """Where and how fast an evaluation runs; settings change numbers only by rounding (batch sizes by about 1e-5).

    Args:
        device: the model's device, such as "cpu" or "cuda"; None for the GPU if there is one and the model was given
            by name.
        batch_size: images of a forward pass.
        workers: number of processes that decode photographs ahead. The default is half of the cores minus one, at most
            4, if new processes are forks of this one, and otherwise 0 (Windows, macOS, and Linux from Python 3.14 on).
        strict: whether an image that cannot be measured ends the run; otherwise its row has the error.
        retry_errors: whether images that could not be measured in an earlier session are tried again, together with
            the other images of their chunk. Images whose file was changed during a session, and restored since, are
            always tried again.
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
        """Refuse settings that cannot be used.

        Raises:
            OptionError: the device does not exist, or a number is out of range.
        """
        if self.local and self.device is not None:
            _check_device(self.device)
        if self.workers < 0 or self.batch_size < 1:
            raise OptionError(
                f"workers is {self.workers}, batch_size {self.batch_size}; expected 0 or more, and 1 or more"
            )


def _check_device(device: str | torch.device) -> None:
    with convert_errors(
        lambda error: OptionError(f"device {device!r} cannot be used ({first_line(error)}); expected cpu, cuda or mps")
    ):
        torch.empty(0, dtype=torch.float32, device=device)
