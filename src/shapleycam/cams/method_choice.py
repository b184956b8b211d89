"""Resolve a user's names and sets to the methods for one game, with reasons for methods that sets leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shapleycam.cams.bases import Basis, BasisResult
from shapleycam.cams.compute import compute_bases
from shapleycam.cams.method import MOST_PASSES, MOST_RUNS, Method
from shapleycam.cams.run_check import beyond_passes, beyond_runs, check_runs
from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import DerivativeError, OptionError, ShapleyCamError, TargetError
from shapleycam.game import Game
from shapleycam.game.channels import CHANNELS
from shapleycam.names import canonical_name
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.wording import counted

_SETS_WITH_EXCEPTIONS = ("all", "field")


@dataclass(frozen=True)
class MethodChoice:
    """The methods that names and sets mean for a game.

    Attributes:
        rows: the methods, each once, in the order given.
        optional: the names of methods that only a set contains. If the model or the layer refuses one, it is left out.
        left_out: by name, the reasons why sets leave out methods. Methods that take too long are only reported for the
            set `field`.
    """

    rows: tuple[Method, ...]
    optional: frozenset[str]
    left_out: dict[str, str]


def choose_methods(names: Sequence[str], game: Game, options: EstimatorOptions | None = None) -> MethodChoice:
    """Return the methods that names and sets mean for a game; sets leave out methods that take too long.

    Raises:
        OptionError: an unknown name, no names, or a method given by name that takes more runs than the options allow.
        DerivativeError: a method given by name needs a single removed state, and the removal has none.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.cams.method_choice import choose_methods
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten(), torch.nn.Linear(400, 2))
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 10, 10))
        >>> choose_methods(["field"], game).left_out["exactshapley"]
        'it takes up to 2^100 runs for 100 players; ask for it by name, or for fewer players'
        >>> [row.name for row in choose_methods(["gradcam", "exactshapley"], game).rows]
        ['gradcam', 'exactshapley']
    """
    is_set = {name: canonical_name(name, _SETS_WITH_EXCEPTIONS) for name in names}
    by_name = [name for name in names if is_set[name] is None]
    named = set(expand_methods(by_name)) if by_name else set()
    rows = [METHODS[name] for name in expand_methods(names)]
    options = options or EstimatorOptions()
    limit = run_limit(game, options) if any(row.basis.fewest_runs for row in rows) else None
    reasons = {
        row.name: reason
        for row in rows
        if row.name not in named and (reason := _beyond(row, game, limit, options.runs))
    }
    reported = reasons if "field" in is_set.values() else {}
    without_state = _without_removed_state(rows, named, game)
    reported, reasons = reported | without_state, reasons | without_state
    kept = tuple(row for row in rows if row.name not in reasons)
    check_runs(game, kept, limit, options.runs)
    return MethodChoice(kept, frozenset(row.name for row in kept if row.name not in named), reported)


def compute_allowed(
    game: Game, choice: MethodChoice, options: EstimatorOptions
) -> tuple[dict[Basis, BasisResult], dict[str, str]]:
    """Return the result of each basis, and by name the reasons why the model or the layer refuses optional methods.

    Raises:
        OptionError, TargetError, DerivativeError: a method that was given by name is refused, or all methods are.
    """
    results: dict[Basis, BasisResult] = {}
    refusals: dict[str, ShapleyCamError] = {}
    for basis in dict.fromkeys(row.basis for row in choice.rows):
        try:
            results |= compute_bases(game, [basis], options)
        except (OptionError, TargetError, DerivativeError) as error:
            refused = [row.name for row in choice.rows if row.basis is basis]
            if not choice.optional.issuperset(refused):
                raise
            refusals |= dict.fromkeys(refused, error)
    if refusals and not results:
        raise next(iter(refusals.values()))
    return results, {name: str(error) for name, error in refusals.items()}


def is_affordable(row: Method, game: Game) -> bool:
    """Return whether a method is fast enough for sets in this game."""
    return row.is_affordable(game.n_players, game.n_channels) or (
        row.basis.is_of_channels and game.removal.is_fixed and _is_pooled(game)
    )


def _without_removed_state(rows: Sequence[Method], named: set[str], game: Game) -> dict[str, str]:
    """Return by name the reasons why the removal does not allow some methods of sets.

    Raises:
        DerivativeError: it does not allow a method that was given by name.
    """
    needing = [row.name for row in rows if row.needs_removed_state]
    for name in needing:
        if name in named:
            game.removal.check_fixed(f"method {name!r}")
    try:
        game.removal.check_fixed("it")
    except DerivativeError as error:
        return dict.fromkeys(needing, str(error))
    return {}


def _beyond(row: Method, game: Game, limit: int | None, runs: int | None) -> str | None:
    """Return why a set leaves a method out: it takes too long, or more runs than allowed; None if it does not."""
    return _too_long(row, game) or beyond_passes(row, game, runs) or beyond_runs(row, game, limit)


def _too_long(row: Method, game: Game) -> str | None:
    """Return why a method is too slow for sets; None if it is affordable."""
    if is_affordable(row, game):
        return None
    cost = row.basis.cost_of(game.n_players, channels=game.n_channels)
    of_channels = row.basis.is_per_channel
    size = counted(game.n_channels, "channel") if of_channels else counted(game.n_players, "player")
    runs = "runs of the model" if cost.model_passes > MOST_PASSES else "runs"
    remedy = "" if of_channels else ", or for fewer players"
    return f"it takes up to {_power(max(cost.model_passes, cost.runs))} {runs} for {size}; ask for it by name{remedy}"


def _is_pooled(game: Game) -> bool:
    """Return whether coalitions of channels take no runs of the head."""
    return game.with_players(CHANNELS).shortcut is not None


def _power(runs: int) -> str:
    return f"2^{runs.bit_length() - 1}" if runs > MOST_RUNS and runs & (runs - 1) == 0 else f"{runs:,}"
