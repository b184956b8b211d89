"""The names of autograd's nodes, grouped by what the operation does; no other module lists them."""

from __future__ import annotations

from typing import Literal, TypeAlias

Nonlinearity: TypeAlias = Literal["softmax", "log_softmax", "sigmoid", "log_sigmoid"]
"""Functions at the end of a model that return probabilities or log-probabilities."""

_SUFFIX = "Backward"

NONLINEARITIES: dict[str, Nonlinearity] = {
    "SigmoidBackward0": "sigmoid",
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "LogSigmoidBackward0": "log_sigmoid",
    "HardsigmoidBackward0": "sigmoid",
}
BOUNDED_FUNCTIONS: dict[str, Nonlinearity] = {"ErfBackward0": "sigmoid", "SpecialNdtrBackward0": "sigmoid"}
"""Other functions with bounded results, and the nonlinearity that each is treated as."""

REARRANGING = frozenset(
    {
        *("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Squeeze", "Alias", "Clone", "ToCopy", "Select", "Slice"),
        *("Permute", "Transpose", "T", "AsStrided", "Expand", "Index", "IndexSelect", "Gather", "Clamp", "ClampMin"),
        *("ClampMax", "Split", "Unbind"),
    }
)
"""Operations that return the numbers of one tensor rearranged or clamped."""
COMBINING = frozenset(
    {
        *("Add", "Sub", "Rsub", "Neg", "Mul", "Div", "Pow", "Sqrt", "Lerp", "Where", "MaskedFill", "NanToNum", "Mean"),
        *("Sum", "Prod", "Cumprod", "Max", "Min", "Maximum", "Minimum", "Amax", "Amin", "Median", "Kthvalue", "Stack"),
        *("Cat", "Topk", "Sort", "AvgPool2D", "AvgPool3D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D"),
        *("MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D"),
        *(f"Upsample{kind}2D{end}" for kind in ("Nearest", "Bilinear", "Bicubic") for end in ("", "Aa")),
    }
)
"""Operations whose result is bounded if their operands are."""
SCALING = frozenset({"Add", "Sub", "Rsub", "Neg", "Mul", "Div"})
"""Operations that scale and shift the numbers of one tensor, if their other operand is a constant."""
ROUNDING = frozenset({"Round", "Floor", "Ceil", "Trunc", "Sign", "Heaviside"})
SORTING = frozenset({"Topk", "Sort"})

HANDWRITTEN_SIGMOIDS = (
    ("MulBackward0", "ReciprocalBackward0", "AddBackward0", "ExpBackward0"),  # 1 / x is x.reciprocal() * 1
    ("ReciprocalBackward0", "AddBackward0", "ExpBackward0"),
    ("MulBackward0", "AddBackward0", "TanhBackward0"),
    ("DivBackward0", "AddBackward0", "TanhBackward0"),
    ("AddBackward0", "MulBackward0", "TanhBackward0"),
    ("AddBackward0", "DivBackward0", "TanhBackward0"),
)
"""1 / (1 + exp(-z)) and (1 + tanh(z / 2)) / 2, from the last operation to the first."""

EXPONENTIALS = frozenset({"ExpBackward0", "SoftmaxBackward0", "SigmoidBackward0", "TanhBackward0"})
LOGARITHMS = frozenset({"LogBackward0", "LogsumexpBackward0", "LogSoftmaxBackward0", "LogSigmoidBackward0"})


def operation_of(node: str) -> str:
    """Return the operation in a node's name; "" if the name has another form.

    Examples:
        >>> operation_of("AddBackward0"), operation_of("torch::autograd::AccumulateGrad")
        ('Add', '')
    """
    stem = node.rstrip("0123456789")
    return stem.removesuffix(_SUFFIX) if stem.endswith(_SUFFIX) else ""
