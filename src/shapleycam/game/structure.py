"""Proving a head's structure from its operations: that it reads only a mean or sum, or a few rows of an attention.

Numbers cannot prove either, since a ReLU that is 0 for all photographs that are tried leaves no trace in them. The
operations recorded in autograd's graph can: each that `position_rules` knows treats every position alike and by itself
until the mean over positions, and any other operation ends the proof (docs/decisions.md, "Shortcuts are proven from
autograd's graph").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import ModelError, ReplayError
from shapleycam.game.attention import AttentionReader, NotProvenError
from shapleycam.game.axes import axes_of_activation
from shapleycam.game.dependence import CONSTANT, UNKNOWN, AfterMean, BeforeMean, Form
from shapleycam.game.head_recording import HeadRecording, record_head, record_with_removal
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
    affine function of the sum that `averages_positions` or `window` tells of.

    Where channels are players, two others are said: `reads_channel_means`, the output depends on the activation only
    through each channel's mean; `is_sum_of_channels`, and is affine in these means.
    """

    reads_mean: bool = False
    is_sum: bool = False
    averages_positions: bool = False
    window: Window | None = None
    query_rows: int = 0
    is_affine: bool = False
    reads_channel_means: bool = False
    is_sum_of_channels: bool = False


def prove_structure(
    head: Callable[[Tensor], Any],
    activation: Tensor,
    layout: Layout,
    empty: Tensor | None = None,
) -> Structure:
    """Return the structure of a head that its operations prove.

    The head is recorded twice, on the map and as shortcuts run it, on a single position or on other numbers of maps:
    there it must do the same with the same constants (docs/decisions.md, "A shortcut needs two recordings of the
    head").

    Args:
        head: takes activations (rows, ...), also of a single position; it may raise for these.
        activation: (1, ...), the one of an image.
        layout: of the activation.
        empty: (1, ...), the activation of the empty coalition; None for zeros.
    """
    # Two rows, so that a mean over the batch is not taken for one over positions; three the second time, so that
    # constants made of the number of rows differ.
    whole = record_with_removal(head, activation, torch.zeros_like(activation) if empty is None else empty)
    if not isinstance(whole.output, Tensor) or whole.output.grad_fn is None or whole.hides_reads:
        return Structure()
    structure = Structure()
    if not layout.prefix and not whole.has_bias_of_rows:
        structure = _structure_of_graph(whole, layout)
    is_whole_map = structure == Structure()
    if is_whole_map:
        structure = _structure_of_attention(whole, layout)
    if structure == Structure():
        structure = _structure_of_sum(whole, layout)
    if structure == Structure():
        return structure
    rows = activation if is_whole_map else layout.single_position(layout.positions(activation).mean(1))
    try:
        with math_attention():
            again = record_head(head, rows.repeat_interleave(3, 0))
    except (ModelError, ReplayError):  # the head does not take a single position
        return Structure()
    return structure if whole.repeats(again) else Structure()


def _structure_of_attention(recording: HeadRecording, layout: Layout) -> Structure:
    """Follow the activation through the recorded operations, where these contain an attention."""
    if not any(recording.count(name) for name in _SOFTMAXES):
        return Structure()
    try:
        return Structure(query_rows=AttentionReader(recording, layout).query_count)
    except NotProvenError:
        return Structure()


def _structure_of_sum(recording: HeadRecording, layout: Layout) -> Structure:
    """Follow the windows of positions through the recorded operations, up to a sum over them."""
    if layout.prefix + layout.count == 1:
        return Structure()
    window_sum = prove_window_sum(recording, layout)
    if window_sum is None:
        return Structure()
    if window_sum.width <= 1:
        return Structure(averages_positions=True, is_affine=window_sum.is_affine)
    window = Window(len(window_sum.cells), window_sum.width, int(window_sum.colours.max()) + 1)
    return Structure(window=window, is_affine=window_sum.is_affine)


def _structure_of_graph(recording: HeadRecording, layout: Layout) -> Structure:
    """Follow the activation through autograd's graph, operation by operation, operands before results."""
    if not recording.is_followed:
        return Structure()
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
    return Structure(reads_mean=form.linear_before, is_sum=form.affine)


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
