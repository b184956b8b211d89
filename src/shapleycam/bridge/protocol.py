"""`protocol_of`: the choices that identify a ladder, such as the model, the utility and the regions."""

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
"""Version number of the file format of stored values."""


def protocol_of(explainer: Explainer, at_input: Explainer, question: InputQuestion) -> Protocol:
    """Return the choices that identify a ladder, as JSON values.

    Layers and methods are not among them: they may differ when a stopped ladder continues.

    Raises:
        OptionError: the utility, a removal or the output is a user's function, which has no unique name.
    """
    if UTILITIES.get(explainer.utility.name) is not explainer.utility:
        raise OptionError(
            f"utility {explainer.utility.name!r} is not in the table of utilities, so that its name does not identify "
            f"stored values; expected one of {', '.join(UTILITIES)}, or leave out="
        )
    for removal in (explainer.removal, at_input.removal):
        if getattr(removal, "function", None) is not None:
            raise OptionError(
                f"removal {removal.name!r} is a function, whose name does not identify stored values; expected the "
                "name of a removal or a tensor, or leave out="
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
    """Return regions as a text, with a hash of their labels if they are a tensor."""
    if isinstance(players, str):
        return players
    if players is None:
        return "pixels"
    if isinstance(players, tuple):
        return "x".join(map(str, players))
    labels = torch.as_tensor(players, device="cpu").long().contiguous()
    return f"labels {hashlib.sha256(labels.numpy().tobytes()).hexdigest()[:16]} {tuple(labels.shape)}"
