"""What one run of a model proves of all its layers: where their places are, and which axis of an image is channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.layers.coordinates import Tracker
from shapleycam.layers.coordinates.reading import Reading, read
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.modules import modules_of
from shapleycam.tracing.nested import only_tensor
from shapleycam.tracing.running import run

ImageKind: TypeAlias = Literal["volume", "video"] | None
"""What images of five dimensions are: volumes (b, c, d, h, w), videos (b, t, c, h, w), or to be found."""

_CHANNELS = {"volume": 1, "video": 2}


@dataclass(frozen=True)
class Proof:
    """By layer, what its places prove; `lost` are the operations whose effect on places is not known."""

    readings: dict[str, Reading]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    """What was learnt of a model as long as it consists of the same modules."""

    modules: tuple[ref[nn.Module], ...]
    proofs: dict[tuple[torch.Size, int], Proof]
    channels: dict[torch.Size, int]


_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def proof_for(model: nn.Module, images: Tensor, channels: int, extra: ExtraInputs = NO_EXTRA) -> Proof:
    """Return the proof for images of this size, whose channels are along axis `channels`; made at the first call.

    `extra` are the model's further inputs for the first image.

    Raises:
        ModelError: the model raises.
    """
    proofs = _kept_of(model).proofs
    key = (images.shape[1:], channels)
    if key not in proofs:
        proofs[key] = _proved(model, images[:1], channels, extra)
    return proofs[key]


def share_proofs(model: nn.Module, like: nn.Module) -> None:
    """Let a model of the same make, with other weights, share what was learnt of another."""
    known = _kept_of(like)
    _kept[model] = _Kept(tuple(map(ref, model.modules())), known.proofs, known.channels)


def channel_axis(model: nn.Module, images: Tensor, image_kind: ImageKind = None, extra: ExtraInputs = NO_EXTRA) -> int:
    """Return the axis of images that holds their channels: 1, and of videos (b, t, c, h, w) 2.

    Of five dimensions it is what `image_kind` says, or the axis that the model's first convolution or matrix product
    sums over.

    Raises:
        ImageError: `image_kind` is given for flat images, or the first weight sums over both axes or none.
        ModelError: the model raises.
    """
    if images.dim() != 5:
        if image_kind is not None:
            raise ImageError(
                f"images={image_kind!r}, and images of shape {tuple(images.shape)}; expected five dimensions, or no "
                "images="
            )
        return 1
    if image_kind is not None:
        return _CHANNELS[image_kind]
    known = _kept_of(model).channels
    size = images.shape[1:]
    if size not in known:
        known[size] = _first_summed(model, images[:1], extra.rows(torch.zeros(1, dtype=torch.long)))
    return known[size]


def check_image_kind(image_kind: Any) -> ImageKind:
    """Return the word for what images of five dimensions are.

    Raises:
        OptionError: it is not known.
    """
    if image_kind not in {None, *_CHANNELS}:
        raise OptionError(f"images={image_kind!r}; expected 'volume', 'video' or None")
    return cast("ImageKind", image_kind)


def _first_summed(model: nn.Module, image: Tensor, extra: ExtraInputs) -> int:
    image = image.detach().clone()
    with isolated_copy(model) as copied:
        tracker = Tracker(image)
        with tracker:
            run(copied, image, extra, own_images=True)
    axes = tracker.channels.axes
    if axes is not None and not axes:  # an axis of one element lies along every dimension
        axes = tuple(axis for axis in (1, 2) if image.shape[axis] == 1)[:1]
    if axes is not None and len(axes) == 1:
        return axes[0]
    summed = "no weight of it reads them" if axes is None else "it sums over both axes" if axes else "it sums over none"
    raise ImageError(
        f"images of shape {tuple(image.shape)} could be volumes (b, c, d, h, w) or videos (b, t, c, h, w), and the "
        f"model's first weight does not tell ({summed}); say which with images='volume' or images='video'"
    )


def _proved(model: nn.Module, image: Tensor, channels: int, extra: ExtraInputs) -> Proof:
    image = image.detach().clone()
    readings: dict[str, Reading] = {}
    size = [side for axis, side in enumerate(image.shape[1:], 1) if axis != channels]
    with isolated_copy(model) as copied:
        tracker = Tracker(image)

        def reading(name: str) -> Interceptor:
            def observe(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
                value = original(*args, **kwargs)
                activation = only_tensor(value)
                if activation is not None and activation.dim() >= 3 and len(activation) == 1:
                    with tracker.paused():
                        places = tracker.places(activation)
                        if places is not None and image.dim() == 5:
                            places = places[[row for row in range(len(places)) if row != channels - 1]]
                        readings[name] = read(places, size)
                return value

            return observe

        functions = {module: reading(name) for name, module in copied.named_modules() if name}
        try:
            with intercept_calls(functions), tracker:
                run(copied, image, extra, own_images=True)
        except ModelError:
            run(copied, image, extra)  # what the model raises by itself is the user's to know
            unknown = Reading(None, "", unknown=True)
            return Proof({name: unknown for name, _ in model.named_modules()}, ("forward",))
    return Proof(readings, tuple(dict.fromkeys(tracker.lost)))


def _kept_of(model: nn.Module) -> _Kept:
    modules = modules_of(model)
    kept = _kept.get(model)
    if kept is None or [module() for module in kept.modules] != modules:
        kept = _kept[model] = _Kept(tuple(map(ref, modules)), {}, {})
    return kept
