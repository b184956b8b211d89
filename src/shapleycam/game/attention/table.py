"""`AttentionTable`: each token's terms in the numerator and denominator of an attention, if it is present or absent.

The result of an attention for a query is Σ_j exp(s_j) v_j / Σ_j exp(s_j) over its keys j. For a given query, the score
s_j and the value v_j depend only on token j. In all coalitions the query has one of two states.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.attention.analysis import FollowedHead
from shapleycam.game.attention.forms import NO_TOKEN, ROW, RowChoice, Rows, Scores, indices_of, take
from shapleycam.game.attention.program import NotProvenError, Program, Source, axes_of_rows, make_program
from shapleycam.game.attention.sums import AttendedSums

PRESENT, REMOVED = 0, 1
"""The rows of the recorded batch: the image's activation, and that of its empty coalition."""
MOST_QUERIES = 16
"""Maximum number of queries of an attention."""
_MOST_BYTES = 2**28
_SMALLEST_SUM = {torch.float32: 1e-20, torch.float64: 1e-200}
"""Sums of exponentials below these limits lose precision, by the type of the numbers."""


class AttentionTable:
    """Computes the sums of some queries of an attention, for any coalition."""

    def __init__(self, head: FollowedHead, number: int, rows: RowChoice) -> None:
        """Prove that the attention whose result is tensor `number` has the form that a table needs.

        Raises:
            NotProvenError: it does not have this form, since a query depends on tokens of the grid.
        """
        form = head.forms[number]
        weights, values = head.producers[number].operation.call.values
        scores = head.forms[weights]
        if not isinstance(form, Rows) or not isinstance(scores, Scores):
            raise NotProvenError("an attention's result is not followed")
        self._head = head
        self._values, self.keys = values, scores.keys
        self._program: Program = make_program(head, weights, rows, lambda source: isinstance(head.forms[source], Rows))
        self._roles = {source: self._is_of_keys(source) for source in self._program.sources}
        self.query_count = head.dataflow.tensors[number].shape[1] if rows is None else len(rows)
        if sum(self._roles.values()) != 1:
            raise NotProvenError("the scores start from the keys more than once: all queries are read")
        if self.query_count > MOST_QUERIES:
            raise NotProvenError(f"{self.query_count} queries are read; a table has {MOST_QUERIES} at most")

    def _is_of_keys(self, source: Source) -> bool:
        """Return whether a source of the scores is made of keys; otherwise it is made of queries.

        Raises:
            NotProvenError: the queries depend on tokens of the grid.
        """
        if tokens_of(self._head, source) == self.keys:
            return True
        if depends_on_grid(self._head, source):
            raise NotProvenError("a query depends on tokens of the grid")
        return False

    def fill(self) -> None:
        """Compute the table for each state of the queries and of each key's token, and delete the recorded head.

        Raises:
            NotProvenError: the table is too large, or the sums would be too small for the precision.
        """
        head, states = self._head, 1 if all(self._roles.values()) else 2
        of_queries = indices_of([state for state in range(states) for _ in range(2)])
        of_keys = indices_of([PRESENT, REMOVED] * states)
        scores = self._program.run(
            2 * states,
            lambda source: RecordedRows(head, source).in_states(of_keys if self._roles[source] else of_queries),
        )
        values = head.dataflow.tensors[self._values].detach()
        keys = len(self.keys)
        self._dtype, self._heads, self._width = values.dtype, len(values) // 2, values.shape[-1]
        scores = scores.reshape(states, 2, self._heads, -1, keys)
        if 2 * scores.numel() * (self._width + 1) * scores.element_size() > _MOST_BYTES:
            raise NotProvenError("the table of tokens is larger than the memory for it")
        weights = _weights(scores)
        values = values.to(weights.dtype).reshape(1, 2, self._heads, 1, keys, self._width)
        sums = torch.cat([weights[..., None] * values, weights[..., None]], -1)
        self._table = sums.movedim(4, 2).flatten(3).flatten(1, 2).contiguous()
        self._tokens = indices_of([max(token, 0) for token in self.keys]).to(values.device)
        self._is_fixed = indices_of(self.keys).to(values.device) == NO_TOKEN
        self._positions = head.positions
        del self._head, self._program

    @property
    def features(self) -> int:
        """Return the number of elements of the queries' results."""
        return int(self._table.shape[2] // (self._width + 1) * self._width)

    def unflattened(self, attended: Float[Tensor, "s features"]) -> Float[Tensor, "heads_of_s queries width"]:
        """Return results of the queries in the shape of the attention's result."""
        return attended.reshape(len(attended) * self._heads, -1, self._width)

    def sums(self, directions: Float[Tensor, "features r"], states: int) -> AttendedSums:
        """Return numerators and denominators of linear combinations (`directions`) of the queries' results."""
        keys = len(self.keys)
        table = self._table.unflatten(2, (-1, self._width + 1)).unflatten(1, (2, keys))
        by_pair = directions.to(table.dtype).unflatten(0, (-1, self._width))
        numerators = torch.einsum("stkpw,pwr->stkpr", table[..., :-1], by_pair)
        present, removed = torch.cat([numerators, table[..., -1:]], -1).unbind(1)
        least = torch.where(self._is_fixed[:, None, None], present, removed)
        share = least.new_zeros(len(table), self._positions, *least.shape[2:])
        share = share.index_add(1, self._tokens, present - least)
        of_states = [part.expand(states, *part.shape[1:]) for part in (least.sum(1), share)]
        return AttendedSums(*of_states)

    @property
    def bytes_per_coalition(self) -> int:
        """Return how many bytes the sums of a coalition take."""
        return int(self._table.element_size() * (self._table.shape[1] + self._table.shape[2]))

    @property
    def bytes(self) -> int:
        """Return how many bytes the table takes."""
        return int(self._table.nbytes)

    def attended(
        self, presence: Float[Tensor, "s positions"], queries_present: int
    ) -> Float[Tensor, "heads_of_s queries width"]:
        """Return the attention's result for coalitions; the first `queries_present` have the queries' tokens."""
        present = presence[:, self._tokens].to(self._table.dtype).masked_fill(self._is_fixed, 1)
        both = torch.cat([present, 1 - present], 1)
        if len(self._table) == 1:
            sums = both @ self._table[0]
        else:
            by_state = both.split([queries_present, len(both) - queries_present])
            sums = torch.cat([rows @ table for rows, table in zip(by_state, self._table, strict=True)])
        sums = sums.reshape(len(both) * self._heads, -1, self._width + 1)
        return (sums[..., :-1] / sums[..., -1:]).to(self._dtype)


def _weights(scores: Float[Tensor, "states 2 heads queries keys"]) -> Float[Tensor, "states 2 heads queries keys"]:
    """Return the exponentials of scores less the largest score of each query, so that none overflows.

    Raises:
        NotProvenError: a coalition may have only keys whose exponentials are then too small.
    """
    dtypes = [torch.float64] if scores.dtype == torch.float64 else [torch.float32, torch.float64]
    for dtype in dtypes:
        exact = scores.to(dtype)
        weights = (exact - exact.amax((1, 4), keepdim=True)).exp()
        least = weights.amin(1).sum(-1)  # each token in the state that adds less
        if bool((least > _SMALLEST_SUM[dtype]).all()):
            return weights
    raise NotProvenError("coalitions may leave only tokens that attention gives next to no weight")


def tokens_of(head: FollowedHead, source: Source) -> tuple[int, ...]:
    """Return the tokens that the rows of a source depend on.

    Raises:
        NotProvenError: a row depends on several tokens.
    """
    form = head.forms[source.number]
    if not isinstance(form, Rows) or form.tokens is None:
        raise NotProvenError("a row depends on several tokens where one is expected")
    return form.tokens if source.rows is None else tuple(form.tokens[row] for row in source.rows)


def depends_on_grid(head: FollowedHead, source: Source) -> bool:
    """Return whether the rows of a source depend on tokens that are not in the prefix."""
    return any(token >= head.prefix for token in tokens_of(head, source))


class RecordedRows:
    """The recorded rows, each of which depends on a single token, for present and for removed tokens."""

    def __init__(self, head: FollowedHead, source: Source) -> None:
        form = head.forms[source.number]
        axes = form.axes if isinstance(form, Rows) else ()
        rows = head.dataflow.tensors[source.number].detach()
        if source.rows is not None:
            rows = take(rows, axes, ROW, indices_of(source.rows)).clone()
        self._rows, self._axes = rows, axes_of_rows(axes, source.rows)

    def in_states(self, states: Int[Tensor, " s"]) -> Tensor:
        """Return the rows for a batch in these states, `PRESENT` or `REMOVED`."""
        return take(self._rows, self._axes, "batch", states)
