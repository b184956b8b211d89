"""Removal by a layer's mean over reference photographs, or by each of them, and the choice among all removals."""

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

_AT_ONCE = 16
"""Reference photographs in a pass."""
_SAME = 1e-5
"""Relative difference of the first photograph's activations up to which the model is still the same."""


@dataclass(frozen=True)
class _LayerMean:
    """The mean activation (...) at a layer, and that of the first photograph (1, ...), by which changes are noticed."""

    mean: Tensor
    first: Tensor

    def is_current(self, first: Tensor) -> bool:
        """Return whether the first photograph's activation is what it was: the model was not changed since."""
        if first.shape != self.first.shape or first.device != self.first.device:
            return False
        return bool((first - self.first).norm() <= _SAME * self.first.norm())


class ReferenceRemoval(ABC):
    """A removal by reference photographs, to be made for each model and layer.

    Attributes:
        kind: the name by which a user asks for it.
        name: says how many photographs there are, and has a hash of their content, in any order.
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
    """The removal by which each of the photographs in turn stands in for absent pixels."""

    kind = SAMPLES.name

    def at(self, model: nn.Module, layer: str) -> Removal:  # noqa: ARG002  # the same at the only layer it is for
        """Return the removal, with the photographs on the model's device."""
        samples = move_to_model(self._batch.images, model)
        return Removal(self.name, is_of_images=True, runners=partial(sampling_runners, samples))


class ReferenceMean(ReferenceRemoval):
    """The removal by a layer's mean over reference photographs: each position has its own mean, prefix tokens too.

    The mean is computed where a layer first needs it, and again where the first photograph's activation has changed,
    as it does after a step of training; to see that takes a pass of this photograph for each explained batch.
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
        """Return the mean activation of all photographs, each position by itself, in float64 where there is such."""
        total: Tensor | None = None
        count = len(self._batch.images)
        for rows in torch.arange(count, device="cpu").split(_AT_ONCE):
            activation = _activation(model, layer, self._batch.rows(rows))
            summed = activation.to(accurate(activation.device)).sum(0)
            total = summed if total is None else total + summed
        if total is None:
            raise OptionError("there are no photographs; expected at least one")
        return total / count


@dataclass(frozen=True)
class _StandIn:
    """Stands in for the activation of any image with the mean of a layer."""

    mean: Tensor
    layer: str

    def __call__(self, activation: Tensor, _: Layout) -> Tensor:
        """Return the mean, for every image of the batch.

        Raises:
            OptionError: the explained images have another activation.
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
"""A removal that was chosen; one by reference photographs is made for each layer."""


def choose_removal(
    choice: RemovalChoice | ReferenceRemoval, reference: Images | None, batch_of: Callable[[Images], Batch]
) -> AnyRemoval:
    """Return the removal that a user's arguments mean; `batch_of` prepares reference photographs.

    Raises:
        OptionError: no such removal, reference photographs for a removal that takes none, or none for one by them.
        ImageError: a reference photograph cannot be read, or there are none.
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
