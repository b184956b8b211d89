"""Proving a head's structure from its operations: that it reads only a mean or sum, or a few rows of an attention.

Numbers cannot prove either, since a ReLU that is 0 for all photographs that are tried leaves no trace in them. The
operations recorded in autograd's graph can: each that `position_rules` knows treats every position alike and by itself
until the mean over positions, and any other operation ends the proof (docs/decisions.md, "Shortcuts are proven from
autograd's graph").
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
    """What is known of a head: which shortcuts it allows.

    `reads_mean`: the output depends on the activation only through its mean over positions. `is_sum`: it is an affine
    function of the mean of what each position becomes by itself. `averages_positions`: it is another function of a
    single sum over what each position becomes, in its own way and with a weight, or a matrix, of its own. `window`: it
    is a function of such a sum over what windows of positions become. `query_rows`: it is a function of so many rows of
    an attention whose queries depend on no position of the grid, as a class token's; 0 of other heads. Each is said
    only of heads of which none of those before it is known, whose shortcuts are cheaper. `is_affine`: the output is an
    affine function of the sum that `averages_positions` or `window` tells of. `reads_prefix_alone`: that sum is of
    prefix tokens, as the class token is behind the last attention: all other players are worth 0.

    Where channels are players, two others are said: `reads_channel_means`, the output depends on the activation only
    through each channel's mean; `is_sum_of_channels`, and is affine in these means.
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

    `reader`: for `query_rows`, what coalitions of the image are read from whose head was recorded. `key`: what the
    proof depends on, None where that cannot be described.
    """

    structure: Structure
    reader: AttentionReader | None = None
    key: Hashable | None = None


NOTHING_PROVEN = Proof(Structure())


def follow_head(recording: HeadRecording, layout: Layout) -> Proof:
    """Return the structure of a recorded head that its operations prove, if it does the same for other rows.

    Args:
        recording: of the head, on a batch of two: so a mean over the batch is not taken for one over positions.
        layout: of the activation.
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
    """Return whether a head does what was recorded also as shortcuts run it: with the same constants.

    That is on a single position, or on other numbers of maps: three, so that constants made of the number of rows
    differ (docs/decisions.md, "A shortcut needs two recordings of the head").

    Args:
        head: takes activations (rows, ...), also of a single position; it may raise for these.
        recording: of the head on a batch of two.
        activation: (1, ...), the one of an image.
        layout: of the activation.
        proof: what the recording proves.
    """
    is_of_position = proof.structure.reads_mean or proof.structure.is_sum
    rows = layout.single_position(layout.positions(activation).mean(1)) if is_of_position else activation
    try:
        with math_attention():
            again = record_head(head, rows.repeat_interleave(3, 0))
    except (ModelError, ReplayError):  # the head does not take a single position
        return False
    return recording.repeats(again)


def _attention_reader(recording: HeadRecording, layout: Layout) -> AttentionReader | None:
    """Follow the activation through the recorded operations, where these contain an attention."""
    if not any(recording.count(name) for name in _SOFTMAXES):
        return None
    try:
        return AttentionReader(recording, layout)
    except NotProvenError:
        return None


def _structure_of_sum(recording: HeadRecording, layout: Layout) -> Structure:
    """Follow the windows of positions through the recorded operations, up to a sum over them."""
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
    """Follow the activation through autograd's graph, operation by operation, operands before results."""
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
    """Return what the data flow confirms of a structure, where the graph lacks what was read without gradients."""
    window_sum = prove_window_sum(recording, layout)
    if window_sum is None or window_sum.width > 1:
        return Structure()
    return replace(structure, is_sum=structure.is_sum and window_sum.is_affine)


def _form_of(node: Any, operands: list[Form], leaf: Tensor, layout: Layout) -> Form:
    """Return how the result of an operation depends on the activation, from how its operands do."""
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
