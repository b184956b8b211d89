"""What a head's operations prove about its game: that it reads only the mean, or that its output is a sum.

Numbers cannot prove either (a ReLU that no photograph at hand wakes hides from them), but the operations recorded in
autograd's graph can: each of those below is known to treat every position alike and by itself until the mean over
positions, and all others end the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

from torch import Tensor

from shapleycam.game.axes import Axis, axes_of, axis_of, mixes, regrouped, same_everywhere, shape_of
from shapleycam.game.recording import Recorded
from shapleycam.models.layout import Layout

_ELEMENTWISE = {
    *("ReluBackward0", "HardtanhBackward0", "GeluBackward0", "SiluBackward0", "MishBackward0", "EluBackward0"),
    *("LeakyReluBackward0", "HardswishBackward0", "HardsigmoidBackward0", "SigmoidBackward0", "TanhBackward0"),
    "SoftplusBackward0",
}
_SAME = {"CloneBackward0", "AliasBackward0", "ToCopyBackward0", "NegBackward0"}
_VIEWS = {
    *("ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0", "UnsqueezeBackward0"),
    *("SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2"),
}
_SUMS = {"AddBackward0", "SubBackward0"}
_PRODUCTS = {"MulBackward0", "DivBackward0"}
_LINEAR = {"AddmmBackward0": 1, "MmBackward0": 0, "LinearBackward0": 0, "ConvolutionBackward0": 0}
"""Affine in the operand of this number alone."""
_AFFINE_OF_ALL = _SAME | _VIEWS | _SUMS | {"PermuteBackward0", "TransposeBackward0", "TBackward0", "CatBackward0"}
_BATCH_NORMS = {"NativeBatchNormBackward0", "CudnnBatchNormBackward0"}
_OWN_BATCH_NORM = "EvalBatchNormBackward"
"""Of our own function, which is a factor and a bias for each channel along axis 1."""
_RESTRIDED = {"AsStridedBackward0", "AsStridedBackward1"}


@dataclass(frozen=True)
class Structure:
    """`reads_mean`: the output depends on the activation only through its mean over positions. `is_sum`: it is an
    affine function of the mean of what each position becomes by itself.
    """

    reads_mean: bool = False
    is_sum: bool = False


@dataclass(frozen=True)
class _Form:
    """How a tensor depends on the activation.

    Before the mean over positions `axes` are its axes, and `linear` says whether each position's part is affine in
    its content; after it `axes` is None, and `affine` says whether all since the mean is affine.
    """

    axes: tuple[Axis, ...] | None
    linear: bool = True
    affine: bool = True


_CONSTANT, _UNKNOWN = None, "unknown"
_Found: TypeAlias = "_Form | str | None"


def structure_of(whole: Recorded, single: Recorded | None, layout: Layout) -> Structure:
    """Return what two recordings of a head prove.

    Args:
        whole: of an activation (2, ...) of this layout; two rows, as one could not be told from all.
        single: of three rows with a single position each, None where the head does not take them.
        layout: how the activation is laid out.
    """
    output, leaf = whole.output, whole.leaf
    if layout.prefix or not isinstance(output, Tensor) or output.grad_fn is None:
        return Structure()
    # The shortcuts run the head on single positions: there it must compute with the same numbers.
    if single is None or whole.hidden or whole.bias_by_row or not whole.repeats(single):
        return Structure()
    found: dict[Any, _Found] = {}
    ahead = [output.grad_fn]
    while ahead:
        node = ahead[-1]
        missing = [before for before, _ in node.next_functions if before is not None and before not in found]
        if missing:
            ahead.extend(missing)
            continue
        ahead.pop()
        if node not in found:
            found[node] = _form(node, [found.get(before) for before, _ in node.next_functions], leaf, layout)
    if whole.without_grad and not any(hasattr(type(node), "_forward_cls") for node in found):
        return Structure()
    form = found[output.grad_fn]
    if not isinstance(form, _Form) or form.axes is not None:
        return Structure()
    return Structure(reads_mean=form.linear, is_sum=form.affine)


def _form(node: Any, operands: list[_Found], leaf: Tensor, layout: Layout) -> _Found:
    if getattr(node, "variable", None) is leaf:
        return _Form(axes_of(layout, tuple(leaf.shape)))
    given = [form for form in operands if form is not _CONSTANT]
    if not given:
        return _CONSTANT
    forms = [form for form in given if isinstance(form, _Form)]
    if len(forms) < len(given):
        return _UNKNOWN
    if all(form.axes is None for form in forms):
        return _after(node, operands, forms)
    try:
        return _before(node, operands, forms)
    except (AttributeError, IndexError, RuntimeError):  # another version of PyTorch names or frees what we look at
        return _UNKNOWN


def _after(node: Any, operands: list[_Found], forms: list[_Form]) -> _Form:
    """Of a function of the mean: any is allowed, and some keep it affine."""
    name = node.name()
    affine = name in _AFFINE_OF_ALL | _RESTRIDED
    if len(forms) == 1:
        affine |= name == "MulBackward0" or _is_fixed_batch_norm(node, name)
        place = 0 if name == "DivBackward0" else _LINEAR.get(name)
        affine |= place is not None and operands[place] is not _CONSTANT
    return _Form(None, all(form.linear for form in forms), affine and all(form.affine for form in forms))


def _before(node: Any, operands: list[_Found], forms: list[_Form]) -> _Found:
    """Of a function of the positions: only what treats each alike and by itself, or the mean over all."""
    axes = forms[0].axes
    if axes is None or any(form.axes != axes for form in forms):
        return _UNKNOWN
    shape = tuple(node._input_metadata[0].shape)  # noqa: SLF001  # of what the operation returned
    if len(forms) > 1:
        return _combined(node.name(), axes, forms, shape)
    step = _Step(node, node.name(), operands, forms[0], axes, shape)
    found = (rule(step) for rule in (_pointwise, _scaled, _rearranged, _normed, _channels_mixed, _averaged))
    return next((form for form in found if form is not None), _UNKNOWN)


def _combined(name: str, axes: tuple[Axis, ...], forms: list[_Form], shape: tuple[int, ...]) -> _Found:
    if name not in _SUMS | _PRODUCTS or len(forms) != 2 or shape != shape_of(axes):
        return _UNKNOWN
    return replace(forms[0], linear=name in _SUMS and all(form.linear for form in forms))


@dataclass(frozen=True)
class _Step:
    """An operation with one operand that depends on the activation."""

    node: Any
    name: str
    operands: list[_Found]
    form: _Form
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]


def _pointwise(step: _Step) -> _Form | None:
    if step.name in _SAME:
        return step.form
    return replace(step.form, linear=False) if step.name in _ELEMENTWISE else None


def _scaled(step: _Step) -> _Form | None:
    """Times or by a constant that is the same at all positions."""
    if step.name not in _PRODUCTS or step.shape != shape_of(step.axes) or step.operands[0] is _CONSTANT:
        return None
    return step.form if same_everywhere(_saved(step.node, "other"), step.axes) else None


def _rearranged(step: _Step) -> _Form | None:
    moved = _moved(step.node, step.name, step.axes, step.shape)
    return None if moved is None else replace(step.form, axes=moved)


def _normed(step: _Step) -> _Form | None:
    """A batch norm with fixed statistics, or a layer norm of each position's channels."""
    if _is_fixed_batch_norm(step.node, step.name) and not mixes(step.axes[1:2]):
        return step.form
    if step.name != "NativeLayerNormBackward0":
        return None
    normed = step.axes[-len(_saved(step.node, "normalized_shape")) :]
    return None if mixes(normed) else replace(step.form, linear=False)


