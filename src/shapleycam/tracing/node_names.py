"""Names of autograd's nodes, by what the operation does: the one place that lists them."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Nonlinearity: TypeAlias = Literal["softmax", "log_softmax", "sigmoid", "log_sigmoid"]
"""The functions at the end of a model whose results are probabilities, or logarithms of probabilities."""

NONLINEARITIES: dict[str, Nonlinearity] = {
    "SigmoidBackward0": "sigmoid",
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "LogSigmoidBackward0": "log_sigmoid",
    "HardsigmoidBackward0": "sigmoid",
}
BOUNDED_FUNCTIONS: dict[str, Nonlinearity] = {"ErfBackward0": "sigmoid", "SpecialNdtrBackward0": "sigmoid"}
"""Other functions with results between fixed bounds, and the nonlinearity that they are treated as."""

REARRANGING = re.compile(
    "(View|UnsafeView|ReshapeAlias|Unsqueeze|Squeeze|Alias|Clone|ToCopy|Select|Slice|Permute|Transpose|T|AsStrided|"
    "Expand|Index|IndexSelect|Gather|Clamp|ClampMin|ClampMax|Split|Unbind)Backward[0-9]*"
)
"""Operations that return numbers of one tensor, in another arrangement or kept within bounds."""
COMBINING = re.compile(
    "(Add|Sub|Rsub|Neg|Mul|Div|Pow|Sqrt|Lerp|Where|MaskedFill|NanToNum|Mean|Sum|Prod|Cumprod|Max|Min|Maximum|Minimum|"
    "Amax|Amin|Median|Kthvalue|Stack|Cat|Topk|Sort|AvgPool[23]D|AdaptiveAvgPool[23]D|MaxPool[23]DWithIndices|"
    "AdaptiveMaxPool[23]D|Upsample(Nearest|Bilinear|Bicubic)2D(Aa)?)Backward[0-9]*"
)
"""Operations whose result is bounded if their operands are."""
ROUNDING = re.compile("(Round|Floor|Ceil|Trunc|Sign|Heaviside)Backward[0-9]*")
SORTING = re.compile("(Topk|Sort)Backward[0-9]*")

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
