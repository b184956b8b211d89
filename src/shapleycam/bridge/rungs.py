"""`choose_rungs`: the layers of a ladder, as the user names them, or a few layers evenly in depth."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.layers import audit, find_before_pool, layers_to_list
from shapleycam.tracing.input_layer import INPUT

MOST_LAYERS = 6
"""Maximum number of layers that are chosen if the user names none, including the input."""


def choose_rungs(explainer: Explainer, batch: Batch, layers: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of the layers; the input is always the last.

    Args:
        explainer: an explainer of the model.
        batch: an image, on which the model is run to find layers.
        layers: names or rules ("before-pool"), in order; None for at most six layers, evenly in depth from the one
            before pooling to the input.

    Raises:
        LayerError: a layer does not exist, or no layer can be found.
        OptionError: a layer is named twice, or `layers` is empty.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam import Explainer
        >>> from shapleycam.bridge.rungs import choose_rungs
        >>> from shapleycam.explaining.inputs import batch_of
        >>> _ = torch.manual_seed(0)
        >>> blocks = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.LeakyReLU()) for _ in range(9)]
        >>> model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> choose_rungs(Explainer(model), batch_of(torch.rand(1, 3, 6, 6), None, model))
        ('8', '6', '4', '2', '0', 'input')
    """
    if layers is None:
        return (*_evenly(_blocks(explainer, batch), MOST_LAYERS - 1), INPUT)
    if not layers:
        raise OptionError("no layers were given; expected names of layers, or None for a few of the model's")
    names = [explainer.at_layer(layer).find_layer(batch) for layer in layers]
    for index, name in enumerate(names):
        if name in names[:index]:
            first = layers[names.index(name)]
            both = repr(name) if first == layers[index] else f"{name!r} ({first!r} and {layers[index]!r})"
            raise OptionError(f"layer {both} is named twice; expected each once")
    return (*(name for name in names if name != INPUT), INPUT)


def _blocks(explainer: Explainer, batch: Batch) -> list[str]:
    """Return the layers that the package lists for users, from the one before pooling backwards, without the input.

    Raises:
        LayerError: there are none.
    """
    audited = audit(explainer.model, batch.first.images, explainer.select, extra=batch.first.extra)
    default = find_before_pool(audited, explainer.model, batch.first.images, batch.first.extra).name
    listed = layers_to_list(audited, explainer.model, default)
    names = [candidate.name for candidate in listed if candidate is not audited.image]
    return names[: names.index(default) + 1][::-1]


def _evenly(names: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of the names, evenly spaced, including the first and the last."""
    if len(names) <= most:
        return list(names)
    return [names[round(step * (len(names) - 1) / (most - 1))] for step in range(most)]
