"""What makes two ladders the same: the model, the question and the regions."""

from __future__ import annotations

import hashlib

import torch

from shapleycam.bridge.store import Protocol
from shapleycam.errors import OptionError
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.explaining.explainer import Explainer
from shapleycam.fidelity import InputQuestion
from shapleycam.game.players import Regions
from shapleycam.models.outputs import chosen_part
from shapleycam.utilities import UTILITIES

FORMAT = 1
"""Number of the form in which values are kept."""


def protocol_of(explainer: Explainer, at_input: Explainer, question: InputQuestion) -> Protocol:
    """Return what makes two ladders the same, as JSON values; layers and methods may be others when one goes on.

    Raises:
        OptionError: a utility, a removal or an output that no name tells from others.
    """
    if UTILITIES.get(explainer.utility.name) is not explainer.utility:
        raise OptionError(
            f"utility {explainer.utility.name!r} is known by no name of its own, so that values could not be kept; "
            f"expected one of {', '.join(UTILITIES)}, or leave out="
        )
    for removal in (explainer.removal, at_input.removal):
        if getattr(removal, "function", None) is not None:
            raise OptionError(
                f"removal {removal.name!r} does not say what the function makes, so that values could not be kept; "
                "expected the name of a removal or a tensor, or leave out="
            )
    model = {
        "name": explainer.name,
        "weights": weights_hash(explainer.model),
        "code": code_hash(explainer.model, explainer.name),
    }
    part = chosen_part(explainer.select)
    return {
        "format": FORMAT,
        "model": model if part is None else {**model, "output": part},
        "utility": explainer.utility.name,
        "target": "prediction",
        "layer_removal": explainer.removal.name,
        "removal": at_input.removal.name,
        "players": _text_of(question.players),
        "runs": question.runs,
        "seed": question.seed,
    }


def _text_of(players: Regions) -> str:
    """Return players as a text: of labels a hash."""
    if isinstance(players, str):
        return players
    if players is None:
        return "pixels"
    if isinstance(players, tuple):
        return "x".join(map(str, players))
    labels = torch.as_tensor(players, device="cpu").long().contiguous()
    return f"labels {hashlib.sha256(labels.numpy().tobytes()).hexdigest()[:16]} {tuple(labels.shape)}"
