"""Owen values of regions of the photograph: the coarse groups first, then finer ones, while somebody watches.

What comes next depends on how many runs were planned, so that the states of each plan are kept by themselves. The worth
of each coalition is kept for all plans: none is evaluated twice, also where somebody left in the midst of a state.
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
"""Coalitions that are evaluated between two looks at whether somebody still waits."""
_SECONDS_TO_CHECK = 0.1
_PLANS = 4
"""Plans whose states are kept; of others they are made again, without runs."""
_EVERYBODY = torch.zeros(1, dtype=torch.long, device="cpu")
"""The one image of a question."""
State = tuple[Int[Tensor, " n"], PlayerValues]
"""The group of each region among those whose values are known, and these values."""


@dataclass
class _States:
    """The states of one plan so far, and what makes the next; None before it began and after it was interrupted."""

    kept: list[State] = field(default_factory=list)
    more: Iterator[OwenValues] | None = None
    is_whole: bool = False


class RefinedInput(WatchedInput):
    """A game of one photograph's regions, the worth of its coalitions, and the states of each plan so far."""

    def __init__(self, game: Game, image: Explanation) -> None:
        super().__init__(game, image)
        (self._tree,) = trees_of_images(None, game.players)
        self._worth: dict[bytes, float] = {}
        self._seconds = 0.0
        self._states: SharedCache[_States] = SharedCache(_PLANS)
        self._lock = Lock()
        self._check: Callable[[], None] = lambda: None

    def steps(self, plan: RunPlan, check: Callable[[], None]) -> Iterator[Step]:
        """Yield the values of the groups that are known after each look, until the plan's runs.

        Of an unstopped plan the last are those of `Explainer.explain` with these runs. A state for which no run was
        made, since all of its coalitions were known, is a step only as the last one.
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
        """Return how many runs the newest state of the plan was made of, whoever asked for it."""
        states = self._states.peek(plan.planned)
        return self._runs_of(states.kept[-1]) if states and states.kept else 0

    def stopped_at(self, step: Step, plan: RunPlan) -> RunPlan:
        """Return the plan that was stopped at the step."""
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
        """Make the next state of a plan, unless somebody else has made it by now; one thread at a time makes any."""
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
            # Where that was interrupted, a generator is of no more use: the next begins anew, with all that is known.
            states.more, states.is_whole = more, shares is None
            if shares is not None:
                states.kept.append(known_groups(self._tree, shares))
        finally:
            self._lock.release()

    def _begin(self, planned: int, skipped: int) -> Iterator[OwenValues]:
        """Return the states of a plan behind so many; those before take no runs, since their coalitions are known."""
        return islice(owen_within(self.game, planned, TOLERANCE, _SEED, worth=self._evaluate), skipped, None)

    def _evaluate(self, coalitions: Bool[Tensor, "s n"]) -> Float[Tensor, " s"]:
        """Return the worth of coalitions, a few at a time; those that are known are not evaluated."""
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
