"""What models of timm, torchvision and transformers declare about their tokens: prefix tokens and patch size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from shapleycam.models.layout import Size


@dataclass(frozen=True)
class TokenDeclaration:
    """What a model declares about its tokens; None for what it does not declare.

    Attributes:
        prefix: the number of tokens before those of the image.
        patch: the pixels that a token covers, (height, width) or (depth, height, width).
    """

    prefix: int | None = None
    patch: Size | None = None


def declared_tokens(model: nn.Module, layer: str) -> TokenDeclaration:
    """Return what the layer, or the nearest module around it, declares about the layer's tokens.

    It reads `num_prefix_tokens` and `patch_embed.patch_size` (timm), `config.patch_size` and `tubelet_size`
    (transformers), and `patch_size` (torchvision).
    """
    prefix: int | None = None
    patch: Size | None = None
    for module in _modules_around(model, layer):
        count = getattr(module, "num_prefix_tokens", None)
        prefix = count if prefix is None and isinstance(count, int) else prefix
        patch = patch or _patch_of(module)
    return TokenDeclaration(prefix, patch)


def declared_patches(model: nn.Module) -> set[Size]:
    """Return the patch size (height, width) that a model declares, or else all that its modules declare."""
    own = _patch_of(model)
    declared = [own] if own is not None else [_patch_of(module) for module in model.modules()]
    return {patch for patch in declared if patch is not None and len(patch) == 2}


def _modules_around(model: nn.Module, layer: str) -> Iterator[nn.Module]:
    """Yield the layer, the modules that contain it from the innermost outwards, and at last the model."""
    parts = layer.split(".")
    for end in range(len(parts), -1, -1):
        yield model.get_submodule(".".join(parts[:end]))


def _patch_of(module: nn.Module) -> Size | None:
    config = getattr(module, "config", None)
    for holder in (getattr(module, "patch_embed", None), module, config, getattr(config, "vision_config", None)):
        sides, tubelet = _sides(getattr(holder, "patch_size", None)), getattr(holder, "tubelet_size", None)
        if isinstance(tubelet, int) and len(sides) == 2:
            sides = (tubelet, *sides)
        for patch in (sides, _sides(tubelet)):
            if len(patch) in {2, 3} and all(isinstance(side, int) and side > 0 for side in patch):
                return patch
    return None


def _sides(size: Any) -> Size:
    return (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()