def _channels_mixed(step: _Step) -> _Form | None:
    """A matrix product along the last axis, or a convolution of size 1 along axis 1."""
    if step.name not in _LINEAR or step.operands[_LINEAR[step.name]] is _CONSTANT:
        return None
    place = len(step.axes) - 1
    if step.name == "ConvolutionBackward0":
        place = 1
        if not _is_pointwise(step.node):
            return None
    if mixes(step.axes[place : place + 1]):
        return None
    changed = axis_of("channel", step.shape[place])
    return replace(step.form, axes=(*step.axes[:place], changed, *step.axes[place + 1 :]))


def _averaged(step: _Step) -> _Form | None:
    """The mean over all positions and nothing else."""
    if step.name != "MeanBackward1":
        return None
    dims = {_signed(dim) % len(step.axes) for dim in _saved(step.node, "dim")}
    inside = {factor.kind for index in dims for factor in step.axes[index]}
    outside = {factor.kind for index, axis in enumerate(step.axes) if index not in dims for factor in axis}
    alone = inside <= {"position"} and "position" not in outside
    return _Form(None, linear=step.form.linear) if alone else None


def _moved(node: Any, name: str, axes: tuple[Axis, ...], shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """The axes after an operation that only rearranges them."""
    if name == "PermuteBackward0":
        return tuple(axes[_signed(dim)] for dim in _saved(node, "dims"))
    if name == "TransposeBackward0":
        order = list(axes)
        one, other = _signed(_saved(node, "dim0")), _signed(_saved(node, "dim1"))
        order[one], order[other] = order[other], order[one]
        return tuple(order)
    return regrouped([factor for axis in axes for factor in axis], shape) if name in _VIEWS else None


def _is_pointwise(convolution: Any) -> bool:
    """Whether a convolution has size 1, stride 1 and no padding."""
    kernel = _saved(convolution, "weight").shape[2:]
    strides, paddings = _saved(convolution, "stride"), _saved(convolution, "padding")
    return prod(kernel) == 1 and set(strides) == {1} and not any(paddings) and not _saved(convolution, "transposed")


def _is_fixed_batch_norm(node: Any, name: str) -> bool:
    """Whether an operation is a batch norm whose statistics are not those of the batch."""
    if name == _OWN_BATCH_NORM:  # a name that anybody may give, unlike the module that it is from
        function = getattr(type(node), "_forward_cls", None)
        return str(getattr(function, "__module__", "")).startswith("shapleycam.tracing.")
    return name in _BATCH_NORMS and not _saved(node, "training")


def _signed(dim: int) -> int:
    """A dimension as autograd saves it: a negative one appears as 2^64 less its size."""
    return dim - 2**64 if dim >= 2**63 else dim


def _saved(node: Any, name: str) -> Any:
    """What autograd kept of an operation for its backward."""
    return getattr(node, f"_saved_{name}")
