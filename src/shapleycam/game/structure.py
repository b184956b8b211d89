"""Prove a head's structure from its operations: it reads only a mean or a sum, or a few rows of an attention.

Numerical tests cannot prove this: a ReLU that is 0 for all tested photographs leaves no trace in the numbers. The
operations in autograd's graph can. Up to the mean over positions, each operation that `position_rules` knows treats
every position in the same way and independently of the others. Any other operation ends the proof (docs/decisions.md,
"Shortcuts are proven from autograd's graph").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from shapleycam.errors import ModelError, ReplayError
from shapleycam.game.attention import AttentionReader, NotProvenError
from shapleycam.game.axes import axes_of_activation
from shapleycam.game.dependence import CONSTANT, UNKNOWN, AfterMean, BeforeMean, Form
from shapleycam.game.head_recording import HeadRecording, record_head
from shapleycam.game.position_rules import UnreadableNodeError, after_mean, before_mean
from shapleycam.game.window import Window
from shapleycam.game.windows import prove_window_sum
from shapleycam.models.layout import Layout
from shapleycam.tracing.attention import math_attention

_SOFTMAXES = ("_softmax", "_safe_softmax")


@dataclass(frozen=True)
class Structure:
    """The proven structure of a head, which decides the shortcuts that it allows.

    The first five attributes are in the order of the cost of their shortcuts. Each is set only if none before it is.
    The last two are for games whose players are channels.

    Attributes:
        reads_mean: the output depends on the activation only through its mean over positions.
        is_sum: the output is an affine function of the mean of a function of each position.
        averages_positions: the output is another function of one sum over positions. The terms are functions of single
            positions; each position may have a function, and a weight or matrix, of its own.
        window: the output is a function of such a sum over windows of positions; None for other heads.
        query_rows: the output is a function of this number of rows of an attention whose queries do not depend on
            positions of the grid, such as the row of a class token; 0 for other heads.
        is_affine: the output is an affine function of the sum of `averages_positions` or `window`.
        reads_prefix_alone: this sum is over prefix tokens only, as behind the last attention if the head reads the
            class token; the values of all other players are 0.
        reads_channel_means: the output depends on the activation only through the mean of each channel.
        is_sum_of_channels: the output is an affine function of these means.
    """

    reads_mean: bool = False
    is_sum: bool = False
    averages_positions: bool = False
    window: Window | None = None
    query_rows: int = 0
    is_affine: bool = False
    reads_prefix_alone: bool = False
    reads_channel_means: bool = False
    is_sum_of_channels: bool = False


@dataclass(frozen=True)
class Proof:
    """The structure that a head's operations prove.

    Attributes:
        structure: the structure.
        reader: for `query_rows`, evaluates the attention of the recorded head for coalitions.
        key: a description of everything that the proof depends on; None if that cannot be described.
    """

    structure: Structure
    reader: AttentionReader | None = None
    key: Hashable | None = None


NOTHING_PROVEN = Proof(Structure())


def follow_head(recording: HeadRecording, layout: Layout) -> Proof:
    """Return the structure that the operations of a recorded head prove, provided they are the same for other rows.

    Args:
        recording: a recording of the head on a batch of two, in which a mean over the batch differs from a mean over
            positions.
        layout: the layout of the activation.
    """
    if not isinstance(recording.output, Tensor) or recording.output.grad_fn is None or recording.hides_reads:
        return NOTHING_PROVEN
    if not layout.prefix and not recording.has_bias_of_rows:
        structure = _structure_of_graph(recording, layout)
        if structure != Structure():
            return Proof(structure)
    reader = _attention_reader(recording, layout)
    if reader is not None:
        return Proof(Structure(query_rows=reader.query_count), reader)
    return Proof(_structure_of_sum(recording, layout))


def is_repeated(
    head: Callable[[Tensor], Any], recording: HeadRecording, activation: Tensor, layout: Layout, proof: Proof
) -> bool:
    """Return whether a head does the recorded operations, with the same constants, for the inputs of shortcuts too.

    Shortcuts run the head on a single position, or on another number of rows. Here the head runs on three rows, so that
    constants that depend on the number of rows differ from the recording (docs/decisions.md, "A shortcut needs two
    recordings of the head").

    Args:
        head: a function of activations (rows, ...), which may also have a single position; it may raise for these.
        recording: a recording of the head on a batch of two.
        activation: (1, ...), the activation of one image.
        layout: the layout of the activation.
        proof: what the recording proves.
    """
    runs_on_one_position = proof.structure.reads_mean or proof.structure.is_sum
    rows = layout.single_position(layout.positions(activation).mean(1)) if runs_on_one_position else activation
    try:
        with math_attention():
            again = record_head(head, rows.repeat_interleave(3, 0))
    except (ModelError, ReplayError):  # the head does not take a single position
        return False
    return recording.repeats(again)


def _attention_reader(recording: HeadRecording, layout: Layout) -> AttentionReader | None:
    """Return a reader of the attention in the recorded operations; None if there is no attention, or no proof."""
    if not any(recording.count(name) for name in _SOFTMAXES):
        return None
    try:
        return AttentionReader(recording, layout)
    except NotProvenError:
        return None


def _structure_of_sum(recording: HeadRecording, layout: Layout) -> Structure:
    """Return the structure of a head that sums over windows of positions, from its recorded operations."""
    if layout.prefix + layout.count == 1:
        return Structure()
    window_sum = prove_window_sum(recording, layout)
    if window_sum is None:
        return Structure()
    if window_sum.width <= 1:
        reads_prefix = bool((window_sum.cells[:, 0] < layout.prefix).all())
        return Structure(averages_positions=True, is_affine=window_sum.is_affine, reads_prefix_alone=reads_prefix)
    window = Window(len(window_sum.cells), window_sum.width, int(window_sum.colours.max()) + 1, window_sum.features)
    return Structure(window=window, is_affine=window_sum.is_affine)


def _structure_of_graph(recording: HeadRecording, layout: Layout) -> Structure:
    """Return the structure of a head that reads a mean or sum: follow autograd's graph from operands to results."""
    output_node = recording.output.grad_fn
    forms: dict[Any, Form] = {}
    stack = [output_node]
    while stack:
        node = stack[-1]
        missing = [operand for operand, _ in node.next_functions if operand is not None and operand not in forms]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if node not in forms:
            operands = [forms.get(operand) for operand, _ in node.next_functions]
            forms[node] = _form_of(node, operands, recording.leaf, layout)
    form = forms[output_node]
    if not isinstance(form, AfterMean):
        return Structure()
    structure = Structure(reads_mean=form.linear_before, is_sum=form.affine)
    return structure if recording.is_followed else _confirmed_by_dataflow(structure, recording, layout)


def _confirmed_by_dataflow(structure: Structure, recording: HeadRecording, layout: Layout) -> Structure:
    """Return the part of a structure that the data flow confirms; the graph misses reads without gradients."""
    window_sum = prove_window_sum(recording, layout)
    if window_sum is None or window_sum.width > 1:
        return Structure()
    return replace(structure, is_sum=structure.is_sum and window_sum.is_affine)


def _form_of(node: Any, operands: list[Form], leaf: Tensor, layout: Layout) -> Form:
    """Return how the result of an operation depends on the activation, from the dependence of its operands."""
    if getattr(node, "variable", None) is leaf:
        return BeforeMean(axes_of_activation(layout, tuple(leaf.shape)))
    dependent = [form for form in operands if form is not CONSTANT]
    if not dependent:
        return CONSTANT
    if all(isinstance(form, AfterMean) for form in dependent):
        return after_mean(node, operands)
    if not all(isinstance(form, BeforeMean) for form in dependent):
        return UNKNOWN
    try:
        return before_mean(node, operands)
    except UnreadableNodeError:
        return UNKNOWN
