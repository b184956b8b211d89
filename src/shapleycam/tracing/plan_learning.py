"""Learn what a replay of the head needs, once for each model, layer and image size.

Two passes are observed: of the first image only, and of this image with a second one. They show the outermost calls
that finish before the layer, the dimension along which their tensors grow with the batch, the tensors that are written
into in place, and the tensors that are read during a replay. The model's code gets real tensors in these passes, and no
objects that imitate them. The plan is then compared with the whole model (docs/decisions.md, "What a replay keeps is
learned once, without stand-ins in anybody's code").
"""

from __future__ import annotations

from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shapleycam.errors import ReplayError
from shapleycam.lru_cache import LRUCache
from shapleycam.tracing.agreement import tensors_agree
from shapleycam.tracing.call_observer import IMAGES, CallObserver, ObservedCall
from shapleycam.tracing.calls import CallId, enclosing_calls
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.layer_output import LayerOutput
from shapleycam.tracing.nested import have_same_structure, tensors_of
from shapleycam.tracing.plan import BatchGrowth, Plan, Step
from shapleycam.tracing.plan_trial import PlanTrial
from shapleycam.tracing.running import METHODS_WITHOUT_REPLAY
from shapleycam.tracing.storage_access import StorageAccessMonitor

_Key: TypeAlias = tuple[str, torch.Size, str]
_MOST = 64
"""Maximum number of cached plans for each model."""
_plans: WeakKeyDictionary[nn.Module, LRUCache[_Key, Plan]] = WeakKeyDictionary()
"""The cached plans of the user's models, by layer, image size and the names of further inputs."""


def plan_for(owner: nn.Module, copied: nn.Module, layer: str, images: Tensor, extra: ExtraInputs) -> Plan:
    """Return the plan for images of this size; the first call learns it from the first image of the batch.

    `owner` is the user's model, the key of the cache; `copied` is the private copy of it that runs.

    Raises:
        LayerError: the layer does not run exactly once.
        ReplayError: the head cannot run separately, or would write into the user's parameters.
    """
    plans = _plans.setdefault(owner, LRUCache(_MOST))
    key = (layer, images.shape[1:], ",".join(extra.keywords))
    plan = plans.get(key)
    if plan is None:
        plan = learn_plan(copied, layer, images[:1], extra.rows(torch.zeros(1, dtype=torch.long, device="cpu")))
        plans.put(key, plan)
    return plan


def forget_plans(owner: nn.Module) -> None:
    """Remove the cached plans of the user's model, so that they are learned again."""
    _plans.pop(owner, None)


def learn_plan(model: nn.Module, layer: str, image: Tensor, extra: ExtraInputs) -> Plan:
    """Return the plan for one layer, from passes over an image only and over a batch of this image and another.

    If the modules before the layer cannot be replaced by their recorded outputs (because features bypass the layer
    through a hook or an attribute), the plan runs the whole model again for each batch of activations.

    Raises:
        LayerError: the layer does not run exactly once.
        ModelError: the head is random.
        ReplayError: a pass writes into the user's parameters, or the rows of a batch influence each other.
    """
    pair, extra_of_pair = (
        torch.cat([image, _similar_image(image)]),
        extra.rows(torch.zeros(2, dtype=torch.long, device="cpu")),
    )
    enclosing, layer_output = enclosing_calls(model, layer, image, extra)
    monitor = StorageAccessMonitor(model.parameters())
    try:
        plan = _plan_with_steps(model, layer, (image, pair), (extra, extra_of_pair), enclosing, layer_output, monitor)
    except _NoStepsError:
        plan = Plan.without_steps(layer_output)
    _check_parameters_unwritten(monitor, layer)
    return PlanTrial(model, layer, pair, extra_of_pair, plan).checked_plan()


class _NoStepsError(Exception):
    """The recorded outputs of the modules before the layer cannot be expanded to another number of rows."""


