"""Proofs of heads that are kept: a photograph whose pass has the same operations needs no proof of its own.

What a proof depends on is its key. A mean over positions, or that nothing is proven, is kept by the operations of the
traced pass, with their shapes and settings. What is proven of an attention or of windows is read from a recording of
each image's head; kept is that this recording holds for any number of rows, by all that the recording shows. Models
with a user's code are proven for each batch (docs/decisions.md, "The proof of a head is kept for library networks").
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
    """Return what the operations of a traced pass's head prove; an earlier batch's proof where that holds for this one.

    The operations are recorded anew, of the first image: see "The proof's graph is recorded anew" in docs/decisions.md.
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
    """Return what the proof of a traced pass's head depends on; None where that is more than can be described."""
    code = library_code(modules_of(trace.owner)) if trace.reads_activation_alone else None
    if code is None or not isinstance(trace.output, Tensor):
        return None
    graph = describe_graph(trace.output)
    return None if graph is None else ("structure", _form(trace, layout), code, graph)


def may_be_kept(structure: Structure) -> bool:
    """Return whether nothing is proven, or only what holds for any numbers in the network's weights."""
    return replace(structure, reads_mean=False, is_sum=False) == Structure()


def recording_key(
    trace: Trace, layout: Layout, removal: Removal, recording: HeadRecording, structure: Structure
) -> Hashable | None:
    """Return what it depends on that a recorded head does the same for any number of rows; None if not describable.

    The numbers that the head reads of the images are left out, as are those of the weights: they are in the recording
    that each image has, and from which its shortcut is made.
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
    """Keep that the shortcut of a proof was confirmed; or, where it was refused, that later batches prove it anew."""
    if proof.key is not None:
        mark_checked(trace.owner, proof.key, result=holds)


def _filled(proof: Proof) -> Proof:
    """Return a proof with the tables of its reader in place of the recording; without one that has none.

    Whoever then makes the shortcut finds that for himself.
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
