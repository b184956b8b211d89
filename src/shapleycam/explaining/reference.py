"""Removals that use reference photographs (their mean at a layer, or each photograph), and the choice of a removal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.explaining.batch import Batch, move_to_model
from shapleycam.explaining.inputs import Images
from shapleycam.game.removal import OWN_MEAN, SAMPLES, Removal, RemovalChoice, check_reference, resolve_removal
from shapleycam.game.removal_names import name_with_reference, short_hash
from shapleycam.game.sampled_removal import sampling_runners
from shapleycam.images import content_seeds
from shapleycam.models.layout import Layout
from shapleycam.precision import accurate
from shapleycam.tracing import trace

_BATCH_SIZE = 16
"""Reference photographs in one pass."""
_TOLERANCE = 1e-5
"""Relative change of the first photograph's activation up to which the model counts as unchanged."""


@dataclass(frozen=True)
class _LayerMean:
    """The mean activation (...) at a layer, and the first photograph's activation (1, ...), which shows changes."""

    mean: Tensor
    first: Tensor

    def is_current(self, first: Tensor) -> bool:
        """Return whether the first photograph's activation is unchanged, and so the model."""
        if first.shape != self.first.shape or first.device != self.first.device:
            return False
        return bool((first - self.first).norm() <= _TOLERANCE * self.first.norm())


class ReferenceRemoval(ABC):
    """A removal that uses reference photographs; `at` makes the `Removal` of one model and layer.

    Attributes:
        kind: the name by which a user chooses it.
        name: its name in results, with the number of photographs and a hash of their content in any order.
    """

    kind: str

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        content = sorted(content_seeds(batch.images, 0))
        self.name = name_with_reference(self.kind, len(batch.images), short_hash(repr(content).encode()))

    @abstractmethod
    def at(self, model: nn.Module, layer: str) -> Removal:
        """Return the removal at a layer of a model."""


class ReferenceSamples(ReferenceRemoval):
    """The removal that replaces absent pixels with those of each reference photograph in turn."""

    kind = SAMPLES.name

    def at(self, model: nn.Module, layer: str) -> Removal:  # noqa: ARG002  # this removal is for layer "input" only
        """Return the removal, with the photographs on the model's device."""
        samples = move_to_model(self._batch.images, model)
        return Removal(self.name, is_of_images=True, runners=partial(sampling_runners, samples))


class ReferenceMean(ReferenceRemoval):
    """The removal by a layer's mean over reference photographs; each position and prefix token has its own mean.

    The mean is computed when a layer first needs it. It is computed again when the model has changed, for example after
    a training step: for each explained batch the first photograph is run, and its activation compared.
    """

    kind = OWN_MEAN.name

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._means: WeakKeyDictionary[nn.Module, dict[str, _LayerMean]] = WeakKeyDictionary()

    def at(self, model: nn.Module, layer: str) -> Removal:
        """Return the removal at a layer of a model.

        Raises:
            ShapleyCamError: the model cannot be run on the reference photographs.
            OptionError: the layer's mean over them is not finite.
        """
        means = self._means.setdefault(model, {})
        try:
            first = _activation(model, layer, self._batch.first)
            known = means.get(layer)
            if known is None or not known.is_current(first):
                known = means[layer] = _LayerMean(self._mean(model, layer), first)
        except ShapleyCamError as error:
            raise type(error)(f"reference=: {error}") from error
        if not bool(torch.isfinite(known.mean).all()):
            raise OptionError(f"reference=: the mean at layer {layer!r} is not finite; expected finite photographs")
        return Removal(self.name, _StandIn(known.mean, layer))

    def _mean(self, model: nn.Module, layer: str) -> Float[Tensor, "*shape"]:
        """Return the mean activation over all photographs, in float64 if the device has it."""
        total: Tensor | None = None
        count = len(self._batch.images)
        for rows in torch.arange(count, device="cpu").split(_BATCH_SIZE):
            activation = _activation(model, layer, self._batch.rows(rows))
            summed = activation.to(accurate(activation.device)).sum(0)
            total = summed if total is None else total + summed
        if total is None:
            raise OptionError("there are no photographs; expected at least one")
        return total / count


@dataclass(frozen=True)
class _StandIn:
    """A function that returns a layer's mean as the removed content of any image."""

    mean: Tensor
    layer: str

    def __call__(self, activation: Tensor, _: Layout) -> Tensor:
        """Return the mean, expanded to the batch.

        Raises:
            OptionError: the explained images have an activation of another shape.
        """
        if self.mean.shape != activation.shape[1:]:
            raise OptionError(
                f"reference=: at layer {self.layer!r} the reference photographs have activations of shape "
                f"{tuple(self.mean.shape)}, the explained images {tuple(activation.shape[1:])}; expected the same: "
                "prepare both in one size"
            )
        return self.mean.to(activation).expand_as(activation)


_BY_REFERENCE = {each.kind: each for each in (ReferenceMean, ReferenceSamples)}
AnyRemoval: TypeAlias = "Removal | ReferenceRemoval"
"""A removal as it was chosen, before `ReferenceRemoval.at` makes the removal of a layer."""


def choose_removal(
    choice: RemovalChoice | ReferenceRemoval, reference: Images | None, batch_of: Callable[[Images], Batch]
) -> AnyRemoval:
    """Return the removal that a user's arguments mean; `batch_of` prepares reference photographs.

    Raises:
        OptionError: an unknown removal, reference photographs for a removal that does not use them, or a removal that
            needs reference photographs without any.
        ImageError: a reference photograph cannot be read, or the list is empty.
    """
    removal = choice if isinstance(choice, ReferenceRemoval) else resolve_removal(choice)
    kind = removal.kind if isinstance(removal, ReferenceRemoval) else removal.name
    if reference is None and isinstance(removal, ReferenceRemoval):
        return removal
    check_reference(kind, is_given=reference is not None)
    if reference is None:
        return removal
    try:
        return _BY_REFERENCE[kind](batch_of(reference))
    except ShapleyCamError as error:
        raise type(error)(f"reference=: {error}") from error


def _activation(model: nn.Module, layer: str, batch: Batch) -> Float[Tensor, "b *shape"]:
    images = move_to_model(batch.images, model)
    extra = batch.extra.map(lambda tensor: tensor.to(images.device))
    return trace(model, images, layer, extra=extra).activation.detach()