def _plan_with_steps(
    model: nn.Module,
    layer: str,
    images: tuple[Tensor, Tensor],
    extra: tuple[ExtraInputs, ExtraInputs],
    enclosing: frozenset[CallId],
    layer_output: LayerOutput,
    monitor: StorageAccessMonitor,
) -> Plan:
    """Return a plan in which modules that finish before the layer do not run again.

    `images` and `extra` are the inputs of a single image, and of two images. Calls that return an object which cannot
    be expanded to another number of rows (torchvision's ImageList) must run normally, like those around the layer. Then
    the passes are observed again, and the calls inside these calls become candidates (docs/decisions.md, "Calls that
    return objects run for real on replay").

    Raises:
        _NoStepsError: the calls depend on the number of images, or their tensors do not grow with it.
    """
    while True:
        alone = CallObserver(model, layer, images[0], extra[0], enclosing)
        monitor.read.clear()
        both = CallObserver(model, layer, images[1], extra[1], enclosing, monitor)
        if [call.id for call in alone.calls] != [call.id for call in both.calls]:
            raise _NoStepsError
        pairs = list(zip(alone.calls, both.calls, strict=True))
        object_calls = {single.id for single, paired in pairs if not have_same_structure(single.value, paired.value)}
        if not object_calls:
            break
        enclosing = enclosing | object_calls
    steps = tuple(_step(single, paired, is_read=single.id in monitor.read) for single, paired in pairs)
    writes_activation = alone.writes_activation or both.writes_activation
    return Plan(steps, IMAGES in monitor.read, writes_activation, layer_output)


def _step(alone: ObservedCall, both: ObservedCall, *, is_read: bool) -> Step:
    is_written = alone.is_written or both.is_written
    pairs = zip(tensors_of(alone.value), tensors_of(both.value), strict=True)
    growths = tuple(_growth(single, paired) for single, paired in pairs)
    return Step(alone.module, alone.number, growths, is_read or is_written, is_written)


def _growth(alone: Tensor, both: Tensor) -> BatchGrowth | None:
    """Return how a tensor grows from one image to two; the numbers of the first image show the images' dimension.

    Raises:
        _NoStepsError: it does not double along exactly one dimension, or does not contain the first image's numbers.
    """
    if alone.shape == both.shape:
        if tensors_agree(both, alone):
            return None
        raise _NoStepsError
    if alone.dim() != both.dim():
        raise _NoStepsError
    grown = [dim for dim in range(alone.dim()) if alone.shape[dim] != both.shape[dim]]
    if len(grown) != 1 or both.shape[grown[0]] != 2 * alone.shape[grown[0]]:
        raise _NoStepsError
    dim, size = grown[0], alone.shape[grown[0]]
    for image_major, sizes, image_dim in ((True, (2, size), dim), (False, (size, 2), dim + 1)):
        if tensors_agree(both.unflatten(dim, sizes).select(image_dim, 0), alone):
            return BatchGrowth(dim, image_major)
    raise _NoStepsError


def _similar_image(image: Tensor) -> Tensor:
    """Return a second image with similar statistics but other numbers, so that the rows of the two images differ."""
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu").to(
        image
    )
    spread = image.std() if image.numel() > 1 else image.new_ones(())
    return 0.8 * image.flip(-1) + 0.2 * spread.clamp(min=1e-3) * noise


def _check_parameters_unwritten(monitor: StorageAccessMonitor, layer: str) -> None:
    """Refuse replays of a model that writes into its parameters, which the copy shares with the user's model.

    Raises:
        ReplayError: it writes into a parameter.
    """
    remedy = f"explain by {METHODS_WITHOUT_REPLAY}"
    if monitor.written is not None:
        raise ReplayError(
            f"layer {layer!r}: the model writes into one of its parameters, of shape {monitor.written}, in its "
            f"forward, and each replay would do so again; {remedy}, or keep such state in a buffer"
        )
