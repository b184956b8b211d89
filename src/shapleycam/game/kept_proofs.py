"""A cache of proofs of heads: a batch whose pass has the same operations as an earlier one needs no new proof.

The key of a proof describes everything that the proof depends on. For a mean over positions, and for a head about which
nothing is proven, the key describes the operations of the traced pass, with their shapes and settings. For an attention
or windows, each image's head is recorded; the cache stores only that such a recording is valid for any number of rows,
and its key describes the whole recording. Models with user code are proven for each batch (docs/decisions.md, "The
proof of a head is kept for library networks").
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from shapleycam.game.attention import NotProvenError
from shapleycam.game.contents import Contents
from shapleycam.game.descriptions import describe_graph, describe_recording, describe_weights
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_recording import HeadRecording, record_with_removal
from shapleycam.game.removal import Removal
from shapleycam.game.structure import NOTHING_PROVEN, Proof, Structure, follow_head, is_repeated
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace
from shapleycam.tracing.checks import check_result, mark_checked
from shapleycam.tracing.library_code import library_code
from shapleycam.tracing.modules import modules_of


def prove_head(trace: Trace, contents: Contents, removal: Removal) -> Proof:
    """Return what the operations of a traced pass's head prove, from the cache if an earlier proof is valid here.

    The head is recorded again, for the first image: see "The proof's graph is recorded anew" in docs/decisions.md.
    """
    if not isinstance(trace.output, Tensor):
        return NOTHING_PROVEN
    key = proof_key(trace, contents.layout)
    known = None if key is None else check_result(trace.owner, key)
    if isinstance(known, Structure):
        return Proof(known, key=("shortcut", key))

    def run_first_image(rows: Tensor) -> Any:
        samples = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        return trace.head_of_any_size(rows, samples)

    activation, layout = contents.activation[:1], contents.layout
    recording = record_with_removal(run_first_image, activation, contents.empty[:1])
    proof = follow_head(recording, layout)
    if proof.structure != Structure():
        proof = replace(proof, key=recording_key(trace, layout, removal, recording, proof.structure))
        if not is_kept(trace, proof) and not is_repeated(run_first_image, recording, activation, layout, proof):
            proof = NOTHING_PROVEN
    if key is not None and may_be_kept(proof.structure):
        mark_checked(trace.owner, key, proof.structure)
    return _filled(proof)


def proof_key(trace: Trace, layout: Layout) -> Hashable | None:
    """Return the key of a proof from the operations of a traced pass; None if it depends on more than these."""
    code = library_code(modules_of(trace.owner)) if trace.reads_activation_alone else None
    if code is None or not isinstance(trace.output, Tensor):
        return None
    graph = describe_graph(trace.output)
    return None if graph is None else ("structure", _form(trace, layout), code, graph)


def may_be_kept(structure: Structure) -> bool:
    """Return whether nothing is proven, or only properties that hold for any weights of the network."""
    return replace(structure, reads_mean=False, is_sum=False) == Structure()


def recording_key(
    trace: Trace, layout: Layout, removal: Removal, recording: HeadRecording, structure: Structure
) -> Hashable | None:
    """Return the key for a recorded head's property to do the same for any number of rows; None if there is none.

    The key leaves out the numbers of images and weights. They are in each image's own recording, from which the
    image's shortcut is made.
    """
    modules = modules_of(trace.owner)
    code = None if trace.is_read_by_user_code else library_code(modules, ("transformers.",))
    if code is None or structure.reads_mean or structure.is_sum:
        return None
    parts = describe_weights(modules), describe_recording(recording)
    if None in parts:
        return None
    return "recording", _form(trace, layout), removal.name, id(removal.function), code, *parts


def is_kept(trace: Trace, proof: Proof) -> bool:
    """Return whether a shortcut of the same proof was confirmed for an earlier batch."""
    return proof.key is not None and check_result(trace.owner, proof.key) is True


def keep(trace: Trace, proof: Proof, *, holds: bool = True) -> None:
    """Store that the shortcut of a proof was confirmed; with `holds=False`, that later batches must prove it again."""
    if proof.key is not None:
        mark_checked(trace.owner, proof.key, result=holds)


def _filled(proof: Proof) -> Proof:
    """Return a proof whose reader has its tables, which replace the recording; without a reader if they fail.

    The code that makes the shortcut then makes its own reader, and gets the same error.
    """
    if proof.reader is None:
        return proof
    try:
        with without_gradients():
            proof.reader.fill()
    except (NotProvenError, RuntimeError) as refusal:
        if is_out_of_memory(refusal):
            raise
        return replace(proof, reader=None)
    return proof


def _form(trace: Trace, layout: Layout) -> Hashable:
    activation = trace.activation
    return trace.layer, layout, activation.shape, activation.dtype, activation.device
