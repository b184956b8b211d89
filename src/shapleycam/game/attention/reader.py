"""`AttentionReader`: evaluate coalitions of a head that reads a few queries of an attention."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game.attention.analysis import FollowedHead, follow_tokens
from shapleycam.game.attention.forms import Rows
from shapleycam.game.attention.products import is_attention
from shapleycam.game.attention.program import NotProvenError, Source, make_program
from shapleycam.game.attention.sums import AttendedSums
from shapleycam.game.attention.table import PRESENT, REMOVED, AttentionTable, RecordedRows, depends_on_grid
from shapleycam.game.dataflow import LOST
from shapleycam.game.head_recording import HeadRecording
from shapleycam.models.layout import Layout


class AttentionReader:
    """Evaluates a head for coalitions of one image: sums over tokens, then the operations after the attention.

    Examples:
        >>> import torch
        >>> from shapleycam.game.attention import AttentionReader
        >>> from shapleycam.game.head_recording import record_with_removal
        >>> from shapleycam.models.layout import Layout
        >>> query, tokens = torch.ones(1, 4), torch.rand(1, 3, 4)  # one learned query reads a map of 1 x 3
        >>> def head(rows):
        ...     return ((query @ rows.mT).softmax(-1) @ rows)[:, 0]
        >>> reader = AttentionReader(record_with_removal(head, tokens, 0 * tokens), Layout("tokens", (1, 3)))
        >>> reader.fill()
        >>> without_the_second = torch.tensor([[1.0, 0.0, 1.0]])
        >>> torch.allclose(reader.output(without_the_second), head(tokens * without_the_second[..., None]))
        True
    """

    def __init__(self, recording: HeadRecording, layout: Layout) -> None:
        """Prove that a head has this form.

        Args:
            recording: a recording of the head on a batch of two: the image's activation, and that of its empty
                coalition.
            layout: the layout of the activation.

        Raises:
            NotProvenError: the head does not have this form.
        """
        number = recording.dataflow.number_of(recording.output)
        if number == LOST or recording.hides_reads or recording.dataflow.writes_to_constants:
            raise NotProvenError("the output is computed in a way that is not followed")
        head = follow_tokens(recording.dataflow, layout)
        form = head.forms[number]
        if not isinstance(form, Rows) or form.tokens is not None:
            raise NotProvenError("the output is not read from an attention")
        if not form.axes or [factor.content for factor in form.axes[0]] != ["batch"]:
            raise NotProvenError("the output has not one row an image")
        self._head, self._prefix = head, layout.prefix
        self._program = make_program(head, number, None, lambda source: _is_source(head, source))
        self._tables: dict[Source, AttentionTable] = {}
        self._prefix_rows: dict[Source, RecordedRows] = {}
        for source in self._program.sources:
            if _depends_on_single_tokens(head, source.number):
                if depends_on_grid(head, source):
                    raise NotProvenError("the output is read from tokens of the grid besides")
                self._prefix_rows[source] = RecordedRows(head, source)
            else:
                self._tables[source] = AttentionTable(head, source.number, source.rows)

    @property
    def query_count(self) -> int:
        """Return the number of queries that the output is read from."""
        return sum(table.query_count for table in self._tables.values())

    def fill(self) -> None:
        """Compute the tables, and delete the recording.

        Raises:
            NotProvenError: a table cannot be computed.
        """
        for table in self._tables.values():
            table.fill()
        del self._head

    @property
    def bytes_per_coalition(self) -> int:
        """Return how many bytes the sums of a coalition take."""
        return max(table.bytes_per_coalition for table in self._tables.values())

    @property
    def bytes_of_tables(self) -> int:
        """Return how many bytes the tables take."""
        return sum(table.bytes for table in self._tables.values())

    def output(self, presence: Float[Tensor, "s positions"]) -> Tensor:
        """Return the head's output for coalitions, after `fill`."""
        return self.output_from(self.attended(presence), presence)

    def attended(self, presence: Float[Tensor, "s positions"]) -> Float[Tensor, "s features"]:
        """Return the results of all attentions for coalitions, as one vector for each coalition."""
        # Prefix tokens come first, and are one player: coalitions are sorted by whether it is present.
        states, order = _states(presence).sort(stable=True)
        presence, present = presence[order], int((states == PRESENT).sum())
        results = [table.attended(presence, present) for table in self._tables.values()]
        return torch.cat([result.reshape(len(presence), -1) for result in results], 1)[order.argsort()]

    def output_from(
        self, attended: Float[Tensor, "s features"], presence: Float[Tensor, "s positions"]
    ) -> Float[Tensor, "s *out"]:
        """Return the head's output for these results of the attentions; it is differentiable by `attended`."""
        widths = [table.features for table in self._tables.values()]
        results = dict(zip(self._tables, attended.split(widths, 1), strict=True))
        states = _states(presence)

        def start(source: Source) -> Tensor:
            if source in results:
                return self._tables[source].unflattened(results[source])
            return self._prefix_rows[source].in_states(states)

        return self._program.run(len(presence), start)

    def sums(self, directions: Float[Tensor, "features r"]) -> AttendedSums:
        """Return numerators and denominators of linear combinations (`directions`) of the attentions' results."""
        states = 2 if self._prefix else 1
        widths = [table.features for table in self._tables.values()]
        parts = [
            table.sums(part, states)
            for table, part in zip(self._tables.values(), directions.split(widths, 0), strict=True)
        ]
        return AttendedSums(torch.cat([part.base for part in parts], 1), torch.cat([part.share for part in parts], 2))


def _states(presence: Float[Tensor, "s positions"]) -> Tensor:
    """Return the state of each coalition: whether the prefix tokens are present (any value without such tokens)."""
    return torch.where(presence[:, 0] > 0, PRESENT, REMOVED)


def _depends_on_single_tokens(head: FollowedHead, number: int) -> bool:
    form = head.forms[number]
    return isinstance(form, Rows) and form.tokens is not None


def _is_source(head: FollowedHead, number: int) -> bool:
    """Return whether a tensor is the result of an attention, or each of its rows depends on a single token."""
    is_result = number in head.producers and is_attention(head.producers[number].operation)
    return is_result or _depends_on_single_tokens(head, number)
