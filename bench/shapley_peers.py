"""shapiq's newest approximators on our own games, run by another Python: see `shapiq_worker.py`."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from shapleycam.game import Game

APPROXIMATORS = ("PermutationSamplingSV", "KernelSHAP", "LeverageSHAP", "PolySHAP", "OddSHAP")


class PeerError(Exception):
    """An approximator ended with an error."""


class Shapiq:
    """A process that runs shapiq; it calls for coalitions, and this one plays them.

    Args:
        python: the interpreter of an environment that has shapiq.
    """

    def __init__(self, python: Path) -> None:
        worker = Path(__file__).parent / "shapiq_worker.py"
        self._process = subprocess.Popen([python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version, self.python_version = self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def estimate(self, name: str, game: Game, budget: int, seed: int = 0) -> Tensor:
        """Return the values (1, n) of a game of one image that an approximator finds with so many evaluations.

        Raises:
            PeerError: it finds none.
        """
        self._send((name, game.n_players, budget, seed))
        while True:
            answer = self._receive()
            if isinstance(answer, str):
                raise PeerError(answer)
            if answer.dtype != bool:
                return torch.from_numpy(answer)[None]
            self._send(game.value(torch.from_numpy(answer))[0].double().numpy())

    def _send(self, what: tuple[str, int, int, int] | np.ndarray) -> None:
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> Any:
        return pickle.load(self._process.stdout)  # noqa: S301  # from a process of our own
