"""pytorch-grad-cam's functions from an activation to (b, c, h, w); `Explainer` finds these layouts by itself."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def vit_reshape_transform(
    tensor: Float[Tensor, "b n k"], height: int = 14, width: int = 14
) -> Float[Tensor, "b k h w"]:
    """Return the tokens of a vision transformer as a map, without the class token, which comes first."""
    return swinT_reshape_transform(tensor[:, 1:], height, width)


def swinT_reshape_transform(
    tensor: Float[Tensor, "b n k"], height: int = 7, width: int = 7
) -> Float[Tensor, "b k h w"]:
    """Return the tokens of a Swin transformer as a map."""
    return tensor.reshape(len(tensor), height, width, tensor.shape[2]).permute(0, 3, 1, 2)
