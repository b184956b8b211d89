"""Explanations of a question by several methods, from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from shapleycam.cams.families import methods_by_family
from shapleycam.cams.method import Method
from shapleycam.cams.method_choice import is_affordable
from shapleycam.cams.table import METHODS, canonical_method, expand_methods, method_of
from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.names import canonical_name, nearest
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.web.defaults import DEFAULT_METHODS
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.wording import counted, on_one_line, smoothing_phrase

_QUICK_RUNS = 64
"""Methods with at most this number of runs are shown before the others."""


@dataclass(frozen=True)
class Compared:
    """Explanations by method, and the reasons why other methods cannot run."""

    explanations: Mapping[str, Explanation]
    refused: Mapping[str, str]


def method_sets() -> dict[str, list[str]]:
    """Return the sets of methods that can be compared: the table's, and each family.

    Examples:
        >>> from shapleycam.web.compared import method_sets
        >>> list(method_sets())[:4], method_sets()["second-order"][:2]
        (['paper', 'all', 'field', 'first-order'], ['shapleycam', 'shapleycam-h'])
    """
    of_table = {name: expand_methods([name]) for name in ("paper", "all", "field")}
    families = {
        family_in_addresses(family): [row.name for row in rows if row.sets and not row.is_baseline]
        for family, rows in methods_by_family().items()
    }
    return of_table | {name: names for name, names in families.items() if names}


def family_in_addresses(family: str) -> str:
    """Return the name of a family of methods as a set in addresses.

    Examples:
        >>> from shapleycam.web.compared import family_in_addresses
        >>> family_in_addresses("Shapley values")
        'shapley-values'
    """
    return family.casefold().replace(" ", "-")


def methods_of(choice: str) -> list[str]:
    """Return the methods of a set, or the one method of a name.

    Raises:
        OptionError: the text is neither a set nor a method.
    """
    sets = method_sets()
    name = canonical_name(choice or DEFAULT_METHODS, sets)
    if name is not None:
        return sets[name]
    method = canonical_method(choice)
    if method is None:
        raise OptionError(f"methods {choice!r} are neither a set nor one method; {nearest(choice, [*sets, *METHODS])}")
    return [method]


@torch.no_grad()
def compare(resolved: ResolvedQuestion) -> Iterator[Compared]:
    """Yield the comparison so far: first with the methods that need few runs, then with the slow ones too.

    Raises:
        ShapleyCamError: no method can run.
    """
    names = methods_of(resolved.question.methods)
    traced_batch = resolved.trace(*names)
    game = resolved.game(traced_batch)
    rows = [METHODS[name] for name in names]
    limit = run_limit(game, EstimatorOptions())
    most_coalitions = None if limit is None else limit // game.runs_per_coalition
    impossible = [row for row in rows if not _is_possible(row, game, most_coalitions)]
    refused = {row.name: _too_slow(row, game, most_coalitions) for row in impossible}
    possible = [row for row in rows if row.name not in refused]
    conditional = [row.name for row in possible if row.basis.is_conditional]  # each may be refused separately
    quick = [row.name for row in possible if not row.basis.is_conditional and _is_quick(row, game)]
    slow = [row.name for row in possible if row.name not in {*conditional, *quick}]
    explanations, failures = _by_each(resolved, traced_batch, quick)
    by_condition, failures_of_conditional = _one_by_one(resolved, traced_batch, conditional)
    explanations |= by_condition
    refused |= failures | failures_of_conditional
    if slow:
        yield Compared(explanations, refused)
        sampled, failures = _by_each(resolved, traced_batch, slow)
        explanations, refused = explanations | sampled, refused | failures
    if not explanations:
        raise OptionError("; ".join(dict.fromkeys(refused.values())))
    yield Compared({name: explanations[name] for name in names if name in explanations}, refused)


def compared_by(resolved: ResolvedQuestion, method: str) -> Explanation:
    """Return one method's explanation from the comparison; if it is no longer in the cache, it is made again."""
    name = method_of(method).name
    made: Explanation = resolved.cached(_key(resolved, name), lambda: _alone(resolved, name))
    return made


def _by_each(
    resolved: ResolvedQuestion, traced_batch: TracedBatch, names: Sequence[str]
) -> tuple[dict[str, Explanation], dict[str, str]]:
    """Return the explanations by method, and the reasons why other methods cannot run."""
    try:
        explanations = dict(_by(resolved, traced_batch, names))  # common intermediate results are computed once
    except ShapleyCamError:
        return _one_by_one(resolved, traced_batch, names)
    for name, e in explanations.items():
        resolved.cached(_key(resolved, name), partial(_same, e))
    return explanations, {}


def _one_by_one(
    resolved: ResolvedQuestion, traced_batch: TracedBatch, names: Sequence[str]
) -> tuple[dict[str, Explanation], dict[str, str]]:
    explanations, failures = {}, {}
    for name in names:
        resolved.check()
        try:
            explanations[name] = resolved.cached(_key(resolved, name), partial(_by_one, resolved, traced_batch, name))
        except ShapleyCamError as error:
            failures[name] = on_one_line(error)
    return explanations, failures


def _by(resolved: ResolvedQuestion, traced_batch: TracedBatch, names: Sequence[str]) -> Mapping[str, Explanation]:
    options = EstimatorOptions(progress=resolved.progress)
    return resolved.explain(traced_batch, names, options) if names else {}


def _by_one(resolved: ResolvedQuestion, traced_batch: TracedBatch, name: str) -> Explanation:
    return _by(resolved, traced_batch, [name])[name]


@torch.no_grad()
def _alone(resolved: ResolvedQuestion, name: str) -> Explanation:
    return _by_one(resolved, resolved.trace(name), name)


def _same(e: Explanation) -> Explanation:
    return e


def _key(resolved: ResolvedQuestion, name: str) -> str:
    return f"compared by {name}{smoothing_phrase(resolved.smooth)}"


def _is_quick(row: Method, game: Game) -> bool:
    return row.basis.cost_of(game.n_players, channels=game.n_channels).runs * game.runs_per_coalition <= _QUICK_RUNS


def _is_possible(row: Method, game: Game, most_coalitions: int | None) -> bool:
    return is_affordable(row, game) and (most_coalitions is None or row.fits(game.n_players, most_coalitions))


def _too_slow(row: Method, game: Game, most_coalitions: int | None) -> str:
    most = row.most_players if most_coalitions is None else row.most_players_of(most_coalitions)
    if most is None:
        return f"takes too long for {counted(game.n_channels, 'channel')}; Explain makes it alone"
    return f"takes too long for {counted(game.n_players, 'place')}, at most {most}; Explain divides among regions"
