"""Owen values of regions of the photograph: first of coarse groups, then of finer ones, while a visitor watches.

The next state depends on the number of planned runs, so the states of each plan are stored separately. The worth of
coalitions is stored for all plans, so that none is evaluated twice, even if a visitor leaves in the middle of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from threading import Lock
from time import monotonic

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.cams.run_check import check_runs
from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values._known_groups import known_groups
from shapleycam.values._owen import OwenValues, owen_within
from shapleycam.values.group_tree import trees_of_images
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import PlayerValues
from shapleycam.web.player_choices import RunPlan
from shapleycam.web.shared_cache import SharedCache
from shapleycam.web.watched_input import TOLERANCE, Step, WatchedInput

_SEED = EstimatorOptions().seed
_AT_ONCE = 16
"""Coalitions that are evaluated between two checks whether somebody still waits."""
_SECONDS_TO_CHECK = 0.1
_PLANS = 4
"""Number of plans whose states are stored; those of other plans are made again, without runs of the model."""
_EVERYBODY = torch.zeros(1, dtype=torch.long, device="cpu")
"""The index of the only image of a question."""
State = tuple[Int[Tensor, " n"], PlayerValues]
"""The group of each region, for the groups whose values are known, and the values of these groups."""


@dataclass
class _States:
    """The states of one plan so far, and the iterator for the next; None before the start and after an interruption."""

    kept: list[State] = field(default_factory=list)
    more: Iterator[OwenValues] | None = None
    is_whole: bool = False


class RefinedInput(WatchedInput):
    """A game of the regions of one photograph, the worth of its coalitions, and the states of each plan so far."""

    def __init__(self, game: Game, image: Explanation) -> None:
        super().__init__(game, image)
        (self._tree,) = trees_of_images(None, game.players)
        self._worth: dict[bytes, float] = {}
        self._seconds = 0.0
        self._states: SharedCache[_States] = SharedCache(_PLANS)
        self._lock = Lock()
        self._check: Callable[[], None] = lambda: None

    def steps(self, plan: RunPlan, check: Callable[[], None]) -> Iterator[Step]:
        """Yield the values of the groups that are known after each state, until the plan's number of runs.

        If the plan was not stopped, the last step has the values of `Explainer.explain` with this number of runs. A
        state without new runs, because all of its coalitions were known, is a step only if it is the last one.
        """
        check_runs(self.game, [METHODS["owen"]], plan.planned, plan.planned)
        step, unseen = None, None
        for state in self._follow(plan.planned, check):
            runs = self._runs_of(state)
            if runs > plan.most:
                break
            if step is not None and runs == step.runs:
                unseen = state
                continue
            step, unseen = self._step(state, plan), None
            yield step
            if plan.is_stopped and runs == plan.most:
                return
        else:
            if unseen is not None:
                yield self._step(unseen, plan)
        if step is None:
            raise OptionError(
                f"{plan.most:,} runs of the model are too few for a first state of {plan.planned:,}; allow more in "
                "the box Runs"
            )

    def runs_drawn(self, plan: RunPlan) -> int:
        """Return the number of runs in the newest state of the plan, whichever visitor caused them."""
        states = self._states.peek(plan.planned)
        return self._runs_of(states.kept[-1]) if states and states.kept else 0

    def stopped_at(self, step: Step, plan: RunPlan) -> RunPlan:
        """Return the plan for stopping at this step."""
        return RunPlan(step.runs, plan.planned)

    def _runs_of(self, state: State) -> int:
        return int(state[1].evaluations[0]) * self.game.runs_per_coalition

    def _step(self, state: State, plan: RunPlan) -> Step:
        (groups, values), runs, players = state, self._runs_of(state), self.game.players
        count = values.values.shape[1]
        if count < players.count:
            players = replace(players, member=groups.to(players.member.device)[players.member], count=count, names=())
        seconds_each = self._seconds / max(1, len(self._worth) * self.game.runs_per_coalition)
        return Step(runs, plan.most, values, players, seconds_each * (plan.most - runs))

    def _follow(self, planned: int, check: Callable[[], None]) -> Iterator[State]:
        """Yield the states of a plan from the first on."""
        states = self._states.get(planned, _States)
        place = 0
        while True:
            while len(states.kept) <= place:
                if states.is_whole:
                    return
                self._extend(states, place, planned, check)
            yield states.kept[place]
            place += 1

    def _extend(self, states: _States, place: int, planned: int, check: Callable[[], None]) -> None:
        """Make the next state of a plan, unless another thread has made it; only one thread at a time makes states."""
        check()
        while not self._lock.acquire(timeout=_SECONDS_TO_CHECK):
            check()
        try:
            if len(states.kept) > place or states.is_whole:
                return
            self._check = check
            more, states.more = states.more or self._begin(planned, len(states.kept)), None
            with torch.no_grad():
                shares = next(more, None)
            # After an interruption the generator cannot continue. The next one starts again, with all that is known.
            states.more, states.is_whole = more, shares is None
            if shares is not None:
                states.kept.append(known_groups(self._tree, shares))
        finally:
            self._lock.release()

    def _begin(self, planned: int, skipped: int) -> Iterator[OwenValues]:
        """Return the states of a plan after the first `skipped`, which need no runs: their coalitions are known."""
        return islice(owen_within(self.game, planned, TOLERANCE, _SEED, worth=self._evaluate), skipped, None)

    def _evaluate(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        """Return the worth of coalitions; unknown ones are evaluated, a few at a time."""
        keys = [coalition.numpy().tobytes() for coalition in coalitions]
        new = [row for row, key in enumerate(keys) if key not in self._worth]
        for start in range(0, len(new), _AT_ONCE):
            rows = new[start : start + _AT_ONCE]
            self._check()
            began = monotonic()
            worth = self.game.value(coalitions[rows], _EVERYBODY)[0]
            self._worth |= dict(zip((keys[row] for row in rows), worth.tolist(), strict=True))
            self._seconds += monotonic() - began
        values = [self._worth[key] for key in keys]
        return torch.tensor(values, dtype=torch.float64, device="cpu")
