"""`trace`: run one forward pass of a model, and return the head as a function."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, ReplayError
from shapleycam.tracing import plan_learning
from shapleycam.tracing._trace import Trace
from shapleycam.tracing.agreement import outputs_equal
from shapleycam.tracing.calls import layer_name
from shapleycam.tracing.checked_pass import run_checked
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.input_layer import is_input
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import private_copy
from shapleycam.tracing.model_changes import forget_if_changed
from shapleycam.tracing.modules import submodule
from shapleycam.tracing.output_reading import OutputSelector, whole_output
from shapleycam.tracing.reduced_precision import Precision
from shapleycam.tracing.running import METHODS_WITHOUT_REPLAY
from shapleycam.tracing.single_pass import SinglePass, independent_output_error


@restore_when_interrupted
def trace(  # noqa: PLR0913  # all that decides what a pass records
    model: nn.Module,
    images: Float[Tensor, "b *image"],
    layer: str | nn.Module,
    *,
    replay: bool = False,
    twice_differentiable: bool = False,
    select: OutputSelector = whole_output,
    extra: ExtraInputs = NO_EXTRA,
    precision: Precision = "full",
    needs_derivatives: bool = True,
) -> Trace:
    """Run a model once, and return what an explanation at a layer needs.

    The graph begins at the layer: nothing before it is differentiated or kept. The model itself is not changed: the
    pass runs on a private copy in eval mode.

    Args:
        model: any module that takes images.
        images: the model's input.
        layer: the layer's dotted name, the module itself, or "input": the images, with the whole model as the head. If
            the model has a module named "input", the name means that module.
        replay: record what `Trace.head` needs.
        twice_differentiable: run attention after the layer with a kernel that has second derivatives.
        select: a function that selects the output to explain from what the model returns.
        extra: further inputs of the model.
        precision: "bfloat16" runs the part before the layer in bfloat16; the activation is in float32.
        needs_derivatives: whether an output without derivatives is refused if `replay` is False. Otherwise such a pass
            is recorded, because only another activation shows then that the output depends on the layer.

    Raises:
        OptionError: bfloat16 is chosen for weights or images that are not in float32.
        LayerError: the layer is unknown, does not run exactly once, does not return one floating-point tensor, or the
            output does not depend on it.
        ModelError: the activation or the output is not finite, or differs from run to run.
        ReplayError: the head, run on its own, does not give the model's output.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam import trace
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
        >>> traced = trace(model, torch.rand(2, 3, 8, 8), "1", replay=True)
        >>> tuple(traced.activation.shape), tuple(traced.output.shape)
        ((2, 4, 6, 6), (2, 5))
        >>> tuple(traced.head(torch.zeros(10, 4, 6, 6), samples=torch.zeros(10, dtype=torch.long)).shape)
        (10, 5)
    """
    name = layer_name(model, layer)
    forget_if_changed(model)
    images = images.detach().clone() if images.is_inference() else images.detach()
    copied = private_copy(model)
    _check_not_scripted(copied, name)
    single = SinglePass(
        model,
        copied,
        images,
        extra,
        name,
        select,
        twice=twice_differentiable,
        precision=precision,
        needs_graph=needs_derivatives,
    )
    if not replay:
        traced = run_checked(single, None)
        if traced.is_differentiable:
            return traced
        single = replace(single, is_shown=False)  # the user's hooks have seen these images
    for _ in range(2):
        traced = run_checked(single, plan_learning.plan_for(model, copied, name, images, extra))
        # Every recorded pass proves that the head gives the model's output. If it does not, what the head reads may
        # depend on the image, or the user has changed the model since the plan was learned: learn the plan once more.
        if outputs_equal(traced.head(traced.activation.detach()), traced.output):
            if traced.is_differentiable or _head_depends_on_activation(traced):
                return traced
            raise independent_output_error(name)
        plan_learning.forget_plans(model)
    raise ReplayError(
        f"layer {name!r}: what comes after it, run on its own, does not give the model's output; "
        f"choose the block around this layer (shapleycam layers MODEL), or {METHODS_WITHOUT_REPLAY}"
    )


@restore_when_interrupted
def trace_changed(traced: Trace, images: Float[Tensor, "b *image"]) -> Trace:
    """Trace the same layer for changed images, one for each image of `traced`, without recording for replay.

    The user's hooks do not see this pass: they see each image once.

    Raises:
        LayerError, ModelError: as `trace`.
    """
    copied = private_copy(traced.owner)
    single = SinglePass(
        traced.owner,
        copied,
        images.detach(),
        traced.extra,
        traced.layer,
        traced.select,
        twice=False,
        is_shown=False,
        precision=traced.precision,
    )
    changed = run_checked(single, None)
    return changed if traced.utility_input is None else changed.read_as(traced.utility_input)


@restore_when_interrupted
def activation_of_one(traced: Trace, image: int) -> Float[Tensor, "1 *shape"]:
    """Return the layer's activation of one image of a pass, from a pass of this image alone.

    So it does not depend on the other images of the batch, not even by rounding. The user's hooks do not see this pass.

    Raises:
        LayerError, ModelError: as `trace`.
    """
    if len(traced.images) == 1:
        return traced.activation.detach()
    sample = torch.tensor([image], device="cpu")
    single = SinglePass(
        traced.owner,
        private_copy(traced.owner),
        traced.images[image : image + 1].detach(),
        traced.extra.rows(sample),
        traced.layer,
        traced.select,
        twice=False,
        is_shown=False,
        precision=traced.precision,
    )
    return run_checked(single, None).activation.detach()


def _head_depends_on_activation(traced: Trace) -> bool:
    """Return whether the output changes if a random half of the activation's numbers are set to zero."""
    activation = traced.activation.detach()
    is_kept = (
        torch.rand(activation.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
        < 0.5
    )
    return not outputs_equal(traced.head(activation * is_kept.to(activation)), traced.output)


def _check_not_scripted(copied: nn.Module, name: str) -> None:
    if submodule(copied, name) is None and not is_input(copied, name):
        raise LayerError(
            f"layer {name!r} is inside a TorchScript module, which cannot be run in parts; choose a layer outside it, "
            "or give the Python model that it was made of"
        )
