"""Runs one approximator of shapiq for another process, which plays the game: started by `shapley_peers.py`.

It runs in an environment of its own, since shapiq's newest versions need a newer Python than the one that is measured.
Requests and answers are pickled, on standard input and output.
"""

from __future__ import annotations

import pickle
import sys
from importlib.metadata import version

import numpy as np
import shapiq.approximator as approximators


def main() -> None:
    """Answer requests (name, players, budget, seed) until the input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever shapiq prints

    def answer(what: object) -> None:
        pickle.dump(what, answers)
        answers.flush()

    def worth(coalitions: np.ndarray) -> np.ndarray:
        answer(np.atleast_2d(coalitions).astype(bool))
        return pickle.load(requests)  # noqa: S301  # from the process that started this one

    answer((version("shapiq"), ".".join(map(str, sys.version_info[:3]))))
    while True:
        try:
            name, players, budget, seed = pickle.load(requests)  # noqa: S301
        except EOFError:
            return
        try:
            approximator = getattr(approximators, name)(n=players, random_state=seed)
            values = approximator.approximate(budget, worth).get_n_order_values(1)
        except Exception as error:  # noqa: BLE001  # whatever it is, the one that asked says so
            answer(f"{type(error).__name__}: {error}")
        else:
            answer(np.asarray(values, dtype=np.float64))


if __name__ == "__main__":
    main()
